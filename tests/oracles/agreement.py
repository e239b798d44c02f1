"""Is a backward rule right? `assert_cotangents` asks three oracles, none of which knows how the rule was derived."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verify.running import quickly

AUTODIFF, LOOPS, DIFFERENCES = "autodiff of the plain forward", "loops", "finite differences"
ORACLES = (AUTODIFF, LOOPS, DIFFERENCES)


@dataclass(frozen=True, eq=False)
class Subject:
    """A rule with arguments to try it at, and the oracles for it."""

    name: str
    rule: Callable[..., Any]
    fwd: Callable[..., Any]
    bwd: Callable[..., Any]
    plain: Callable[..., Any]
    loops: Callable[..., Any]
    make: Callable[[np.random.Generator], tuple[Any, ...]]  # float64 arguments
    options: dict[str, Any] = field(default_factory=dict)
    exact: bool = False  # only sums of products: integers stay integers, and a step of 1 is no approximation
    names: tuple[str, ...] = ("x", "w", "b")

    def __str__(self):
        return self.name

    def arguments(self, dtype="float64", seed=0):
        return tuple(as_jax(a, dtype) for a in self.make(np.random.default_rng(seed)))

    def differentiable(self, args):
        return tuple(i for i, a in enumerate(args) if is_float(a))

    def call(self, *args):
        return self.rule(*args, **self.options)

    def plainly(self, *args):
        return self.plain(*args, **self.options)

    def pair(self, args, y_bar, bwd=None):
        """y and the cotangents, by the forward and backward rules called by hand."""
        y, residuals = self.fwd(*args, **self.options)
        return y, (bwd or self.bwd)(residuals, y_bar, **self.options)

    def backward(self, *args, y_bar=1.0, **options):
        """The cotangents for ȳ everywhere `y_bar` (a number, or an array of y's shape), by the pair, compiled."""
        options = {**self.options, **options}

        def cotangents(*args):
            y, residuals = self.fwd(*args, **options)
            return self.bwd(residuals, jnp.broadcast_to(jnp.asarray(y_bar, y.dtype), y.shape), **options)

        return quickly(cotangents)(*args)

    def variant(self, name, **options):
        """The same rule with other options."""
        return replace(self, name=f"{self.rule.__name__}-{name}", options={**self.options, **options})


def is_float(a):
    return hasattr(a, "dtype") and jnp.issubdtype(a.dtype, jnp.floating)


def as_jax(a, dtype="float64"):
    return jnp.asarray(a, dtype) if isinstance(a, np.ndarray) and is_float(a) else a if a is None else jnp.asarray(a)


def as_numpy(a):
    """Floats in float64; keys as they are."""
    return np.asarray(a, np.float64) if is_float(a) else a if is_key(a) else np.asarray(a)


def is_key(a):
    return a is None or jnp.issubdtype(a.dtype, jax.dtypes.prng_key)


def cotangent_like(y, seed=1, integers=False):
    """A random ȳ, of the shape and dtype of every array in y."""
    rng = np.random.default_rng(seed)

    def draw(a):
        return jnp.asarray(rng.integers(-2, 3, a.shape) if integers else rng.normal(size=a.shape), a.dtype)

    return jax.tree.map(draw, y)


def assert_close(got, expected, tolerance, where=""):
    """Shapes equal, and every entry within `tolerance` of the largest expected one (0: equal)."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    assert got.shape == expected.shape, f"{where}: got shape {got.shape}, expected {expected.shape}"
    with np.errstate(invalid="ignore"):
        error = np.where(got == expected, 0.0, np.abs(got - expected))  # infinities that agree have no error
    allowed = tolerance * np.abs(expected).max(initial=0.0, where=np.isfinite(expected))
    if not (error <= allowed).all():
        at = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error)), error.shape)
        raise AssertionError(f"{where}: at {tuple(map(int, at))}: got {got[at]}, expected {expected[at]} ± {allowed}")


def assert_trees_close(got, expected, tolerance, where=""):
    got, expected = jax.tree.leaves(got), jax.tree.leaves(expected)
    assert len(got) == len(expected), f"{where}: got {len(got)} arrays, expected {len(expected)}"
    for i, (g, e) in enumerate(zip(got, expected, strict=True)):
        assert_close(g, e, tolerance, f"{where}[{i}]")


def expected_cotangents(subject, args, y_bar, oracle):
    """y (None from differences) and one cotangent per argument, None where it has none."""
    if oracle == LOOPS:
        return subject.loops(jax.tree.map(np.asarray, y_bar), *map(as_numpy, args), **subject.options)
    chosen = subject.differentiable(args)
    if oracle == AUTODIFF:
        y, vjp = jax.vjp(at_positions(subject.plainly, args, chosen), *(args[i] for i in chosen))
        return y, in_place(vjp(y_bar), args, chosen)
    step = 1.0 if subject.exact else 1e-5
    function = at_positions(subject.call, args, chosen)
    return None, in_place(differences(function, [args[i] for i in chosen], y_bar, step, subject.exact), args, chosen)


def differences(function, args, y_bar, step, one_sided):
    """⟨ȳ, f(x + h e) − f(x − h e)⟩ / 2h for every unit vector e of every argument; of a linear f, f(x + e) − f(x)."""

    def weighed(*args):
        products = jax.tree.map(lambda b, y: (b * y).sum(), y_bar, function(*args))
        return functools.reduce(jnp.add, jax.tree.leaves(products))

    bars = []
    for i, a in enumerate(args):

        def slope(e, i=i):
            up, down = ([*args[:i], args[i] + s * e, *args[i + 1 :]] for s in (step, 0 if one_sided else -step))
            return (weighed(*up) - weighed(*down)) / (step if one_sided else 2 * step)

        units = jnp.eye(a.size, dtype=a.dtype).reshape(a.size, *a.shape)
        bars.append(jax.lax.map(slope, units).reshape(a.shape))
    return bars


def at_positions(function, args, positions):
    """`function` of the arguments at `positions` alone, the others held."""

    def of_some(*some):
        full = list(args)
        for i, a in zip(positions, some, strict=True):
            full[i] = a
        return function(*full)

    return of_some


def in_place(bars, args, positions):
    full = [None] * len(args)
    for i, bar in zip(positions, bars, strict=True):
        full[i] = bar
    return tuple(full)


@functools.cache
def at_defaults(subject: Subject, oracle):
    """The subject's own arguments, a random ȳ, and what the oracle says there."""
    args = subject.arguments()
    y_bar = cotangent_like(jax.eval_shape(subject.plainly, *args))
    return args, y_bar, compiled_oracle(subject, args, y_bar, oracle)


def compiled_oracle(subject, args, y_bar, oracle):
    if oracle == LOOPS:
        return expected_cotangents(subject, args, y_bar, oracle)
    compute = functools.partial(expected_cotangents, subject, oracle=oracle)
    return quickly(compute)(args, y_bar)


def assert_cotangents(subject: Subject, args=None, *, bwd=None, oracles=ORACLES, integers=False, tolerance=1e-12):
    """In float64, the pair's value and cotangents equal every oracle's: to `tolerance`, or exactly for integers.

    `args` are the subject's own if not given; `bwd` stands in for the subject's backward rule.
    """
    got, known = pair_and_oracles(subject, args, bwd, oracles, integers)
    for oracle, expected in known.items():
        assert_agrees(subject, got, oracle, expected, allowed(oracle, integers, tolerance))


def pair_and_oracles(subject, args, bwd, oracles, integers):
    """y and cotangents of the pair, and what each oracle says, in float64."""
    with jax.enable_x64(True):
        if args is not None:
            args = tuple(as_jax(a) for a in args)
            y_bar = cotangent_like(jax.eval_shape(subject.plainly, *args), integers=integers)
            known = {oracle: compiled_oracle(subject, args, y_bar, oracle) for oracle in oracles}
        else:
            known = {oracle: at_defaults(subject, oracle)[2] for oracle in oracles}
            args, y_bar, _ = at_defaults(subject, oracles[0])
        return quickly(functools.partial(subject.pair, bwd=bwd))(args, y_bar), known


def allowed(oracle, integers=False, tolerance=1e-12):
    return 0.0 if integers else 1e-8 if oracle == DIFFERENCES else tolerance


def assert_agrees(subject, got, oracle, expected, tolerance):
    """y and cotangents from the pair against those of one oracle."""
    (y, bars), (expected_y, expected_bars), where = got, expected, f"{subject}: {oracle}"
    if expected_y is not None:
        assert_trees_close(y, expected_y, tolerance, f"{where}: y")
    assert len(bars) == len(expected_bars), f"{where}: got {len(bars)} cotangents, expected {len(expected_bars)}"
    for name, bar, right in zip(subject.names, bars, expected_bars, strict=False):
        assert (bar is None) == (right is None), f"{where}: cotangent of {name}: got {bar}, expected {right}"
        if bar is not None:
            assert_close(bar, right, tolerance, f"{where}: cotangent of {name}")


def assert_variants(variants, args, *, tolerance=1e-12):
    """Several variants at the same arguments against autodiff and loops, in one compilation; ȳ is whole."""
    with jax.enable_x64(True):
        args = tuple(as_jax(a) for a in args)
        y_bar = cotangent_like(jax.eval_shape(variants[0].plainly, *args), integers=True)

        @quickly
        def together(args, y_bar):
            pairs = [subject.pair(args, y_bar) for subject in variants]
            return pairs, [expected_cotangents(subject, args, y_bar, AUTODIFF) for subject in variants]

        for subject, got, by_autodiff in zip(variants, *together(args, y_bar), strict=True):
            by_loops = expected_cotangents(subject, args, y_bar, LOOPS)
            assert_agrees(subject, got, AUTODIFF, by_autodiff, tolerance)
            assert_agrees(subject, got, LOOPS, by_loops, tolerance)


def assert_rejected(subject: Subject, faulty_bwd, args=None, *, oracles=ORACLES):
    """Every oracle on its own notices that `faulty_bwd` is not the subject's backward rule."""
    got, known = pair_and_oracles(subject, args, faulty_bwd, oracles, integers=False)
    for oracle, expected in known.items():
        try:
            assert_agrees(subject, got, oracle, expected, allowed(oracle))
        except AssertionError:
            continue
        raise AssertionError(f"{subject}: {faulty_bwd.__name__} passes: {oracle} did not notice")
