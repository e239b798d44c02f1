"""The domain of generated numbers: read from the example, or given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import SLOPES, with_arguments
from verify.generate import generated_inputs
from verify.generate.domain import NAMED, scale_of
from verify.generate.seen_domain import seen

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


A = normal(2, 4, 4)
EXAMPLES = {
    "one-hot": np.eye(5)[[0, 3, 2]],
    "probabilities": np.exp(normal(3, 4)) / np.exp(normal(3, 4)).sum(-1, keepdims=True),
    "{0, 1}": np.array([0.0, 1, 1, 0, 1]),
    "positive definite": A @ np.swapaxes(A, -1, -2) + np.eye(4),
    "orthogonal": np.linalg.qr(A)[0],
    "lower triangular": np.tril(A),
    "upper triangular": np.triu(A),
    "(0, 1)": 1 / (1 + np.exp(-normal(8))),
    "positive": np.abs(normal(7)) + 2,
    "nonnegative": np.maximum(normal(12), 0) * 3,
    "negative": np.array([-2.5, -0.3, -4, -1.1, -0.7]),
    "(-1, 1)": np.tanh(normal(3, 5)),
    "symmetric": A + np.swapaxes(A, -1, -2),
    "antisymmetric": A - np.swapaxes(A, -1, -2),
    "unit rows": normal(6, 3) / np.linalg.norm(normal(6, 3), axis=-1, keepdims=True),
    "increasing": np.cumsum(np.abs(normal(2, 7)), -1) - 5,
}
EXAMPLES["probabilities"] /= EXAMPLES["probabilities"].sum(-1, keepdims=True)
EXAMPLES["unit rows"] /= np.linalg.norm(EXAMPLES["unit rows"], axis=-1, keepdims=True)


@pytest.mark.parametrize("words", NAMED)
def test_an_example_shows_its_domain_and_what_is_drawn_lies_in_it(words):
    example = EXAMPLES[words]
    found = seen(example, alone=True)
    assert [d.words for d in found] == [words]
    for _, filler in (*generated_inputs.ORDINARY, *generated_inputs.STRESS, ("normal", generated_inputs.normal)):
        values = found[0].onto(RNG, filler(RNG, example.shape, scale_of(example)), scale_of(example))
        assert values.shape == example.shape
        if words == "positive":
            assert np.all(values >= 0)  # the boundary is looked at, too
        elif words == "(0, 1)":
            assert np.all((values > 0) & (values < 1))
        elif words == "(-1, 1)":
            assert np.all(np.abs(values) < 1)
        elif words == "{0, 1}":
            assert set(np.unique(values)) <= {0.0, 1.0}
        elif words == "nonnegative":
            assert np.all(values >= 0)
        elif words == "negative":
            assert np.all(values <= 0)
        elif words in ("symmetric", "antisymmetric"):
            sign = 1 if words == "symmetric" else -1
            np.testing.assert_array_equal(values, sign * np.swapaxes(values, -1, -2))
        elif words in ("lower triangular", "upper triangular"):
            like = np.tril if words.startswith("lower") else np.triu
            np.testing.assert_array_equal(values, like(values))
        else:
            assert NAMED[words].shown(values)


def test_ordinary_numbers_show_nothing():
    for example in (
        normal(4, 6),
        np.array([0.5, -1.0, 0.25]),
        np.zeros((2, 3)),
        np.ones(5) * -1,
        0.1 * np.array([0.5, -1.0, 0.25, 2, -3]),
        np.array([-2.0, 0, 2]),
    ):
        assert seen(example, alone=True) == ()


def test_sign_and_order_hold_together_and_even_steps_alone_are_no_order():
    times = np.array([0.5, 1, 2, 4, 8, 16])
    assert [d.words for d in seen(times, alone=True)] == ["positive", "increasing"]
    steps = np.linspace(-3, 3, 7)
    assert seen(steps, alone=True) == ()
    assert [d.words for d in seen(steps, alone=False)] == ["increasing"]


def test_zeros_and_ones_are_symmetric_together_unless_it_is_chance():
    pairs = np.triu(RNG.random((2, 5, 5)) < 0.5, 1)
    found = seen((pairs + np.swapaxes(pairs, -1, -2)).astype(np.float32), alone=True)
    assert [d.words for d in found] == ["symmetric", "{0, 1}"]
    values = normal(2, 6, 6)
    for domain in found:
        values = domain.onto(RNG, values, 1.0)
    assert set(np.unique(values)) == {0.0, 1.0}
    np.testing.assert_array_equal(values, np.swapaxes(values, -1, -2))
    assert [d.words for d in seen(np.array([[0.0, 1], [1, 1]]), alone=True)] == ["{0, 1}"]


@pytest.mark.parametrize("wrong", [True, False])
def test_a_rule_may_rely_on_a_graph_without_directions(wrong):
    """x̄ is Aᵀ ȳ, which is A ȳ; a faulty rule takes the neighbours' neighbours."""
    pairs = np.triu(RNG.random((5, 5)) < 0.5, 1)
    graph = (pairs + pairs.T).astype(np.float32)
    fun = jax.custom_vjp(lambda a, x: a @ x)
    fun.defvjp(lambda a, x: (a @ x, (a, x)), lambda r, g: (g @ r[1].T, r[0] @ (r[0] @ g if wrong else g)))
    report = verify.check(fun, graph, normal(5, 3).astype(np.float32), checks=["contract", "gradient"])
    assert report.ok is not wrong, report


def shares(*shape, axis=None):
    weights = np.exp(normal(*shape))
    return weights / weights.sum(axis, keepdims=axis is not None)


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (shares(4, 3, axis=0), "probabilities along axis -2"),
        (shares(2, 3, 4, axis=0), "probabilities along axis -3"),
        (shares(3, 4), "probabilities of a table"),
        (A[0, :, :3] / np.linalg.norm(A[0, :, :3], axis=0), "unit rows along axis -2"),
    ],
)
def test_what_sums_to_one_may_do_so_along_any_axis(example, words):
    (found,) = seen(example, alone=True)
    assert found.words == words
    assert found.shown(found.onto(RNG, normal(*example.shape), 1.0))
    assert seen(example, alone=True) == (found,)


def spread(w, x):
    return (w * (x - (w * x).sum(0)) ** 2).sum(0)


@pytest.mark.usefixtures("a_users_jax")
@pytest.mark.parametrize("factor", [1, 2])
def test_a_rule_may_rely_on_weights_that_sum_to_one_along_the_first_axis(factor):
    """As far from zero as a roundoff of their sum reaches, too."""

    def bwd(r, g):
        w, x = r
        away = x - (w * x).sum(0)
        return g * away**2, factor * g * w * away

    args = shares(4, 3, axis=0).astype(np.float32), normal(4, 3).astype(np.float32)
    checks = ["contract", "gradient", "conditioning", "second order"]
    report = verify.check(with_arguments(spread, bwd), *args, checks=checks)
    assert report.ok is (factor == 2), report


def log_density(x, covariance):
    """Of a normal distribution, up to a constant."""
    return -0.5 * x @ jnp.linalg.solve(covariance, x) - 0.5 * jnp.linalg.slogdet(covariance)[1]


def log_density_bwd(residuals, g):
    x, covariance = residuals
    inverse = jnp.linalg.inv(covariance)
    s = inverse @ x
    return -g * s, g / 2 * (jnp.outer(s, s) - inverse)


def test_the_identity_is_a_covariance_where_matrices_are_taken_apart():
    """As rows that are one-hot it became singular, and the second derivatives of a right rule were called wrong."""
    one_hot, definite = ((NAMED[words],) for words in ("one-hot", "positive definite"))
    for identity in (np.eye(3), np.stack([np.eye(3)] * 2)):
        assert seen(identity, alone=False, primitives={"lu", "add"}) == definite
        assert seen(identity, alone=False, primitives={"dot_general"}) == one_hot
    assert seen(np.eye(3)[[0, 2, 2]], alone=False, primitives={"lu"}) == one_hot
    rule, x = with_arguments(log_density, log_density_bwd), normal(3).astype(np.float32)
    report = verify.check(rule, x, np.eye(3, dtype=np.float32))
    assert report.verdict == "right", report


@pytest.mark.parametrize("words", ["one-hot", "probabilities", "unit rows", "orthogonal"])
def test_a_small_change_along_the_tangent_stays_inside(words):
    domain, example = NAMED[words], EXAMPLES[words]
    change = domain.tangent(normal(*example.shape), example)
    assert np.abs(change).max() > 0.1
    np.testing.assert_allclose(domain.tangent(change, example), change, atol=1e-12)
    moved = example + 1e-6 * change
    size = moved.sum(-1) if words in ("one-hot", "probabilities") else (moved**2).sum(-1)
    np.testing.assert_allclose(size, 1, atol=1e-10)


def entropy(p, q):
    return -(p * jnp.log(jnp.clip(q, 1e-6, 1 - 1e-6)) + (1 - p) * jnp.log(1 - jnp.clip(q, 1e-6, 1 - 1e-6))).sum()


bce = jax.custom_vjp(entropy)
bce.defvjp(
    lambda p, q: (entropy(p, q), (p, q)),
    lambda r, g: (g * (jnp.log(1 - r[1]) - jnp.log(r[1])), g * (r[1] - r[0]) / (r[1] * (1 - r[1]))),
)
INSIDE = EXAMPLES["(0, 1)"].astype(np.float32)


def test_a_rule_is_asked_only_where_the_example_lies():
    """Beyond (0, 1) the function is clipped, the rule is not, and nothing is promised."""
    assert verify.check(bce, np.round(INSIDE), INSIDE, checks=SLOPES).ok
    outside = verify.check(bce, np.round(INSIDE), INSIDE, domain={"q": "any"}, checks=SLOPES)
    assert outside.verdict == "wrong"


def test_domain_may_be_said_as_a_word_several_or_a_function():
    scaled = np.float32(0.2) * EXAMPLES["symmetric"][0].astype(np.float32)
    for domain in ("symmetric", ["symmetric"], lambda a: (a + a.T) / 2):
        fun = jax.custom_vjp(lambda m: jnp.trace(m @ m))
        fun.defvjp(lambda m: (jnp.trace(m @ m), m), lambda m, g: (2 * g * m,))  # of a symmetric matrix only
        report = verify.check(fun, scaled, domain={"m": domain}, checks=["contract", "gradient"])
        assert report.ok, report


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ({"y": "positive"}, "domain names 'y'; the floating-point arguments are x"),
        ({"x": "positive"}, "x: got 'positive', but the example's x is not positive"),
        ({"x": "even"}, "domain: x: got 'even', expected a function of an array, or 'any', 'one-hot'"),
    ],
)
def test_a_domain_that_cannot_be_is_said(domain, words):
    report = verify.check(lambda x: jnp.sin(x), normal(4, 3), domain=domain)
    assert report.verdict == "could not be checked"
    assert words in report.because


def test_rotations_stay_rotations():
    rotation = np.linalg.qr(RNG.standard_normal((3, 3)))[0].astype(np.float32)
    (shown,) = seen(rotation, alone=True)
    assert shown.words == "orthogonal"
    made = shown.onto(RNG, np.ones((2, 3, 3)), 1.0)
    np.testing.assert_allclose(made @ np.swapaxes(made, -1, -2), np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(made), 1, atol=1e-12)
    assert [d.words for d in seen(np.diag([1, 2, 3.0]), alone=True)] != ["orthogonal"]
