"""A derivative that the function declares by a stop_gradient is no slope of its values, and right all the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.lax import stop_gradient

import verify
from tests.verify.rules import with_arguments

RNG = np.random.default_rng(0)


def normalised(w):
    """`w` by an estimate of its size, which is held; one column enters the estimate."""
    size = jnp.sqrt((w[:, 0] ** 2).sum())
    return w / stop_gradient(size), size


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.001, "wrong")])
def test_what_a_function_holds_its_rule_may_hold(factor, verdict):
    rule = jax.custom_vjp(lambda w: normalised(w)[0])
    rule.defvjp(normalised, lambda size, g: (factor * g / size,))
    w = RNG.standard_normal((4, 3)).astype(np.float32)
    report = verify.check(rule, w, cases=0, checks=("gradient", "differences", "second order"))
    assert report.verdict == verdict, report


def softmax(z):
    e = jnp.exp(z - stop_gradient(z.max(-1, keepdims=True)))
    return e / e.sum(-1, keepdims=True)


@jax.custom_vjp
def held(p, g):
    return p * (g - (g * p).sum(-1, keepdims=True))


held.defvjp(lambda p, g: (held(p, g), p), lambda p, u: (jnp.zeros_like(p), held(p, u)))


def test_beside_a_stop_gradient_that_changes_no_slope_a_wrong_second_derivative_is_seen():
    rule = jax.custom_vjp(softmax)
    rule.defvjp(lambda z: (softmax(z),) * 2, lambda p, g: (held(p, g),))
    z = RNG.standard_normal((3, 4)).astype(np.float32)
    report = verify.check(rule, z, cases=0, checks=("gradient", "differences", "second order"))
    assert {f.check for f in report.failures} == {"second order"}, report


def test_a_wrong_second_derivative_is_blamed_on_the_cotangent_that_has_it():
    @jax.custom_vjp
    def bar(x, w, g):
        return g * w * jnp.cos(x)

    bar.defvjp(
        lambda x, w, g: (bar(x, w, g), (x, w, g)),
        lambda r, u: (u * r[2] * r[1] * -jnp.sin(r[0]), 2 * u * r[2] * jnp.cos(r[0]), u * r[1] * jnp.cos(r[0])),
    )
    rule = jax.custom_vjp(lambda x, w: jnp.sin(x) * w)
    rule.defvjp(lambda x, w: (jnp.sin(x) * w, (x, w)), lambda r, g: (bar(*r, g), g * jnp.sin(r[0])))
    x, w = RNG.standard_normal((2, 5)).astype(np.float32)
    report = verify.check(rule, x, w, cases=0, checks=("gradient", "second order"))
    assert [f.argument for f in report.failures] == ["x"], report
    assert "derivative by w" in report.failures[0].message


def weighted(x, b):
    """log Σ b exp x, where b = 0 leaves an entry out: autodiff loses its slope along b there."""
    kept = jnp.where(b != 0, x, -jnp.inf)
    top = stop_gradient(kept.max(axis=-1))
    return jnp.log((b * jnp.exp(kept - top[:, None])).sum(axis=-1)) + top


def test_a_stop_gradient_that_changes_no_slope_excuses_none():
    x = RNG.standard_normal((3, 4)).astype(np.float32)
    b = np.array([[0, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 1]], np.float32)
    report = verify.check(weighted, x, b, checks=("gradient", "differences"), cases=0)
    assert [(f.check, f.argument) for f in report.failures] == [("differences", "b")]
    assert verify.check(weighted, x, b + 1, checks=("gradient", "differences"), cases=0).ok


def products(x, segments):
    return jax.ops.segment_prod(x, segments, 3)


@pytest.mark.parametrize("faulty", [True, False])
def test_where_autodiff_knows_nothing_other_numbers_are_compared_with_differences(faulty):
    """Of a product with one 0, that 0 alone has a cotangent."""

    def bwd(res, g):
        x, segments = res
        others = (segments[:, None] == segments[None]) & ~jnp.eye(len(x), dtype=bool)
        divided = jnp.where(x == 0, 0, products(x, segments)[segments] / jnp.where(x == 0, 1, x))
        return g[segments] * (divided if faulty else jnp.where(others, x[None], 1).prod(1)), None

    x = RNG.standard_normal(6).astype(np.float32)
    segments = np.array([0, 0, 1, 1, 1, 2], np.int32)
    report = verify.check(with_arguments(products, bwd), x, segments, checks=("contract", "gradient", "differences"))
    assert report.verdict == ("wrong" if faulty else "right"), report


def test_where_autodiff_of_a_function_without_rules_is_no_slope_it_is_not_asked():
    """At 0, where autodiff of the sign is 0, x / (1 + |x|) written with it has the slope 1."""
    x = RNG.standard_normal(6).astype(np.float32)
    report = verify.check(lambda x: jnp.sign(x) * jnp.abs(x) / (1 + jnp.abs(x)), x)
    assert report.ok, report


def decay(factor):
    """Euler's steps for y' = -a y, as long as their error allows, and held constant."""

    def solve(y0, a):
        def step(state):
            t, y, slope = state
            h = jnp.minimum(stop_gradient(jnp.sqrt(2e-4 / (a * a * jnp.abs(y) + 1e-3))), 1 - t)
            return t + h, y * (1 - a * h), slope - h / (1 - a * h)

        zero = jnp.zeros_like(y0)
        return jax.lax.while_loop(lambda state: state[0] < 1, step, (zero, y0, zero))[1:]

    def forward(y0, a):
        y, slope = solve(y0, a)
        return y, (y0, y, slope)

    rule = jax.custom_vjp(lambda y0, a: solve(y0, a)[0])
    rule.defvjp(forward, lambda r, g: (g * r[1] / r[0], factor * g * r[1] * r[2]))
    return rule


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.1, "wrong")])
def test_steps_that_follow_their_own_error_may_be_held(factor, verdict):
    report = verify.check(decay(factor), np.float32(1.3), np.float32(0.7), checks=("adjoint", "differences"))
    assert report.verdict == verdict, report
    assert factor == 1 or "differences" in {f.check for f in report.failures}


def ridge(factor):
    """Gradient descent on |X θ - y|² / 2n + |θ|² / 4 until it hardly moves, differentiated at its end."""

    def descend(X, y):
        def step(state):
            theta, _ = state
            move = 0.3 * (X.T @ (X @ theta - y) / y.size + theta / 2)
            return theta - move, jnp.abs(move).max()

        start = (jnp.zeros(X.shape[1], X.dtype), jnp.asarray(jnp.inf, X.dtype))
        return jax.lax.while_loop(lambda state: state[1] > 1e-6, step, start)[0]

    def backward(r, g):
        X, y, theta = r
        u = jnp.linalg.solve(X.T @ X / y.size + jnp.eye(theta.size, dtype=X.dtype) / 2, g) / y.size
        return factor * (jnp.outer(y - X @ theta, u) - jnp.outer(X @ u, theta)), X @ u

    rule = jax.custom_vjp(descend)
    rule.defvjp(lambda X, y: (theta := descend(X, y), (X, y, theta)), backward)
    return rule


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (2.0, "wrong")])
def test_a_loop_that_starts_at_its_solution_ends_at_once_after_a_small_step(factor, verdict):
    X, y = np.zeros((6, 3), np.float32), RNG.standard_normal(6).astype(np.float32)
    report = verify.check(ridge(factor), X, y, cases=0, checks=("linearity", "differences"))
    assert report.verdict == verdict, report


def scaled(blocks):
    """Outside JAX, as in a kernel that autodiff does not see; ḡ is added up in blocks of four rows."""

    def outside(x, g):
        return jax.pure_callback(np.multiply, jax.ShapeDtypeStruct(x.shape, x.dtype), x, g, vmap_method="expand_dims")

    def backward(residuals, y_bar):
        x, g = residuals
        rows = (y_bar * x)[: blocks(len(x)) * 4]
        return outside(y_bar, g), rows.sum(0)

    rule = jax.custom_vjp(outside)
    rule.defvjp(lambda x, g: (outside(x, g), (x, g)), backward)
    return rule


@pytest.mark.parametrize(("blocks", "verdict"), [(lambda n: -(-n // 4), "right"), (lambda n: n // 4, "wrong")])
def test_without_autodiff_other_sizes_are_compared_with_differences(blocks, verdict):
    """The last block, where it is not full, is lost at sizes that four does not divide."""
    x, g = (RNG.standard_normal(s).astype(np.float32) for s in ((8, 6), (6,)))
    report = verify.check(scaled(blocks), x, g, checks=("contract", "gradient", "adjoint", "differences"))
    assert report.verdict == verdict, report


def root(a):
    """√a by Newton's method."""
    following = lambda x: (x + a / x) / 2  # noqa: E731
    start = a + 1, following(a + 1)
    return jax.lax.while_loop(lambda s: jnp.abs(s[1] - s[0]) > 1e-6, lambda s: (s[1], following(s[1])), start)[1]


@pytest.mark.parametrize(("left", "verdict"), [(1e-17, "right"), (1e-4, "wrong")])
def test_where_an_output_stays_zero_what_a_solver_rounds_is_no_slope(left, verdict):
    def zeros_and_root(a):
        return jnp.stack([jnp.zeros_like(a), root(a), jnp.zeros_like(a), jnp.zeros_like(a)])

    rule = jax.custom_vjp(zeros_and_root)
    rule.defvjp(lambda a: (zeros_and_root(a), root(a)), lambda y, g: (g[1] / (2 * y) + left * (g[0] + g[2] + g[3]),))
    report = verify.check(rule, jnp.float32(2))
    assert report.verdict == verdict, report


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.01, "wrong")])
def test_another_slope_at_0_of_what_is_positive_in_the_example_is_a_note(factor, verdict):
    def raised(a, c):
        return root(1 + a) * c

    def backward(res, g):
        a, c = res
        inner = factor * (g * c).sum() / (2 * root(1 + a))
        return jnp.where(a > 0, inner, 3.0), g * root(1 + a)

    rule = jax.custom_vjp(raised)
    rule.defvjp(lambda a, c: (raised(a, c), (a, c)), backward)
    report = verify.check(rule, jnp.float32(0.7), jnp.array([0.3, -1.2, 0.5]))
    assert report.verdict == verdict, report
    assert verdict == "wrong" or "differences: a: outside of what the example shows, ⟨u, x̄⟩ differs" in str(report)
