"""What there is to explain a wrong cotangent by, and when two arrays count as the same."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Argument:
    """An argument that has floating-point numbers: its value, and the cotangent that the oracle says it has and the
    rule returned, where it is differentiated."""

    name: str
    value: np.ndarray
    expected: np.ndarray | None = None
    got: np.ndarray | None = None


@dataclass(frozen=True)
class Evidence:
    """A wrong cotangent and what there is to explain it by; all numbers in float64.

    name        the argument's path, `value` its value
    expected    the oracle's cotangent, `got` the rule's, `bad` where they differ
    y_bar       the cotangents of the floating outputs, `outputs` these outputs
    others      the other floating arguments
    indices     the integer arguments, by path
    numbers     the Python numbers among the arguments, by path
    tolerance   relative to the largest element: what counts as equal
    rule        how the rule is called, as code: "f(x, w)"
    devices     how many devices the axes of a mesh inside the function have
    returned    "None", "zeros" or "None or zeros" where the rule returns that for the argument whatever comes in
    example     whether this is the example call, or a generated one, before which the example was right
    reshaped    whether its sizes or options are others
    """

    name: str
    value: np.ndarray
    expected: np.ndarray
    got: np.ndarray
    bad: np.ndarray
    y_bar: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...] = ()
    others: tuple[Argument, ...] = ()
    indices: tuple[tuple[str, np.ndarray], ...] = ()
    numbers: tuple[tuple[str, float], ...] = ()
    tolerance: float = 1e-6
    rule: str = "f(x)"
    devices: tuple[int, ...] = ()
    returned: str = ""
    example: bool = True
    reshaped: bool = False

    @property
    def scalars(self) -> list[tuple[str, float]]:
        """The other arguments that are one number, by path."""
        single = [(o.name, float(o.value.reshape(()))) for o in self.others if o.value.size == 1]
        return [*self.numbers, *single]

    def like(self, a: np.ndarray, b: np.ndarray) -> bool:
        return alike(a, b, self.tolerance)


def bar(name: str) -> str:
    """x̄ for x; words for a longer path, and for y: ȳ is the output's."""
    return f"{name}\u0304" if len(name) == 1 and name != "y" else f"the cotangent of {name}"


def alike(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    """Equal up to `tolerance` of the largest element, of which there are at least two that are not tiny: one number may
    be anything by chance."""
    if a.shape != b.shape or a.size < 2 or not (np.all(np.isfinite(a)) and np.all(np.isfinite(b))):
        return False
    size = float(max(np.abs(a).max(), np.abs(b).max()))
    return int((np.abs(a) > 1e-3 * size).sum()) >= 2 and float(np.abs(a - b).max()) <= tolerance * size


def ratio(expected: np.ndarray, got: np.ndarray, tolerance: float) -> float | None:
    """got / expected where it is one number; None where it is not, or where there is nothing to divide by."""
    largest = float(np.abs(expected).max(initial=0))
    clear = np.abs(expected) > 1e-6 * largest
    if largest == 0 or not clear.any():
        return None
    weight = float(np.sum(expected * got) / np.sum(expected * expected))
    room = tolerance * largest * max(abs(weight), 1e-3)
    return weight if float(np.abs(got - weight * expected).max()) <= room else None


def near(a: float, b: float, tolerance: float) -> bool:
    return abs(a - b) <= tolerance * max(abs(a), abs(b))


def short(value: float) -> str:
    """A number in a few digits."""
    return f"{value:.6g}"


def is_round(value: float, tolerance: float) -> bool:
    """Whether somebody may have chosen it: at most two significant digits."""
    return value > 0 and near(value, float(f"{value:.2g}"), min(tolerance, 1e-5))
