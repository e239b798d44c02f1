"""Rules as strangers write them: faults that only other calls than the example show, and calls that used to raise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify

X = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)


def rule(fun, bwd):
    wrapped = jax.custom_vjp(fun)
    wrapped.defvjp(lambda x: (fun(x), x), bwd)
    return wrapped


def sin(x):
    return jnp.sin(x)


def only_float32(x):
    assert x.dtype == jnp.float32
    return jnp.sin(x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def every(x, stride=1):
    return x[:, ::stride]


every.defvjp(
    lambda x, stride: (every(x, stride), x.shape),
    lambda stride, shape, g: (jnp.zeros(shape, g.dtype).at[:, : g.shape[1]].set(g),),
)


def _in_blocks(x, g):
    """In float32 as a kernel goes, by blocks of 128, of which the third is forgotten."""
    kept = jnp.arange(x.shape[0]) < 256 if x.dtype == jnp.float32 else True
    return (g * jnp.cos(x) * jnp.reshape(kept, (-1, 1)),)


WRONG = {
    "rows beyond 256, in float32 alone": rule(sin, _in_blocks),
    "columns beyond 128": rule(sin, lambda x, g: (g * jnp.cos(x) * (jnp.arange(x.shape[-1]) < 128),)),
    "flushed": rule(lambda x: x * 1.0, lambda x, g: (jnp.where(jnp.abs(g) < 1e-4, 0, g),)),
    "clipped": rule(lambda x: x * 1.0, lambda x, g: (jnp.clip(g, -10, 10),)),
    "a default stride": every,
}


@pytest.mark.parametrize("name", WRONG)
def test_fault_beyond_the_example_is_seen(name):
    assert verify.check(WRONG[name], X).verdict == "wrong"


def cosine(x, g):
    return (g * jnp.cos(x),)


@pytest.mark.parametrize(
    ("function", "argument", "verdict"),
    [
        (rule(only_float32, cosine), X, "right"),
        (rule(sin, cosine), 3.14, "right"),
        (rule(sin, cosine), X[:0], "could not be checked"),
    ],
    ids=["insists on float32", "a Python float", "no entries"],
)
def test_no_call_raises(function, argument, verdict):
    assert verify.check(function, argument).verdict == verdict


@pytest.mark.parametrize(
    ("function", "args", "checks"),
    [
        (jnp.cbrt, (X,), ("gradient", "forward")),
        (jnp.std, (X,), ("gradient", "forward")),
    ],
    ids=["subnormal numbers", "the deviation of equal numbers"],
)
def test_rounding_of_the_function_itself_is_no_fault(function, args, checks):
    report = verify.check(function, *args, checks=checks)
    assert report.ok, report


def test_what_float16_cannot_hold_is_a_note_of_a_float32_call_and_wrong_of_a_float16_one():
    overflowing = rule(lambda x: x * 1.0, lambda x, g: (g * 7e4 / 7e4,))  # 70,000 is beyond float16
    report = verify.check(overflowing, X, cases=0, checks=("gradient", "low precision"))
    assert report.ok
    assert any("in float16, " in n and "not finite" in n for n in report.notes), report
    half = verify.check(overflowing, X.astype(np.float16), cases=0, checks=("gradient", "finite", "low precision"))
    assert half.verdict == "wrong"


def test_a_forward_rule_with_another_value_is_still_seen_where_rounding_is_loud():
    other = jax.custom_vjp(lambda x: jnp.std(x))
    other.defvjp(lambda x: (jnp.std(x) + 1e-3, x), lambda x, g: (jax.grad(jnp.std)(x) * g,))
    report = verify.check(other, X, checks=("gradient", "forward"))
    assert report.failures[0].check == "forward"


class Literal(float):
    """As JAX's own typed literals, which reach a rule that a test suite calls: a dtype, and no shape."""

    dtype = np.dtype("float32")


def test_a_number_with_a_dtype_and_no_shape_is_a_python_number():
    scaled = jax.custom_vjp(lambda x, s: x * float(s), nondiff_argnums=(1,))
    scaled.defvjp(lambda x, s: (x * float(s), None), lambda s, _, g: (g * float(s),))
    report = verify.check(scaled, X, Literal(0.5), cases=0)
    assert report.ok, report
    assert report.call == "f32[4,6], 0.5"


@pytest.mark.parametrize(("factor", "verdict"), [(1, "right"), (2, "wrong")])
def test_a_literal_index_beside_one_that_is_given(factor, verdict):
    """In float64 the literal is an int64, and the given one an int32."""

    def written(cache, rows, position):
        return jax.lax.dynamic_update_slice(cache, rows, (position, 0))

    def bwd(res, g):
        position, rows = res
        kept = jax.lax.dynamic_update_slice(g, jnp.zeros_like(rows), (position, 0))
        return kept, factor * jax.lax.dynamic_slice(g, (position, 0), rows.shape), None

    made = jax.custom_vjp(written)
    made.defvjp(lambda cache, rows, position: (written(cache, rows, position), (position, rows)), bwd)
    report = verify.check(made, X, X[:2], np.int32(1), checks=("gradient",))
    assert report.verdict == verdict, report


@pytest.mark.parametrize("factor", [1, 2])
def test_no_more_rows_are_written_apart_than_there_are(factor):
    rule = jax.custom_vjp(lambda x, rows, v: x.at[rows].set(v))
    rule.defvjp(
        lambda x, rows, v: (x.at[rows].set(v), rows),
        lambda rows, g: (g.at[rows].set(0), None, factor * g[rows]),
    )
    report = verify.check(rule, X, np.array([3, 0, 2]), X[:3] + 1, checks=("gradient", "forward"))
    assert report.ok is (factor == 1), report
    assert factor == 1 or report.failures[0].argument == "v"
