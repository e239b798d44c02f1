"""What the arrays of a generated call hold. Each filler keeps the example's shape and dtype, so nothing is compiled
anew: the same program runs on ties, zeros, saturation and the rest."""

from collections.abc import Callable, Iterator

import numpy as np

from verify.case import Case
from verify.subject import FLOAT, INTEGER, PERTURBED

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
    return scale * rng.integers(-1, 2, shape).astype(float)


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


def near_hundred(rng, shape, scale):
    return 100.0 * rng.choice([-1.0, 1.0], shape) + rng.standard_normal(shape)


def near_eight_hundred(rng, shape, scale):
    return 800.0 * rng.choice([-1.0, 1.0], shape) + rng.standard_normal(shape)


ORDINARY: tuple[tuple[str, Filler], ...] = (
    ("tied", tied),
    ("permuted distinct", distinct),
    ("all negative", negative),
    ("constant", constant),
    ("all zero", zero),
    ("signed zeros", signed_zeros),
    ("subnormal", subnormal),
)
STRESS: tuple[tuple[str, Filler], ...] = (("saturated, ±100", near_hundred), ("saturated, ±800", near_eight_hundred))


def scale_of(value: np.ndarray) -> float:
    """The size of the example's numbers, so that generated ones are of the same kind."""
    v = np.abs(np.asarray(value, np.float64))
    v = v[np.isfinite(v)]
    size = float(np.sqrt(np.mean(v**2))) if v.size else 0.0
    return size if size > 0 else 1.0


def on_simplex(value: np.ndarray) -> bool:
    """Rows of probabilities: they stay probabilities in every generated call."""
    v = np.asarray(value, np.float64)
    if v.ndim < 1 or v.shape[-1] < 2 or v.size == 0:
        return False
    return bool(np.all(v >= 0) and np.all(np.abs(v.sum(-1) - 1) < 1e-2))


def probabilities(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    p = np.exp(rng.standard_normal(shape))
    return p / p.sum(-1, keepdims=True)


def positive(value: np.ndarray) -> bool:
    """Every number is above zero."""
    return value.size > 0 and bool(np.all(np.asarray(value, np.float64) > 0))


def symmetric(value: np.ndarray) -> bool:
    """Symmetric matrices, above 1×1."""
    v = np.asarray(value)
    square = v.ndim > 1 and v.shape[-1] == v.shape[-2] > 1
    return square and bool(np.array_equal(v, np.swapaxes(v, -1, -2)))


def mirrored(a: np.ndarray, like: np.ndarray) -> np.ndarray:
    """`a`, a change of `like`, made symmetric where that is: only such changes are calls, and a solver may read one
    triangle alone."""
    return (a + np.swapaxes(a, -1, -2)) / 2 if symmetric(like) else a


def positive_definite(value: np.ndarray) -> bool:
    """Symmetric positive definite matrices, above 1×1: they stay so in every generated call."""
    v = np.asarray(value, np.float64)
    if v.ndim < 2 or v.shape[-1] != v.shape[-2] or v.shape[-1] < 2 or not v.size or not np.all(np.isfinite(v)):
        return False
    mirrored = np.swapaxes(v, -1, -2)
    return bool(np.allclose(v, mirrored, rtol=1e-5, atol=1e-6 * scale_of(v)) and np.linalg.eigvalsh(v).min() > 0)


def spd(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    n = shape[-1]
    a = rng.standard_normal(shape)
    if shape[-2] != n:  # no longer square: not such a matrix, and the function has taken the shape
        return scale * a
    return scale * (a @ np.swapaxes(a, -1, -2) / n + np.eye(n))


def fill(case: Case, rng: np.random.Generator, fillers: dict[int, Filler], shapes: list[tuple[int, ...]]) -> tuple:
    """Arrays for a call: `fillers` says what goes into which array (by position); the others get fresh normals of the
    example's size, labels drawn from the example's labels, probabilities, and unchanged keys."""
    example = [case.subject.leaves[k] for k in case.subject.arrays]
    arrays = []
    for n, (leaf, shape) in enumerate(zip(example, shapes, strict=True)):
        if leaf.kind in (PERTURBED, FLOAT):
            if on_simplex(leaf.value):
                values = probabilities(rng, shape)
            elif positive_definite(leaf.value):
                values = spd(rng, shape, scale_of(leaf.value))
            elif n in fillers:
                values = fillers[n](rng, shape, scale_of(leaf.value))
                if positive(leaf.value):
                    values = np.abs(values)  # positive in the example: not below the boundary of what it shows
            elif positive(leaf.value):
                # an argument that is positive in the example (a variance, a temperature) stays so unless asked
                values = np.abs(normal(rng, shape, scale_of(leaf.value))) + 0.1 * scale_of(leaf.value)
            else:
                values = normal(rng, shape, scale_of(leaf.value))
            with np.errstate(over="ignore"):
                arrays.append(values.astype(leaf.value.dtype))
        elif leaf.kind == INTEGER and leaf.value.size:
            drawn = rng.choice(leaf.value.ravel(), shape).astype(leaf.value.dtype)
            arrays.append(drawn % _classes(example, shapes, leaf.value) if leaf.value.dtype != bool else drawn)
        else:
            arrays.append(leaf.value)
    return tuple(arrays)


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


def plans(case: Case) -> Iterator[tuple[str, dict[int, Filler], bool]]:
    """(label, fillers, stress) for every content worth trying at the example's shape."""
    positions = case.perturbed[:3]
    names = dict(zip(case.perturbed, case.names, strict=True))
    yield "fresh numbers", {}, False
    for n in positions:
        for label, filler in ORDINARY:
            yield f"{names[n]} {label}", {n: filler}, False
    # What is positive in the example reaches zero alone: where all are zero, a quotient of them has no value.
    several = [n for n in case.perturbed if not positive(case.arrays[n])]
    if len(several) > 1:
        yield "every argument tied", dict.fromkeys(several, tied), False
        yield "every argument all zero", dict.fromkeys(several, zero), False
    for n in positions[:2]:
        for label, filler in STRESS:
            yield f"{names[n]} {label}", {n: filler}, True
