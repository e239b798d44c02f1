"""What every layer asks of its arrays, and the words of its complaint.

Each check raises `ValueError` (shape) or `TypeError` (kind, dtype) as `layer: argument: got …, expected …`. Shapes and
dtypes are static, so the checks cost nothing in a compiled step.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

FLOATS = tuple(jnp.dtype(name) for name in ("float16", "bfloat16", "float32", "float64"))


def require_rank(layer: str, axes: str, **arrays) -> None:
    """Every array has one axis per letter in `axes`, e.g. `"N H W C"`."""
    for name, array in arrays.items():
        if len(array.shape) != len(axes.split()):
            raise ValueError(f"{layer}: {name}: got shape {array.shape}, expected {len(axes.split())} axes ({axes})")


def require_shape(layer: str, expected: tuple[int, ...], because: str, **arrays) -> None:
    for name, array in arrays.items():
        if array.shape != expected:
            raise ValueError(f"{layer}: {name}: got shape {array.shape}, expected {expected} ({because})")


def require_floats(layer: str, **arrays) -> None:
    """Every array (`None` counts as absent) is floating, and all of one dtype: nothing is promoted silently."""
    present = {name: array for name, array in arrays.items() if array is not None}
    first, *_ = present
    for name, array in present.items():
        dtype = getattr(array, "dtype", None)
        if dtype is None or dtype not in FLOATS:
            got = type(array).__name__ if dtype is None else dtype
            raise TypeError(f"{layer}: {name}: got {got}, expected float16, bfloat16, float32 or float64")
        if dtype != present[first].dtype:
            raise TypeError(f"{layer}: {name}: got {dtype}, expected {present[first].dtype}, the dtype of {first}")


def require_choice(layer: str, name: str, value, choices: tuple) -> None:
    if value not in choices:
        raise ValueError(f"{layer}: {name}: got {value!r}, expected one of {', '.join(map(repr, choices))}")


def accumulation_dtype(dtype) -> jnp.dtype:
    """The dtype sums are formed in: float32 for 16-bit floats, otherwise the dtype itself."""
    return jnp.dtype(jnp.float32) if jnp.dtype(dtype).itemsize < 4 else jnp.dtype(dtype)


def shape_carrier(x) -> jax.Array:
    """An array of no bytes that tells a backward rule the shape (behind the batch axis) and dtype of `x`.

    Residuals are arrays; this one costs nothing and, unlike `x[:0]`, does not depend on `x` or its sharding.
    """
    return jnp.zeros((0, *x.shape[1:]), x.dtype)
