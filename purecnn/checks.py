"""Checks of ranks, shapes and dtypes, and their wording.

Each check raises `ValueError` (shape) or `TypeError` (kind, dtype) as `layer: argument: got …, expected …`. Shapes and
dtypes are static, so the checks cost nothing in a compiled step.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
from jax import core
from jax.core import Tracer

_NAME = "InconclusiveDimensionOperation"
UNDECIDED: type[Exception] = getattr(jax.errors, _NAME, None) or getattr(core, _NAME)  # where it was before 0.10.1
FLOATS = tuple(jnp.dtype(name) for name in ("float16", "bfloat16", "float32", "float64"))


def require_rank(layer: str, axes: str, **arrays) -> None:
    """Every array has one axis per letter in `axes`, e.g. `"N H W C"`."""
    for name, array in arrays.items():
        if len(array.shape) != len(axes.split()):
            raise ValueError(f"{layer}: {name}: got shape {array.shape}, expected {len(axes.split())} axes ({axes})")


def require_shape(layer: str, expected: tuple[Any, ...], because: str, **arrays) -> None:
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


def require_channels(layer: str, x, scale, bias, epsilon: float, *, batch: bool = True) -> None:
    """`x` (…, C), and `scale` and `bias` (C,), of a normalisation; with `batch` x has another axis than that of C."""
    require_floats(layer, x=x, scale=scale, bias=bias)
    if len(x.shape) < 1 + batch:
        expected = "a batch axis and a last axis" if batch else "a last axis"
        raise ValueError(f"{layer}: x: got shape {x.shape}, expected {expected} of channels")
    require_shape(layer, x.shape[-1:], "one per channel of x", scale=scale, bias=bias)
    require_number(layer, "epsilon", epsilon)
    if not epsilon > 0:
        raise ValueError(f"{layer}: epsilon: got {epsilon}, expected above 0")


def require_number(layer: str, name: str, value) -> None:
    if not isinstance(value, Real):
        raise TypeError(f"{layer}: {name}: got {value!r}, expected a number")


def require_fraction(layer: str, name: str, value) -> None:
    """A number of at least 0 and below 1, or an array that is one number; of a traced one the value is unknown."""
    if getattr(value, "shape", ()) != ():
        raise ValueError(f"{layer}: {name}: got shape {value.shape}, expected one number")
    if not hasattr(value, "shape"):
        require_number(layer, name, value)
    if not isinstance(value, Tracer) and not 0 <= value < 1:
        raise ValueError(f"{layer}: {name}: got {value}, expected at least 0 and below 1")


def require_choice(layer: str, name: str, value, choices: tuple) -> None:
    if value not in choices:
        raise ValueError(f"{layer}: {name}: got {value!r}, expected one of {', '.join(map(repr, choices))}")


def require_net_inputs(net: str, x, params, state) -> None:
    """`x` is an array; `params` and `state` are lists, or the like, of what every layer has."""
    if not hasattr(x, "shape"):
        raise TypeError(f"{net}: x: got {type(x).__name__}, expected an array (N, ...)")
    for name, given, made_by in (("params", params, "init"), ("state", state, "init_state")):
        if isinstance(given, Mapping) or hasattr(given, "shape") or not hasattr(given, "__len__"):
            expected = f"a list of one dict per layer, as by Chain.{made_by}"
            raise TypeError(f"{net}: {name}: got {type(given).__name__}, expected {expected}")


def bound_hint(error: BaseException) -> str:
    """How to bound a symbolic dimension, for the error of one that JAX cannot compare; "" for other errors."""
    told = 'jax.export.symbolic_shape("n, h, w", constraints=["h >= 32", "w >= 32"])'
    return f"the size of a symbolic dimension has to be bounded: {told}. " if isinstance(error, UNDECIDED) else ""
