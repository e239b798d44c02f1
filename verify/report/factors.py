"""Factors that are missing or too many: a constant, an argument, the number of devices."""

from collections.abc import Iterator

import numpy as np

from verify.report.evidence import Evidence, alike, bar, near, ratio, short

LARGEST = 12  # of the whole numbers that pass for a forgotten factor


def constant(seen: Evidence) -> str:
    """One number between what came and what was expected."""
    r = ratio(seen.expected, seen.got, seen.tolerance)
    if r is None or near(r, 1, seen.tolerance) or seen.expected.size < 2:
        return ""
    for name, value in seen.scalars:
        if value in (0, 1, -1):
            continue
        factor = f"{short(value)}, or {name}," if value == round(value) else name  # a whole number may be another
        if near(r, value, seen.tolerance):
            return f"×{short(r)} = {name}: {bar(seen.name)} is multiplied by {factor} once too often"
        if near(r, 1 / value, seen.tolerance):
            return f"×1/{short(value)} = 1/{name}: a factor {factor} is missing in {bar(seen.name)}"
    size, sign = abs(r), ", and the sign is wrong" if r < 0 else ""
    for n in range(2, LARGEST + 1):
        if near(size, n, seen.tolerance):
            return f"×{n}{sign}: a factor {n} too many, {'a term taken twice' if n == 2 else f'or no division by {n}'}"
        if near(size, 1 / n, seen.tolerance):
            example = ", as that of d(x²) = 2x dx" if n == 2 else f", or a division by {n} one too many"
            return f"×1/{n}{sign}: a factor {n} is missing{example}"
    return ""


def of_devices(seen: Evidence) -> str:
    """The number of devices of a mesh inside the function: a sum over them too many or too few."""
    r = ratio(seen.expected, seen.got, seen.tolerance)
    if r is None:
        return ""
    for count in seen.devices:
        for n, squared, psums in ((count, "", "a psum"), (count**2, ", squared", "two psums")):
            if near(r, n, seen.tolerance):
                return f"×{n} = the number of devices{squared}: {psums} too many"
            if near(r, 1 / n, seen.tolerance):
                missing = "a psum is missing, or a pmean stands for one" if n == count else "two psums are missing"
                return f"×1/{n} = one over the number of devices{squared}: {missing}"
    return ""


def of_an_array(seen: Evidence) -> str:
    """An argument, or the output, by which each element is multiplied or divided once too often."""
    e, g = seen.expected, seen.got
    for name, value in _arrays(seen):
        for shaped in _fitted(value, e.shape):
            if np.any(shaped == 0) or near(float(shaped.min()), float(shaped.max()), 1e-3):
                continue
            if alike(e * shaped, g, seen.tolerance):
                return f"{bar(seen.name)} is {name} times too large: a factor too many, or no division by it"
            if alike(g * shaped, e, seen.tolerance):
                return f"a factor {name} is missing in {bar(seen.name)}, or a division by it is one too many"
            if alike(g, e * shaped**2, seen.tolerance):
                return f"{bar(seen.name)} is multiplied by {name} where it should be divided by it"
            if alike(g * shaped**2, e, seen.tolerance):
                return f"{bar(seen.name)} is divided by {name} where it should be multiplied by it"
    return ""


def _arrays(seen: Evidence) -> Iterator[tuple[str, np.ndarray]]:
    yield from ((other.name, other.value) for other in seen.others if other.value.size > 1)
    yield seen.name, seen.value
    yield from (("y (the output)", y) for y in seen.outputs if y.size > 1)


def _fitted(value: np.ndarray, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """`value` spread over the cotangent's shape: along its last axes, and along its first."""
    rank = value.ndim
    if rank <= len(shape) and value.shape == shape[len(shape) - rank :]:
        yield np.broadcast_to(value, shape)
    if rank < len(shape) and value.shape == shape[:rank]:
        yield np.broadcast_to(value.reshape(*value.shape, *(1,) * (len(shape) - rank)), shape)
