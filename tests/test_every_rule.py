"""Properties of every rule beyond its own test file: its pair is its custom_vjp, its dtypes are those of its inputs,
and every transformation of JAX works on it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests.catalogue import ONE_OF_EACH_KERNEL, ONE_OF_EACH_RULE, SUBJECTS, named
from tests.oracles.agreement import (
    LOOPS,
    as_jax,
    assert_close,
    assert_trees_close,
    at_positions,
    cotangent_like,
    expected_cotangents,
    is_float,
)
from tests.residuals import residual_bytes
from tests.sampling import slow_but
from verify.running import quickly

every_rule = pytest.mark.parametrize("subject", SUBJECTS, ids=str)
# In other options a transformation meets the same operations; the verifier's suite asks all of them.
each_rule_once = pytest.mark.parametrize("subject", slow_but(ONE_OF_EACH_RULE, SUBJECTS), ids=str)
each_kernel_once = pytest.mark.parametrize("subject", slow_but(ONE_OF_EACH_KERNEL, SUBJECTS), ids=str)

# Sums of integer products, and choices among integers; ties="split" divides by the number of ties, perhaps 3.
WHOLE = [
    s
    for s in SUBJECTS
    if s.exact
    or s.name in ("relu", "relu6", "leaky_relu-negative", "max_pool2d-first", "max_pool2d-last", "max_pool2d-all")
]


ROUNDED_ON_THE_WAY = (purecnn.softmax,)


def pullback(subject):
    """(args, ȳ) -> the cotangents of the floating arguments, by the joined rule's own custom_vjp."""

    def bars(args, y_bar):
        chosen = subject.differentiable(args)
        _, vjp = jax.vjp(at_positions(subject.call, args, chosen), *(args[i] for i in chosen))
        return vjp(y_bar)

    return bars


def present(bars):
    return [bar for bar in bars if bar is not None]


@every_rule
def test_pair_by_hand_is_the_joined_rule(subject):
    args = subject.arguments("float32")
    y_bar = cotangent_like(jax.eval_shape(subject.call, *args))

    @quickly
    def compare(args, y_bar):
        y, bars = subject.pair(args, y_bar)
        without_rule = subject.rule.__wrapped__(*args, **subject.options)
        return (y, present(bars)), (subject.call(*args), pullback(subject)(args, y_bar)), without_rule

    by_hand, joined, primal = compare(args, y_bar)
    assert_trees_close(by_hand, joined, 0, str(subject))
    assert_trees_close(by_hand[0], primal, 0, str(subject))


@every_rule
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_cotangent_has_the_dtype_of_its_primal(subject, dtype):
    with jax.enable_x64(dtype == "float64"):
        args = subject.arguments(dtype)
        y_bar = jax.eval_shape(subject.call, *args)
        y, bars = jax.eval_shape(subject.pair, args, y_bar)
    assert jax.tree.leaves(y)[0].dtype == dtype
    for argument, bar in zip(args, bars, strict=True):
        if is_float(argument):
            assert (bar.dtype, bar.shape) == (argument.dtype, argument.shape)
        else:
            assert bar is None


@every_rule
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_result_is_as_close_to_that_of_float64_as_its_dtype_allows(subject, dtype):
    """In 16 bits a result computed in float32 is off by its one rounding at the end, half a unit; a few factors rounded
    on the way, or y among the residuals, are a few halves more. A bias is added to rounded products. Float64 is tested
    in the file of each rule."""
    args = subject.arguments(dtype)
    y_bar = cotangent_like(jax.eval_shape(subject.call, *args))
    y, bars = quickly(subject.pair)(args, y_bar)
    expected_y, expected = expected_cotangents(subject, args, y_bar, LOOPS)
    once = dtype in ("float16", "bfloat16") and subject.rule not in ROUNDED_ON_THE_WAY
    biased = subject.rule in (purecnn.conv2d, purecnn.conv_transpose2d, purecnn.dense) and args[2] is not None
    half = float(jnp.finfo(dtype).eps) / 2
    assert_trees_close(y, expected_y, (2.04 if once and biased else 1.02 if once else 8) * half, f"{subject}: y")
    assert_trees_close(present(bars), present(expected), (1.02 if once else 8) * half, f"{subject}: cotangents")


def kept_bytes(subject, function, dtype):
    args = subject.arguments(dtype)
    chosen = subject.differentiable(args)
    return residual_bytes(
        lambda *some: jax.vjp(at_positions(function, args, chosen), *some), *(args[i] for i in chosen)
    )


@every_rule
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_residuals_beside_inputs_and_output_are_at_most_those_of_autodiff(subject, dtype):
    assert kept_bytes(subject, subject.call, dtype) <= kept_bytes(subject, subject.plainly, dtype)


def test_residual_bytes_are_those_of_what_is_kept_beside_inputs_and_output():
    pool, dense = named("max_pool2d-first"), named("dense")
    y = jax.eval_shape(pool.call, *pool.arguments("float32"))
    assert kept_bytes(pool, pool.call, "float32") == y.size  # a byte each
    assert kept_bytes(dense, lambda *args: jnp.sin(dense.call(*args)), "float32") == 3 * 2 * 4  # cos y
    assert kept_bytes(dense, lambda *args: 2 * dense.call(*args), "float32") == 0


@pytest.mark.parametrize("subject", WHOLE, ids=str)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_integers_stay_exact(subject, dtype):
    rng = np.random.default_rng(5)
    shapes = subject.arguments("float32")
    args = tuple(None if a is None else as_jax(rng.integers(-2, 3, a.shape) * 1.0, dtype) for a in shapes)
    y_bar = cotangent_like(jax.eval_shape(subject.call, *args), integers=True)
    y, bars = quickly(subject.pair)(args, y_bar)
    expected_y, expected = expected_cotangents(subject, args, y_bar, LOOPS)
    assert_close(y, expected_y, 0, f"{subject}: y")
    assert_trees_close(present(bars), present(expected), 0, f"{subject}: cotangents")


@each_kernel_once
def test_vmap_over_every_argument_is_a_loop(subject, x64):
    first, second = subject.arguments(seed=0), subject.arguments(seed=1)
    y_bars = [cotangent_like(jax.eval_shape(subject.call, *first), seed) for seed in (2, 3)]
    chosen = subject.differentiable(first)
    several = [chosen] if len(chosen) > 1 else []

    @quickly
    def compare(first, second, y_bars):
        pairs = []
        for batched in [(i,) for i in chosen] + several:
            mixed = [second[i] if i in batched else a for i, a in enumerate(first)]
            rows = [subject.pair(first, y_bars[0]), subject.pair(mixed, y_bars[1])]
            expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)
            stacked = [
                jnp.stack([a, m]) if i in batched else a for i, (a, m) in enumerate(zip(first, mixed, strict=True))
            ]
            axes = [0 if i in batched else None for i in range(len(first))]

            def value_and_bars(args, y_bar):
                return subject.call(*args), pullback(subject)(args, y_bar)

            mapped = jax.vmap(value_and_bars, in_axes=(axes, 0))
            got = mapped(stacked, jax.tree.map(lambda *leaves: jnp.stack(leaves), *y_bars))
            pairs.append((got, expected))
        return pairs

    for got, expected in compare(first, second, y_bars):
        assert_trees_close(got, expected, 1e-12, str(subject))


def waves(subject, args, function):
    """A scalar that is not linear in y: every second derivative takes part."""
    return sum(jnp.sin(y).sum() for y in jax.tree.leaves(function(*args)))


@each_rule_once
def test_scan_and_remat_change_nothing(subject, x64):
    args = subject.arguments()
    chosen = subject.differentiable(args)
    some = [args[i] for i in chosen]

    def loss(some):
        return waves(subject, some, at_positions(subject.call, args, chosen))

    @quickly
    def three_ways(some):
        def step(total, some):
            value, bars = jax.value_and_grad(loss)(some)
            return total + value, bars

        twice = [jnp.stack([a, a]) for a in some]
        total, scanned = jax.lax.scan(step, jnp.zeros(()), twice)
        return jax.grad(loss)(some), jax.grad(jax.checkpoint(loss))(some), [bar[1] for bar in scanned], total

    plain, rematerialised, scanned, _ = three_ways(some)
    assert_trees_close(rematerialised, plain, 1e-12, f"{subject}: remat")
    assert_trees_close(scanned, plain, 1e-12, f"{subject}: scan")


@each_rule_once
def test_reverse_over_reverse_agrees_with_autodiff(subject, x64):
    args = subject.arguments()
    chosen = subject.differentiable(args)
    some = [args[i] for i in chosen]
    directions = cotangent_like(some, seed=4)

    def curvature(function):
        def slope(some):
            bars = jax.grad(lambda some: waves(subject, some, at_positions(function, args, chosen)))(some)
            return sum((v * bar).sum() for v, bar in zip(directions, bars, strict=True))

        return jax.grad(slope)

    got, expected = quickly(lambda some: (curvature(subject.call)(some), curvature(subject.plainly)(some)))(some)
    assert any(np.any(np.asarray(bar)) for bar in expected)
    assert_trees_close(got, expected, 1e-11, str(subject))
