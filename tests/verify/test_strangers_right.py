"""Right rules and functions that a sample from public packages saw called wrong, each beside a faulty twin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import joined, with_arguments
from verify.checks import exact

pytestmark = pytest.mark.usefixtures("a_users_jax")
RNG = np.random.default_rng(9)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def rendered(density, color, step):
    """Emission and absorption along a ray."""
    seen = jnp.exp(-jnp.concatenate([jnp.zeros_like(density[:1]), jnp.cumsum(density * step)[:-1]]))
    return ((1 - jnp.exp(-density * step)) * seen) @ color


@pytest.mark.parametrize("wrong", [True, False])
def test_what_is_left_where_a_whole_cotangent_vanishes_is_rounding(wrong):
    """Behind equal colors no density matters: the rule subtracts two sums of colors and is left with their rounding."""

    def bwd(r, g):
        density, color, step = r
        depth = density * step
        seen = jnp.exp(-jnp.concatenate([jnp.zeros_like(depth[:1]), jnp.cumsum(depth)[:-1]]))
        weight, along = (1 - jnp.exp(-depth)) * seen, color @ g
        behind = jnp.cumsum((weight * along)[::-1])[::-1] - (0 if wrong else weight * along)
        depth_bar = seen * jnp.exp(-depth) * along - behind
        return depth_bar * step, jnp.outer(weight, g), depth_bar * density

    rng = np.random.default_rng(2)
    density, step = (np.abs(rng.standard_normal(6)).astype(np.float32) + np.float32(0.2) for _ in range(2))
    args = (density, rng.uniform(0.1, 0.9, (6, 3)).astype(np.float32), step)
    report = verify.check(with_arguments(rendered, bwd), *args, checks=("contract", "gradient"))
    assert report.ok is not wrong, report


def gaussian(x, y):
    return jnp.exp(-0.5 * ((x[:, None] - y[None]) ** 2).sum(-1))


@pytest.mark.parametrize("factor", [1, 1.001])
def test_what_is_left_between_points_far_apart_is_rounding(factor):
    """The mean of a Gaussian kernel: at 130 dimensions only each point with itself counts, for which the rule takes
    the point times the sum of its row from the row times the points."""

    def bwd(r, g):
        (x,) = r
        k = gaussian(x, x)
        return (factor * 2 * g * (k @ x - k.sum(1)[:, None] * x) / k.size,)

    rule = with_arguments(lambda x: gaussian(x, x).mean(), bwd)
    report = verify.check(rule, normal(6, 2), checks=("gradient", "adjoint"))
    assert report.ok is (factor == 1), report


def test_exact_integers_are_not_asked_of_complex_fractions():
    magnitudes = lambda a: jnp.abs(jnp.linalg.eigvals(a))  # noqa: E731
    report = verify.check(magnitudes, normal(3, 3), checks=("gradient", "adjoint", "exact"), cases=0)
    assert report.ok, report


@pytest.mark.parametrize("wrong", [True, False])
def test_exact_integers_are_asked_of_complex_products(wrong):
    def bwd(r, g):
        a, b = r
        return g * b, g * a * (1 + 1e-6 * wrong)

    rule = with_arguments(lambda a, b: a * b, bwd)
    args = [(normal(4) + 1j * normal(4)).astype(np.complex64) for _ in range(2)]
    report = verify.check(rule, *args, checks=("exact",), cases=0)
    passed = [o.status == "passed" for o in report.outcomes if o.check == exact.NAME]
    assert passed == [not wrong], report


def test_a_rule_that_a_module_holds_is_one_rule_and_its_arrays_are_copied():
    @jax.custom_vjp
    def own(x):
        return jnp.sin(x)

    own.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (g * jnp.cos(x),))

    class Module:
        def __init__(self):
            self.w, self.calls, self.activations = normal(3, 3), [], (own, jax.nn.relu)

    def step(module, x):
        module.calls.append(1)
        module.w += 1
        return sum(activation(x @ module.w).sum() for activation in (*module.activations, jax.nn.relu))

    module = Module()
    w = module.w.copy()
    reports = verify.check_all(step, module, normal(2, 3), checks=("gradient",), cases=0)
    assert [r.rule.split(".")[-1].split()[0] for r in reports] == ["own", "relu"]
    assert all(r.ok for r in reports)
    assert module.calls == []
    assert np.array_equal(module.w, w)


def csr_product(values, columns, pointers, x):
    """A sparse matrix, row by row, times a vector."""
    rows = jnp.searchsorted(pointers, jnp.arange(values.shape[0]), side="right") - 1
    return jnp.zeros(pointers.shape[0] - 1, values.dtype).at[rows].add(values * x[columns])


def csr_product_bwd(r, g, *, wrong):
    values, columns, pointers, x = r
    rows = jnp.searchsorted(pointers, jnp.arange(values.shape[0]), side="left" if wrong else "right") - 1
    return g[rows] * x[columns], None, None, jnp.zeros_like(x).at[columns].add(g[rows] * values)


def means(x, sizes):
    """The mean of each graph of a batch, whose nodes follow one another."""
    graphs = jnp.repeat(jnp.arange(sizes.shape[0]), sizes, total_repeat_length=x.shape[0])
    return jax.ops.segment_sum(x, graphs, sizes.shape[0]) / sizes[:, None]


def means_bwd(r, g, *, wrong):
    x, sizes = r
    graphs = jnp.repeat(jnp.arange(sizes.shape[0]), sizes, total_repeat_length=x.shape[0])
    return g[graphs] / (sizes[0] if wrong else sizes[graphs][:, None]), None


COLUMNS, POINTERS = np.array([0, 2, 1, 3, 0, 2], np.int32), np.array([0, 2, 3, 6], np.int32)
DIVIDED = {
    "row pointers": (csr_product, csr_product_bwd, (normal(6), COLUMNS, POINTERS, normal(4))),
    "group sizes": (means, means_bwd, (normal(7, 3), np.array([2, 4, 1], np.int32))),
}


@pytest.mark.parametrize("wrong", [True, False])
@pytest.mark.parametrize("kind", DIVIDED)
def test_integers_that_divide_rows_divide_those_of_other_calls(kind, wrong):
    fun, bwd, args = DIVIDED[kind]
    report = verify.check(joined(fun, bwd, wrong), *args, checks=("contract", "gradient", "finite"))
    assert report.ok is not wrong, report


@pytest.mark.parametrize("wrong", [True, False])
def test_a_hermitian_matrix_stays_one(wrong):
    """A state that evolves: the decomposition reads one triangle of the matrix, the rule all of it."""

    def evolved(h, state, t):
        w, v = jnp.linalg.eigh(h)
        return v @ (jnp.exp(-1j * w * t) * (v.conj().T @ state))

    def bwd(r, g):
        h, state, t = r
        rate = -1j * (h @ evolved(h, state, t))
        back = evolved(h if wrong else h.conj(), g, t).astype(state.dtype)
        return jnp.zeros_like(h), back, (g * rate).sum().real.astype(t.dtype)

    a, state = normal(4, 4) + 1j * normal(4, 4), normal(4) + 1j * normal(4)
    h = ((a + a.conj().T) / 2).astype(np.complex64)
    options = {"argnums": (1, 2), "checks": ("contract", "gradient", "differences")}
    report = verify.check(with_arguments(evolved, bwd), h, state.astype(np.complex64), np.float32(0.7), **options)
    assert report.ok is not wrong, report


def towards_pi(x):
    """A loop that reverse mode does not reach through; a few steps from π its derivative is the rounding of 1 + cos."""
    return jax.lax.fori_loop(0, jnp.argmax(x * 0) + 5, lambda _, x: x + jnp.sin(x), x)


@pytest.mark.parametrize("wrong", [True, False])
def test_forward_mode_is_believed_as_far_as_its_own_rounding_goes(wrong):
    def bwd(r, g):
        (x,) = r
        slope = g
        for step in range(5):
            slope = slope * (2 * jnp.cos(x / 2) ** 2 * (1.001 if wrong and step == 0 else 1.0))
            x = x + jnp.sin(x)
        return (slope,)

    x = np.array([0.05, -0.3, 1.9, 2.5], np.float32)
    report = verify.check(with_arguments(towards_pi, bwd), x, checks=("contract", "adjoint"))
    assert report.ok is not wrong, report


def cosines(a, b):
    """PyTorch's cosine similarity."""
    norms = jnp.linalg.norm(a, axis=-1) * jnp.linalg.norm(b, axis=-1)
    return (a * b).sum(-1) / jnp.maximum(norms, 1e-8)


def cosines_bwd(r, g, *, wrong):
    a, b = r
    of_a, of_b = jnp.linalg.norm(a, axis=-1, keepdims=True), jnp.linalg.norm(b, axis=-1, keepdims=True)
    norms = jnp.maximum(of_a * of_b, 1e-8)
    cosine = (a * b).sum(-1, keepdims=True) / norms
    a_bar = b / norms - cosine * a / jnp.maximum(of_a, 1e-8) ** 2
    b_bar = a / norms - (0 if wrong else cosine * b / jnp.maximum(of_b, 1e-8) ** 2)
    return g[:, None] * a_bar, g[:, None] * b_bar


@pytest.mark.parametrize("wrong", [True, False])
def test_what_a_guard_leaves_where_an_argument_is_subnormal_is_no_fault(wrong):
    report = verify.check(
        joined(cosines, cosines_bwd, wrong), normal(4, 5), normal(4, 5), checks=("contract", "gradient")
    )
    assert report.ok is not wrong, report
