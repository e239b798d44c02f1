"""What the arrays of a generated call hold. Each filler keeps the example's shape and dtype, so nothing is compiled
anew: the same program runs on ties, zeros, saturation and the rest."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.function_under_test import FLOAT, INTEGER, KEY, PERTURBED, Leaf
from verify.generate import far_from_zero, intervals, masks, read_by, thresholds
from verify.generate.divisions import divided
from verify.generate.domain import INCREASING, POSITIVE, occur_once, scale_of, side_of_zero
from verify.generate.labels import are_lengths, no_more
from verify.generate.shapes import takes_apart

Filler = Callable[[np.random.Generator, tuple[int, ...], float], np.ndarray]


def normal(rng, shape, scale):
    return scale * rng.standard_normal(shape)


def distinct(rng, shape, scale):
    """A permutation of equally spaced numbers: no two within a difference's reach of each other."""
    n = int(np.prod(shape))
    return scale * 2 * (rng.permutation(n).reshape(shape) - (n - 1) / 2 + 0.25) / max(n, 1)


def negative(rng, shape, scale):
    n = int(np.prod(shape))
    return -scale * 2 * (rng.permutation(n).reshape(shape) + 1.0) / n


def tied(rng, shape, scale):
    """Zeros and two numbers of the size that is a power of 2: of ordinary ones exactly 1, which may be special too."""
    return 2.0 ** np.round(np.log2(scale)) * rng.integers(-1, 2, shape)


def constant(rng, shape, scale):
    return np.full(shape, scale * 0.5)


def zero(rng, shape, scale):
    return np.zeros(shape)


def signed_zeros(rng, shape, scale):
    choice = rng.integers(0, 3, shape)
    return np.select(
        [choice == 0, choice == 1], [np.zeros(shape), -np.zeros(shape)], scale * rng.standard_normal(shape)
    )


def subnormal(rng, shape, scale):
    return rng.choice([-1e-40, 0.0, 1e-40, 3e-41], shape)


def of_several_magnitudes(rng, shape, scale):
    exponents = rng.permutation(np.linspace(-3, 1.5, int(np.prod(shape)))).reshape(shape)
    return scale * rng.choice([-1.0, 1.0], shape) * 10**exponents


def larger(rng, shape, scale):
    return 10 * scale * rng.standard_normal(shape)


def near_hundred(rng, shape, scale):
    return 100.0 * rng.choice([-1.0, 1.0], shape) + rng.standard_normal(shape)


def near_eight_hundred(rng, shape, scale):
    return 800.0 * rng.choice([-1.0, 1.0], shape) + rng.standard_normal(shape)


def near_minus_hundred(rng, shape, scale):
    return -100.0 - np.abs(rng.standard_normal(shape))


ORDINARY: tuple[tuple[str, Filler], ...] = (
    ("tied", tied),
    ("permuted distinct", distinct),
    ("all negative", negative),
    ("constant", constant),
    ("all zero", zero),
    ("signed zeros", signed_zeros),
    ("subnormal", subnormal),
)
FLAT = {tied, constant, zero, signed_zeros, subnormal}
WORDS = (2, 4)  # of a raw random key
ORDERS = {"sort", "top_k", "cummax", "cummin"}
FEWEST = 4  # numbers in a row that show an order
LATER = 3  # positions
STRESS: tuple[tuple[int, Filler], ...] = ((100, near_hundred), (800, near_eight_hundred))


def _with_others(leaf: Leaf, sizes: list[int]) -> Leaf:
    """A leaf whose labels are all 0, as of one segment, with 1 in the second half, where every axis takes both; one of
    which all are another number, as the lengths of sequences may be, with the number before it there."""
    labels = leaf.value
    if leaf.kind != INTEGER or labels.dtype == bool or labels.ndim == 0 or not labels.size or np.ptp(labels):
        return leaf
    number, count = int(labels.flat[0]), labels.shape[-1]
    other = 1 if number == 0 and min(sizes, default=1) > 1 and count >= FEWEST else number - 1 if number > 1 else number
    later = np.arange(count) >= (count + 1) // 2
    return replace(leaf, value=np.where(later, other, labels).astype(labels.dtype))


def _beside(number: np.ndarray, sizes: list[int]) -> np.ndarray:
    """A single integer, such as a position, and the one before it; 1 beside 0 and 2 beside 1, which as a count may not
    be 0, where every axis takes both."""
    one = int(number)
    other = one - 1 if one > 1 else one + 1 if one >= 0 and min(sizes, default=1) > one + 1 else one
    return np.array([one, other], number.dtype)


def fill(
    case: CallUnderTest, rng: np.random.Generator, fillers: dict[int, Filler], shapes: list[tuple[int, ...]]
) -> tuple:
    """Arrays for a call: `fillers` says what goes into which array (by position); the others get fresh normals of the
    example's size and domain, labels drawn from the example's labels, and other keys."""
    given = [case.tested.leaves[k] for k in case.tested.arrays]
    pairs = [(leaf.value, shape) for leaf, shape in zip(given, shapes, strict=True) if leaf.kind in (PERTURBED, FLOAT)]
    axes = [axis for value, shape in pairs for axis in zip(np.shape(value), shape, strict=True)]
    sizes = [size for size, _ in axes]
    example = [_with_others(leaf, sizes) for leaf in given]
    sorts = len(case.perturbed) == 1 and bool(ORDERS & case.tested.primitives)  # and does not ask for it sorted
    arrays = []
    for n, (leaf, shape) in enumerate(zip(example, shapes, strict=True)):
        if leaf.kind in (PERTURBED, FLOAT):
            scale = scale_of(leaf.value)
            values = fillers.get(n, normal)(rng, shape, scale)
            side = side_of_zero(leaf.domain)
            if fillers.get(n) is tied and side:  # ties are asked for here, not the boundary
                values = np.where(values == 0, 2.0 ** np.round(np.log2(scale) + 1), values)
            for domain in leaf.domain:
                values = values if domain is INCREASING and leaf.guessed and sorts else domain.onto(rng, values, scale)
            if n not in fillers:
                values = values + 0.1 * scale * side  # at the boundary only if asked
            with np.errstate(over="ignore"):
                arrays.append(values.astype(leaf.value.dtype))
        elif leaf.kind == INTEGER and leaf.value.dtype == bool:
            arrays.append(masks.drawn(rng, shape, leaf.value))
        elif leaf.kind == INTEGER and leaf.value.size:
            parts = divided(rng, n, example, shapes, case.tested.primitives)
            if parts is not None:
                arrays.append(parts.astype(leaf.value.dtype))
                continue
            labels = leaf.value if leaf.value.ndim else _beside(leaf.value, sizes)
            drawn = rng.choice(labels.ravel(), shape).astype(leaf.value.dtype)
            classes = _classes(example, shapes, labels)
            fewest = 2 if "scatter" in case.tested.primitives else FEWEST  # rows written to one place have no value
            identity = read_by.is_identity(leaf.value)
            any_order = identity and read_by.in_any_order(case, n)
            drawn = no_more(_below(drawn, classes, example), leaf.value, axes)
            if not are_lengths(leaf.value, sizes):
                drawn = _as_indices(rng, drawn, leaf.value, classes, fewest, any_order)
            # Positions that begin at 0 in the example need not, where no row is read by them.
            later = identity and leaf.value.shape[-1] >= FEWEST and read_by.as_numbers(case, n)
            arrays.append(drawn + LATER if later else drawn)
        else:
            arrays.append(_another_key(rng, leaf.value) if leaf.kind == KEY else leaf.value)
    return tuple(intervals.in_order(arrays, example))


def _another_key(rng: np.random.Generator, key: Any) -> Any:
    """Other bits, for a rule that has the example's key in it; other unsigned numbers stay."""
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        data = jax.random.key_data(key)
        return jax.random.wrap_key_data(jnp.asarray(_bits(rng, data.shape)), impl=jax.random.key_impl(key))
    raw = key.dtype == np.uint32 and key.ndim > 0 and key.shape[-1] in WORDS
    return _bits(rng, key.shape) if raw else key


def _bits(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(0, 2**32, shape, dtype=np.uint32)


def _below(drawn: np.ndarray, classes: int, example: list[Leaf]) -> np.ndarray:
    """Labels of so many classes. Those that are none, as -100 and -1 for padding, stay: no axis has as many rows."""
    longest = max((size for leaf in example for size in np.shape(leaf.value)), default=1)
    return np.where((drawn == -1) | (drawn < -longest), drawn, drawn % classes).astype(drawn.dtype)


def _as_indices(
    rng: np.random.Generator, drawn: np.ndarray, example: np.ndarray, classes: int, fewest: int, any_order: bool
) -> np.ndarray:
    """Positions in order stay in order, unless `any_order` is meant, and those that occur once stay apart, as the
    example's along its last axis: sorted segments, permutations, positions of tokens. Labels of which each occurs once
    are no permutation where there are fewer classes than labels."""
    if drawn.ndim == 0 or example.shape[-1] < fewest or not drawn.size:
        return drawn
    ordered, length, before = np.sort(example, -1), drawn.shape[-1], example.shape[-1]
    permutation = bool(np.all(ordered == np.arange(before))) and not classes < min(length, before)
    if permutation or (occur_once(example) and length <= classes):
        among = np.arange(length if permutation else classes)
        rows = rng.permuted(np.broadcast_to(among, (*drawn.shape[:-1], among.size)), axis=-1)
        drawn = rows[..., :length].astype(drawn.dtype)
    return np.sort(drawn, -1) if np.all(np.diff(example, axis=-1) >= 0) and not any_order else drawn


def _classes(example: list, shapes: list[tuple[int, ...]], labels: np.ndarray) -> int:
    """Labels must stay below the number of classes: the smallest axis that was long enough for the example's labels
    and no longer is."""
    largest = int(labels.max()) + 1
    short = [
        new
        for leaf, shape in zip(example, shapes, strict=True)
        for old, new in zip(np.shape(leaf.value), shape, strict=True)
        if old >= largest > new
    ]
    return min(short, default=max(largest, 1))


def plans(case: CallUnderTest) -> Iterator[tuple[str, dict[int, Filler], bool]]:
    """(label, fillers, stress) for every content worth trying at the example's shape."""
    positions = case.perturbed[:3]
    names = dict(zip(case.perturbed, case.names, strict=True))
    yield "fresh numbers", {}, False
    leaves = [case.tested.leaves[k] for k in case.tested.arrays]
    # A matrix that is taken apart has another rank then, or equal eigenvalues, where its parts have no derivative.
    apart = {n for n in case.perturbed if takes_apart(case) and case.arrays[n].ndim > 1}
    for n in positions:
        for label, filler in ORDINARY:
            if filler in FLAT and n in apart:
                continue
            # Between zero and the smallest normal number a logarithm or a root of what is positive is guarded anyhow.
            if filler is not subnormal or POSITIVE not in leaves[n].domain:
                yield f"{names[n]} {label}", {n: filler}, False
    several = [n for n in case.perturbed if n not in apart]
    if len(several) > 1:
        yield "every argument tied", dict.fromkeys(several, tied), False
    # What is positive in the example reaches zero alone: where all are zero, a quotient of them has no value.
    several = [n for n in several if POSITIVE not in leaves[n].domain]
    if len(several) > 1:
        yield "every argument all zero", dict.fromkeys(several, zero), False
    for n in positions[:2]:
        for size, filler in STRESS:
            if size**2 < float(jnp.finfo(leaves[n].value.dtype).max):  # float16 has no square of 800
                yield f"{names[n]} saturated, ±{size}", {n: filler}, True
        if leaves[n].value.size and np.all(leaves[n].value < 0):  # as decays are: of both signs they overflow
            yield f"{names[n]} near -100", {n: near_minus_hundred}, True
    yield from far_from_zero.plans(case, apart)
    yield from thresholds.plans(case)
    for n in positions:  # branches for small and for large numbers; one size where others are ill-conditioned
        several = ("of several magnitudes", of_several_magnitudes) if n not in apart else ("ten times as large", larger)
        yield f"{names[n]} {several[0]}", {n: several[1]}, False
