"""What the numbers of an argument may be, read from the example (`seen_domain`) or said by `check(…, domain=)`.

A function of a matrix that is positive definite in the example is asked about such matrices only: elsewhere nothing is
promised. Each domain maps any numbers to numbers of its own, so that what a filler draws (ties, zeros,
saturation) keeps its character: the largest of a row stays the largest.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

SINGLE = 48  # elements of which each is moved alone
ORDER_BY_CHANCE = 0.05  # probability of a random array being sorted, below which one is sorted on purpose
FEWEST = 4  # numbers between 0 and 1, or not below 0, or all below 0, that show it
FEWEST_ABOUT_ZERO = 8  # the same between −1 and 1, where two of three normal numbers lie
SMALL = 0.5  # of an argument whose numbers are all below it, the interval is no limit


@dataclass(frozen=True)
class Domain:
    """`shown(example)`: whether all of it lies inside; `onto(rng, values, scale)`: any numbers to ones inside, where
    `scale` is the size of the example's; `tangent(change, value)`: the part of a small change that stays inside."""

    words: str
    shown: Callable[[np.ndarray], bool]
    onto: Callable[[np.random.Generator, np.ndarray, float], np.ndarray]
    tangent: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda change, value: change


def scale_of(value: np.ndarray) -> float:
    """The size of the example's numbers, so that generated ones are of the same kind."""
    v = np.abs(np.asarray(value, np.float64))
    v = v[np.isfinite(v)]
    size = float(np.sqrt(np.mean(v**2))) if v.size else 0.0
    return size if size > 0 else 1.0


def _rows(v: np.ndarray) -> bool:
    return v.ndim > 0 and v.shape[-1] > 1 and v.size > 0


def _square(v: np.ndarray) -> bool:
    return v.ndim > 1 and v.shape[-1] == v.shape[-2] > 1 and v.size > 0


def on_simplex(value: np.ndarray) -> bool:
    """Rows of probabilities."""
    v = np.asarray(value, np.float64)
    return _rows(v) and bool(np.all(v >= 0) and np.all(np.abs(v.sum(-1) - 1) < 1e-2))


def _probabilities(rng, values, scale):
    logits = 4 * np.tanh(values / scale / 4)
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def binary(v: np.ndarray) -> bool:
    return v.size > 0 and bool(np.all((v == 0) | (v == 1)))


def _of_sum_zero(change, value):
    return change - change.mean(-1, keepdims=True)


def _one_hot(rng, values, scale):
    order = np.argsort(np.argsort(values + 1e-9 * scale * rng.standard_normal(values.shape), -1), -1)
    return (order == values.shape[-1] - 1).astype(float)


def symmetric(value: np.ndarray) -> bool:
    """Symmetric matrices, above 1×1."""
    v = np.asarray(value)
    return _square(v) and bool(np.array_equal(v, np.swapaxes(v, -1, -2)))


def antisymmetric(value: np.ndarray) -> bool:
    """Matrices with Aᵀ = -A, above 1×1: rotations' generators, the imaginary part of a Hermitian matrix."""
    v = np.asarray(value)
    return _square(v) and bool(v.any() and np.array_equal(v, -np.swapaxes(v, -1, -2)))


def mirrored(a: np.ndarray, like: np.ndarray) -> np.ndarray:
    """`a`, a change of `like`, made symmetric or antisymmetric where that is: only such changes are calls, and a solver
    may read one triangle alone."""
    return _part(a, 1) if symmetric(like) else _part(a, -1) if antisymmetric(like) else a


def single_elements(array: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """(index, change of `array` at it by 1) of every element, or of some where there are many."""
    flats = range(array.size) if array.size <= SINGLE else np.sort(rng.choice(array.size, SINGLE, replace=False))
    for flat in flats:
        u = np.zeros(array.size)
        u[flat] = 1.0
        yield tuple(int(i) for i in np.unravel_index(flat, array.shape)), mirrored(u.reshape(array.shape), array)


def _part(a: np.ndarray, sign: int) -> np.ndarray:
    return (a + sign * np.swapaxes(a, -1, -2)) / 2


def occur_once(labels: np.ndarray) -> bool:
    """Each along its last axis: permutations, rows that are written apart."""
    return bool(np.all(np.diff(np.sort(labels, -1), axis=-1) > 0))


def positive_definite(value: np.ndarray) -> bool:
    """Symmetric positive definite matrices, above 1×1."""
    v = np.asarray(value, np.float64)
    if not _square(v) or not np.all(np.isfinite(v)):
        return False
    equal = np.allclose(v, np.swapaxes(v, -1, -2), rtol=1e-5, atol=1e-6 * scale_of(v))
    return bool(equal and np.linalg.eigvalsh(v).min() > 0)


def _spd(rng, values, scale):
    n = values.shape[-1]
    if values.shape[-2] != n:  # no longer square: not such a matrix, and the function has taken the shape
        return values
    a = rng.standard_normal(values.shape)
    return scale * (a @ np.swapaxes(a, -1, -2) / n + np.eye(n))


def _mirror(sign: int) -> Callable:
    return lambda rng, values, scale: _part(values, sign) if values.shape[-1] == values.shape[-2] else values


def _triangular(part: Callable) -> Callable[[np.ndarray], bool]:
    def shown(v):
        return _square(v) and np.array_equal(v, part(v)) and not np.array_equal(v, part(np.swapaxes(v, -1, -2)))

    return shown


def _triangle(part: Callable) -> Callable:
    def onto(rng, values, scale):
        diagonal = np.eye(*values.shape[-2:])
        # Away from 0: a triangular matrix is solved with, and a 0 there leaves no solution.
        return part(values) * (1 - diagonal) + diagonal * (np.abs(values) + scale / 2)

    return onto


def _unit_rows(v: np.ndarray) -> bool:
    return _rows(v) and not binary(v) and bool(np.all(np.abs(np.sqrt((v**2).sum(-1)) - 1) < 1e-4))


def _normalised(rng, values, scale):
    norms = np.sqrt((values**2).sum(-1, keepdims=True))
    values = np.where(norms > 0, values, rng.standard_normal(values.shape))
    return values / np.sqrt((values**2).sum(-1, keepdims=True))


def _across(change, value):
    return change - value * (change * value).sum(-1, keepdims=True) / (value**2).sum(-1, keepdims=True)


def _orthogonal(v: np.ndarray) -> bool:
    return _square(v) and bool(np.allclose(np.swapaxes(v, -1, -2) @ v, np.eye(v.shape[-1]), atol=1e-4))


def _rotation(rng, values, scale):
    if values.shape[-1] != values.shape[-2]:
        return values
    q = np.linalg.qr(rng.standard_normal(values.shape))[0]
    q[..., 0] *= np.linalg.det(q)[..., None]
    return q


def _turning(change, value):
    return value @ _part(np.swapaxes(value, -1, -2) @ change, -1)


def _increasing(v: np.ndarray) -> bool:
    if not _rows(v) or not np.all(np.diff(v, axis=-1) > 0):
        return False
    rows, length = v.size // v.shape[-1], v.shape[-1]
    return math.exp(-rows * math.lgamma(length + 1)) < ORDER_BY_CHANCE


def _sorted(rng, values, scale):
    return np.sort(values, -1) + 0.05 * scale * np.arange(values.shape[-1])


def positive(value: np.ndarray) -> bool:
    """Every number is above zero."""
    return value.size > 0 and bool(np.all(np.asarray(value, np.float64) > 0))


def _within(low: float, high: float, fewest: int = FEWEST) -> Callable[[np.ndarray], bool]:
    def shown(v):
        return v.size >= fewest and bool(np.all((v > low) & (v < high)) and np.abs(v).max() >= SMALL)

    return shown


def _squashed(v: np.ndarray) -> np.ndarray:
    """Between −1 and 1, in bfloat16 too, up to a clamp at 0.99 or a threshold of 1/255."""
    v = np.clip(v, -127, 127)
    return v / (1 + np.abs(v))


POSITIVE = Domain("positive", positive, lambda rng, v, scale: np.abs(v))
NONNEGATIVE = Domain(
    "nonnegative", lambda v: v.size >= FEWEST and bool(np.all(v >= 0) and v.any()), lambda rng, v, scale: np.abs(v)
)
NEGATIVE = Domain(
    "negative",
    lambda v: v.size >= FEWEST and bool(np.all(v < 0) and v.min() < v.max()),
    lambda rng, v, scale: -np.abs(v),
)
PROBABILITIES = Domain("probabilities", on_simplex, _probabilities, _of_sum_zero)
UNIT_ROWS = Domain("unit rows", _unit_rows, _normalised, _across)
INCREASING = Domain("increasing", _increasing, _sorted)
# Of each group the first that the example shows; what several groups say holds together.
STRUCTURE = (
    Domain("one-hot", lambda v: on_simplex(v) and binary(v), _one_hot, _of_sum_zero),
    PROBABILITIES,
    Domain("{0, 1}", lambda v: binary(v) and 0 < v.mean() < 1, lambda rng, v, scale: (v > 0).astype(float)),
    Domain("positive definite", positive_definite, _spd),
    Domain("lower triangular", _triangular(np.tril), _triangle(np.tril)),
    Domain("upper triangular", _triangular(np.triu), _triangle(np.triu)),
)
SIGN = (
    Domain("(0, 1)", _within(0, 1), lambda rng, v, scale: 0.5 + 0.5 * _squashed(v / scale)),
    POSITIVE,
    NONNEGATIVE,
    NEGATIVE,
    Domain("(-1, 1)", _within(-1, 1, FEWEST_ABOUT_ZERO), lambda rng, v, scale: _squashed(v / scale)),
)
FORM = (
    Domain("symmetric", symmetric, _mirror(1)),
    Domain("antisymmetric", antisymmetric, _mirror(-1)),
    Domain("orthogonal", _orthogonal, _rotation, _turning),
    UNIT_ROWS,
    INCREASING,
)


def side_of_zero(domains: tuple[Domain, ...]) -> int:
    """1 where numbers are positive, -1 where they are negative: 0 is the end of them there; else 0."""
    return (POSITIVE in domains) - (NEGATIVE in domains)


NAMED = {d.words: d for d in (*STRUCTURE, *SIGN, *FORM)}
