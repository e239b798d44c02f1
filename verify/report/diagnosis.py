"""What a wrong cotangent looks like to whoever wrote the rule: one sentence from what was expected and what came.

Each function here knows one mistake, or one thing that is done on purpose, and says nothing ("") unless the arrays show
it to the last digits that their dtype holds. The sentences change no verdict: a straight-through estimator is no
derivative of a rounding, and the finding says how to declare it.
"""

from collections.abc import Callable

import numpy as np

from verify.report import factors, intended
from verify.report.evidence import Evidence, bar, near, ratio


def diagnose(seen: Evidence) -> str:
    """The sentence of the most specific mistake that fits; "" if none does."""
    return next((text for knows in KNOWN if (text := knows(seen))), "")


def at_last(seen: Evidence) -> str:
    """What is said if nothing more specific fits: ȳ passed through, or a number that may have been forgotten."""
    return intended.passed_through(seen) or factors.constant(seen) or mask_missing(seen)


def nothing_returned(seen: Evidence) -> str:
    """`None`, or zeros, for an argument that has a derivative."""
    if np.any(seen.got) or not seen.returned:
        return ""
    return (
        f"the rule returns {seen.returned} for {seen.name}, whatever it is called with: a zero gradient, so nothing is "
        f"learnt through {seen.name}"
    )


def exchanged(seen: Evidence) -> str:
    """What comes for one argument is the cotangent of another."""
    for other in seen.others:
        if other.expected is None or not seen.like(other.expected, seen.got):
            continue
        if ratio(seen.expected, other.expected, seen.tolerance) is not None:
            continue  # the two differ by a number: that is what is wrong
        if other.got is not None and seen.like(seen.expected, other.got):
            return (
                f"{bar(seen.name)} and {bar(other.name)} are exchanged: the rule returns each in the place of the other"
            )
        return f"{bar(seen.name)} is the cotangent of another argument: it equals {bar(other.name)}"
    return ""


def inverted_mask(seen: Evidence) -> str:
    """ȳ passes where it should not, and does not where it should."""
    e, g, y_bar = seen.expected, seen.got, seen.y_bar[0] if len(seen.y_bar) == 1 else None
    if y_bar is None or np.any(e * g) or not np.any(e) or not np.any(g) or not seen.like(y_bar, e + g):
        return ""
    return f"the mask is inverted: {bar(seen.name)} is ȳ where it should be 0, and 0 where it should be ȳ"


def overwritten(seen: Evidence) -> str:
    """Where several entries of ȳ meet at an element, one of them arrives: `.set` for `.add`."""
    e, g, bad = seen.expected, seen.got, seen.bad
    entries = np.concatenate([y.ravel() for y in seen.y_bar]) if seen.y_bar else np.zeros(0)
    text = "cotangents that meet at one element overwrite each other instead of adding up: .at[].set for .at[].add"
    # Where entries are only copied and added, no two elements get the same one and none is lost in the sum; that each
    # right element is an entry of ȳ, or 0, shows that none is multiplied by anything.
    some = bad.sum() >= 2 and np.isin(g[bad][:16], entries).all()
    copied = some and np.isin(g[bad], entries).all() and np.unique(g[bad]).size == bad.sum()
    added = not np.isin(e[bad], [*entries, 0.0]).any()
    if (
        copied
        and added
        and np.any(e[~bad])
        and np.isin(e[~bad], [*entries, 0.0]).all()
        and near(e.sum(), entries.sum(), seen.tolerance)
    ):
        return f"{text}, or windows that overlap"
    for name, index in seen.indices:
        for axis in range(e.ndim):
            n = e.shape[axis]
            rows = np.flatnonzero(bad.any(axis=tuple(a for a in range(e.ndim) if a != axis)))
            if index.size < 2 or index.min() < -n or index.max() >= n:
                continue
            counts = np.bincount(index.ravel() % n, minlength=n)
            if (counts == 1).any() and np.array_equal(rows, np.flatnonzero(counts > 1)):
                return f"wrong exactly where {name} holds an index twice: {text}"
    return ""


def conjugated(seen: Evidence) -> str:
    """The imaginary part alone is wrong, by its sign."""
    head, dot, part = seen.name.rpartition(".")
    real = next((o for o in seen.others if o.name == f"{head}.real"), None)
    if not dot or part != "imag" or real is None or real.expected is None or real.got is None:
        return ""
    if not seen.like(-seen.expected, seen.got) or not seen.like(real.expected, real.got):
        return ""
    return f"{bar(head)} is conjugated: a conjugate is missing or one too many, in JAX's convention for complex numbers"


def mask_missing(seen: Evidence) -> str:
    """A slope where the function has none, with other numbers than the example's at its own shapes."""
    if seen.example or seen.reshaped or np.any(seen.expected[seen.bad]):
        return ""
    return (
        "right as called, and not 0 here where the derivative is: a mask or a special case of the function is missing"
    )


KNOWN: tuple[Callable[[Evidence], str], ...] = (
    nothing_returned,
    intended.reversed_gradient,
    intended.straight_through,
    conjugated,
    exchanged,
    inverted_mask,
    overwritten,
    intended.clipped,
    factors.of_devices,
    factors.of_an_array,
)
