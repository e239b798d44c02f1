"""Read what one tap of a window sees, and its adjoint: lay a cotangent back where the tap read it.

Both are written so that XLA fuses them into the loop around them: a strided slice of the padded input, and a `lax.pad`
with stride−1 zeros between the entries, whose negative edges cut off what fell on the padding.
"""

from __future__ import annotations

from collections.abc import Iterator

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Shaped
from purecnn.geometry import Pair, Window


def read_taps(x: Shaped[Array, "n h w c"], window: Window, fill: float = 0) -> Iterator[Shaped[Array, "n ho wo c"]]:
    """What each tap sees, row by row through the window; padding reads as `fill`."""
    x = lax.pad(x, jnp.asarray(fill, x.dtype), window.input_pad)
    return (lax.slice(x, *window.tap_slice(tap, x.shape[0], x.shape[3])) for tap in window.taps())


def write_tap(cotangent: Shaped[Array, "n ho wo c"], window: Window, tap: Pair) -> Shaped[Array, "n h w c"]:
    """`cotangent` on the places of the input that `tap` read, zero elsewhere."""
    return lax.pad(cotangent, jnp.zeros((), cotangent.dtype), window.tap_pad(tap))
