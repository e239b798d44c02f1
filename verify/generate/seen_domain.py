"""What an example's array shows of its domain."""

import functools
from collections.abc import Callable, Set

import numpy as np

from verify.generate.domain import (
    FORM,
    INCREASING,
    NAMED,
    ORDER_BY_CHANCE,
    PROBABILITIES,
    SIGN,
    STRUCTURE,
    UNIT_ROWS,
    Domain,
    positive_definite,
    symmetric,
)

FACTORED = {"cholesky", "lu", "eigh", "triangular_solve", "custom_linear_solve"}  # primitives that take matrices apart


def seen(value: np.ndarray, alone: bool, primitives: Set[str] = frozenset()) -> tuple[Domain, ...]:
    """What an example's array shows. `alone`: nothing else is differentiated; numbers at even steps are then how
    people write any example, and no order. The identity is a covariance where one of the `primitives` takes matrices
    apart, else rows that are one-hot."""
    v = np.asarray(value, np.float64)
    if not v.size or not np.all(np.isfinite(v)):
        return ()
    if not FACTORED.isdisjoint(primitives) and positive_definite(v) and np.all(v == np.eye(v.shape[-1])):
        return (NAMED["positive definite"],)
    structure = next((d for d in STRUCTURE if d.shown(v)), None)
    if structure is not None:
        return (NAMED["symmetric"], structure) if structure.words == "{0, 1}" and _graph(v) else (structure,)
    form = next((d for d in FORM if d.shown(v)), None)
    if form is INCREASING and alone and _evenly_spaced(v):
        form = None
    other = _along_other_axes(v) if form is None else None
    if other is not None:
        return (other,)
    sign = (
        next((d for d in SIGN if d.shown(v)), None)
        if form is None or form.words not in ("unit rows", "orthogonal")
        else None
    )
    return tuple(d for d in (sign, form) if d is not None)


def _along_other_axes(v: np.ndarray) -> Domain | None:
    """Columns of probabilities or of norm 1, as weights of a mixture and atoms of a dictionary are; else a table of
    probabilities, as of a joint distribution or a transport plan."""
    for axis in range(-2, -v.ndim - 1, -1):
        for domain in (PROBABILITIES, UNIT_ROWS):
            if domain.shown(np.moveaxis(v, axis, -1)):
                return _along(domain, axis)
    return _table(PROBABILITIES) if v.ndim > 1 and PROBABILITIES.shown(v.reshape(-1)) else None


@functools.cache
def _along(domain: Domain, axis: int) -> Domain:
    """The same along another axis than the last."""

    def last(v: np.ndarray) -> np.ndarray:
        return np.moveaxis(v, axis, -1)

    return _seen_as(domain, f"along axis {axis}", last, lambda v, like: np.moveaxis(v, -1, axis))


@functools.cache
def _table(domain: Domain) -> Domain:
    """The same of all numbers together."""
    return _seen_as(domain, "of a table", np.ravel, lambda v, like: v.reshape(like.shape))


def _seen_as(domain: Domain, words: str, there: Callable, back: Callable) -> Domain:
    return Domain(
        f"{domain.words} {words}",
        lambda v: domain.shown(there(v)),
        lambda rng, v, scale: back(domain.onto(rng, there(v), scale), v),
        lambda change, v: back(domain.tangent(there(change), there(v)), v),
    )


def _graph(v: np.ndarray) -> bool:
    """Whether zeros and ones are an adjacency: symmetric, and hardly so by chance."""
    return symmetric(v) and 0.5 ** ((v.size - v.size // v.shape[-1]) / 2) < ORDER_BY_CHANCE


def _evenly_spaced(v: np.ndarray) -> bool:
    steps = np.diff(v.ravel())
    return bool(np.allclose(steps, steps.mean(), rtol=1e-3))
