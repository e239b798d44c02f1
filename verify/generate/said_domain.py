"""What `check(…, domain=)` says the numbers of an argument may be."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from verify.generate.domain import NAMED, Domain, binary


def within(path: str, name: str) -> bool:
    """Whether a leaf is the argument `name`, or a part of it."""
    return path == name or path.startswith((f"{name}[", f"{name}."))


def said(path: str, value: np.ndarray, given: Mapping[str, Any]) -> tuple[Domain, ...] | None:
    """What `domain=` says of the leaf at `path`; None where it says nothing. Raises ValueError for other words, or
    where the example itself lies outside."""
    name = next((n for n in given if within(path, n)), None)
    if name is None:
        return None
    words = given[name]
    if callable(words):
        return (Domain("as given", lambda v: True, lambda rng, v, scale: np.asarray(words(v))),)
    words = [words] if isinstance(words, str) else list(words) if isinstance(words, Sequence) else [words]
    found = []
    for word in words:
        if word == "any":
            continue
        if word not in NAMED:
            known = ", ".join(map(repr, ["any", *NAMED]))
            raise ValueError(f"domain: {name}: got {word!r}, expected a function of an array, or {known}")
        if not _holds(NAMED[word], np.asarray(value, np.float64)):
            raise ValueError(f"domain: {name}: got {word!r}, but the example's {path} is not {word}")
        found.append(NAMED[word])
    return tuple(found)


# Said rather than guessed, a domain needs no evidence but that the example lies in it.
PLAIN = {
    "{0, 1}": binary,
    "(0, 1)": lambda v: bool(np.all((v > 0) & (v < 1))),
    "(-1, 1)": lambda v: bool(np.all((v > -1) & (v < 1))),
    "nonnegative": lambda v: bool(np.all(v >= 0)),
    "negative": lambda v: bool(np.all(v < 0)),
    "increasing": lambda v: v.ndim > 0 and bool(np.all(np.diff(v, axis=-1) > 0)),
    "lower triangular": lambda v: v.ndim > 1 and np.array_equal(v, np.tril(v)),
    "upper triangular": lambda v: v.ndim > 1 and np.array_equal(v, np.triu(v)),
}


def _holds(domain: Domain, value: np.ndarray) -> bool:
    return PLAIN.get(domain.words, domain.shown)(value)
