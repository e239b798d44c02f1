"""Rules as people write them, of kinds that once got a wrong verdict: right ones and faulty ones side by side."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.sampling import one_in

pytestmark = pytest.mark.usefixtures("a_users_jax")
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def complex_normal(*shape):
    return (RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)).astype(np.complex64)


def rule(fun, fwd, bwd, **options):
    wrapped = jax.custom_vjp(fun, **options)
    wrapped.defvjp(fwd, bwd)
    return wrapped


def with_arguments(fun, bwd):
    """`fun` with all its arguments as residuals."""
    return rule(fun, lambda *args: (fun(*args), args), bwd)


def cross_entropy(z, labels):
    return jax.nn.logsumexp(z, -1) - jnp.take_along_axis(z, labels[:, None], -1)[:, 0]


LABELLED = with_arguments(
    cross_entropy, lambda r, g: (g[:, None] * (jax.nn.softmax(r[0]) - jax.nn.one_hot(r[1], r[0].shape[-1])), None)
)
WIDENED = with_arguments(lambda x: x * 1.0, lambda r, g: (g.astype(jnp.float32),))
LABELS = np.array([0, 1, 4, 3, 2, 1], np.int32)
LOW = ("gradient", "low precision")


def test_a_float32_table_beside_bfloat16_is_a_note_and_a_cast_to_float32_is_wrong():
    report = verify.check(LABELLED, normal(6, 5), LABELS, cases=0, checks=LOW)
    assert report.ok, report
    assert any("one_hot" in n for n in report.notes)
    assert verify.check(WIDENED, normal(4, 3), cases=0, checks=LOW).verdict == "wrong"


def test_a_float32_table_is_wrong_where_the_call_itself_is_bfloat16():
    assert verify.check(LABELLED, normal(6, 5).astype(jnp.bfloat16), LABELS, cases=0).verdict == "wrong"


@pytest.mark.parametrize(
    ("function", "bwd", "args", "verdict"),
    [
        (lambda z: z * z, lambda r, g: (2 * r[0] * g,), (complex_normal(4, 3),), "right"),
        (lambda z: z * z, lambda r, g: (2 * jnp.conj(r[0]) * g,), (complex_normal(4, 3),), "wrong"),
        (lambda z: jnp.abs(z) ** 2, lambda r, g: (2 * jnp.conj(r[0]) * g,), (complex_normal(4),), "right"),
        (lambda z: jnp.abs(z) ** 2, lambda r, g: (2 * r[0] * g,), (complex_normal(4),), "wrong"),
        (lambda z: jnp.fft.fft(z), lambda r, g: (jnp.fft.fft(g),), (complex_normal(3, 8),), "right"),
        (
            lambda a, b: a @ b,
            lambda r, g: (g @ r[1].conj().T, r[0].conj().T @ g),
            (complex_normal(4, 3), complex_normal(3, 2)),
            "wrong",
        ),
    ],
    ids=["square", "conjugated square", "modulus", "conjugated modulus", "fft", "adjoint for transpose"],
)
def test_complex_numbers_in_the_convention_of_jax(function, bwd, args, verdict):
    report = verify.check(with_arguments(function, bwd), *args, cases=2)
    assert report.verdict == verdict, report


def attention(q, k, v, mask):
    scores = jnp.where(mask, q @ jnp.swapaxes(k, -1, -2), -1e9)
    return jax.nn.softmax(scores) @ v


def attention_bwd(masked, r, g):
    q, k, v, mask = r
    p = jax.nn.softmax(jnp.where(mask if masked else True, q @ jnp.swapaxes(k, -1, -2), -1e9))
    dp = g @ jnp.swapaxes(v, -1, -2)
    ds = p * (dp - (dp * p).sum(-1, keepdims=True))
    return ds @ k, jnp.swapaxes(ds, -1, -2) @ q, jnp.swapaxes(p, -1, -2) @ g, None


@pytest.mark.parametrize("masked", [True, False])
def test_a_causal_mask_keeps_something_in_every_row(masked):
    causal = np.tril(np.ones((5, 5), bool))
    q, k, v = normal(2, 5, 4), normal(2, 5, 4), normal(2, 5, 4)
    own = with_arguments(attention, functools.partial(attention_bwd, masked))
    assert verify.check(own, q, k, v, causal, checks=("gradient",)).ok is masked


def coordinates(v):
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    return jnp.stack([x * y, y * z, x * z], -1)


def coordinates_bwd(r, g):
    x, y, z = (r[0][..., i] for i in range(3))
    a, b, c = (g[..., i] for i in range(3))
    return (jnp.stack([a * y + c * z, a * x + b * z, b * y + c * x], -1),)


def test_an_axis_of_three_coordinates_stays_three():
    own = with_arguments(coordinates, coordinates_bwd)
    assert verify.check(own, normal(5, 3), checks=("contract", "gradient")).ok


def test_a_shape_that_the_function_knows_and_the_rule_does_not_is_still_wrong():
    total = with_arguments(lambda x: x.sum(-1), lambda r, g: (jnp.stack([g] * 3, -1),))
    assert verify.check(total, normal(5, 3), checks=("contract", "gradient")).verdict == "wrong"


DROPPED = with_arguments(
    lambda x, key: x * jax.random.bernoulli(key, 0.7, x.shape) / 0.7,
    lambda r, g: (g * jax.random.bernoulli(r[1], 0.7, g.shape) / 0.7, None),
)


@pytest.mark.slow
def test_a_raw_random_key_is_not_batched():
    report = verify.check(DROPPED, normal(5, 6), jax.random.PRNGKey(3), cases=0, checks=("gradient", "transforms"))
    assert report.ok, report


@jax.custom_jvp
def norm(x):
    return jnp.sqrt(jnp.sum(x * x, -1))


@norm.defjvp
def _(primals, tangents):
    (x,), (dx,) = primals, tangents
    size = norm(x)
    return size, jnp.sum(x * dx, -1) / jnp.where(size == 0, 1, size)


def test_where_forward_mode_of_the_function_has_no_value_nothing_is_compared():
    x = np.concatenate([normal(3, 3), np.zeros((1, 3), np.float32)])
    report = verify.check(norm, x, cases=0)
    assert report.ok, report
    twice = with_arguments(lambda x: norm(x), lambda r, g: (2 * g[:, None] * r[0] / norm(r[0])[:, None],))
    assert verify.check(twice, x[:3], cases=0).verdict == "wrong"


def test_nan_of_nan_inputs_is_not_nonlinear():
    report = verify.check(norm, np.full((2, 3), np.nan, np.float32), cases=0, checks=("linearity",))
    assert not report.failures, report


def test_what_rounding_of_the_inputs_explains_at_the_call_is_right_and_a_factor_is_not():
    far = np.full((5, 6), -1e5, np.float32)  # as the logarithm of 0 in CTC
    assert verify.check(jnp.logaddexp, far, far, cases=0, checks=("gradient",)).ok
    half = with_arguments(jnp.logaddexp, lambda r, g: (0.25 * g, 0.25 * g))
    assert verify.check(half, far, far, cases=0, checks=("gradient",)).verdict == "wrong"


def fixed_point(function, a, x):
    return jax.lax.while_loop(
        lambda c: jnp.abs(c[0] - c[1]).max() > 1e-6, lambda c: (c[1], function(a, c[1])), (x, function(a, x))
    )[1]


def solve(factor):
    """From JAX's tutorial: a fixed point whose cotangent is a fixed point too; `factor` 1 is right."""
    solver = jax.custom_vjp(fixed_point, nondiff_argnums=(0,))

    def fwd(function, a, x):
        end = solver(function, a, x)
        return end, (a, end)

    def bwd(function, residuals, g):
        a, end = residuals
        back = jax.vjp(lambda x: function(a, x), end)[1]
        w = solver(lambda held, u: held + back(u)[0], g, g)
        return factor * jax.vjp(lambda a: function(a, end), a)[1](w)[0], jnp.zeros_like(end)

    solver.defvjp(fwd, bwd)
    return lambda a, x: solver(lambda a, x: 0.5 * jnp.tanh(x) + a, a, x)


@pytest.mark.parametrize("factor", one_in(2, [1.001, 1.0]))
def test_a_solver_is_judged_by_what_its_tolerance_leaves(factor):
    report = verify.check(solve(factor), normal(4), normal(4), cases=0)
    assert report.ok == (factor == 1), report


def expm_bwd(r, g):
    (a,) = r
    zero = jnp.zeros_like(a)
    return (jax.scipy.linalg.expm(jnp.block([[a.T, g], [zero, a.T]]))[: a.shape[0], a.shape[0] :],)


@pytest.mark.slow
def test_a_backward_rule_that_chooses_its_steps_by_the_cotangent_is_linear():
    own = with_arguments(lambda a: jax.scipy.linalg.expm(a), expm_bwd)
    report = verify.check(own, normal(3, 3) / 2, cases=0, checks=("gradient", "linearity"))
    assert report.ok, report


def plan(cost):
    """A transport plan by scaling, whose kernel underflows in float32 at large costs."""
    kernel = jnp.exp(-cost)
    u = 1 / kernel.sum(1)
    return u[:, None] * kernel


def test_where_the_function_itself_has_no_value_its_rule_is_not_blamed():
    own = rule(lambda c: (plan(c) * c).sum(0), lambda c: ((plan(c) * c).sum(0), c), plan_bwd)
    assert verify.check(own, np.abs(normal(4, 5)), checks=("gradient", "finite", "conditioning")).ok


def plan_bwd(c, g):
    p = plan(c)
    weights = g * (1 - c)
    return (p * (weights + (p * c * g).sum(1, keepdims=True)),)


@pytest.mark.parametrize(("guard", "verdict"), [(1e-12, "right"), (1e-4, "wrong")])
def test_a_guard_beside_elements_without_a_derivative(guard, verdict):
    own = with_arguments(lambda x: jnp.sqrt(x), lambda r, g: (g * 0.5 / jnp.sqrt(r[0] + guard),))
    report = verify.check(own, np.abs(normal(6)) + np.float32(0.2), cases=0, checks=("gradient",))
    assert report.verdict == verdict, report


def test_numbers_between_zero_and_the_smallest_are_not_asked_of_what_is_positive():
    own = with_arguments(lambda x: jnp.sqrt(x), lambda r, g: (g * 0.5 / jnp.sqrt(jnp.maximum(r[0], 1e-12)),))
    assert verify.check(own, np.abs(normal(6)) + np.float32(0.2), cases=0).ok
