"""Concatenation: what several branches of a net computed, side by side, by default as channels of one array.

    y[…, start_k + c] = x_k[…, c]        start_k = Σ_{l < k} C_l

Every entry of every x_k is one entry of y, with the factor 1:

    x̄_k[…, c] = ȳ[…, start_k + c]
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats
from purecnn.geometry import integer
from purecnn.rules import rule


@rule
def concatenate(*xs: Float[Array, "..."], axis: int = -1) -> Float[Array, "..."]:
    """x₁ (…, C₁), x₂ (…, C₂), … -> (…, C₁ + C₂ + …), of one floating dtype, or the same along another `axis`.

    Called with the arrays one by one, not with a list of them. Linear. Residuals: the sizes, in no bytes. Raises
    ValueError or TypeError for no array, dtypes that differ or are not floating, shapes that differ on another axis, or
    an axis that x₁ does not have.
    """
    if not xs:
        raise ValueError("concatenate: xs: got no array, expected at least one")
    require_floats("concatenate", **{f"xs[{k}]": x for k, x in enumerate(xs)})
    rank = len(xs[0].shape)
    if not -rank <= integer("concatenate", "axis", axis, -rank) < rank:
        raise ValueError(f"concatenate: axis: got {axis}, expected an axis of xs[0], of shape {xs[0].shape}")
    for k, x in enumerate(xs):
        if _others(x, axis) != _others(xs[0], axis) or len(x.shape) != rank:
            raise ValueError(
                f"concatenate: xs[{k}]: got shape {x.shape}, expected that of xs[0], {xs[0].shape}, but for axis {axis}"
            )
    return jnp.concatenate(xs, axis)


@concatenate.def_fwd
def concatenate_fwd(*xs, axis=-1):
    """y and the sizes of the xs."""
    return concatenate(*xs, axis=axis), tuple(jnp.zeros((0, x.shape[axis]), x.dtype) for x in xs)


@concatenate.def_bwd
def concatenate_bwd(residuals, y_bar, *, axis=-1):
    """x̄₁, x̄₂, …: slices of ȳ."""
    bars, start = [], 0
    for size in (carrier.shape[1] for carrier in residuals):
        bars.append(lax.slice_in_dim(y_bar, start, start + size, axis=axis))
        start += size
    return tuple(bars)


def _others(x, axis):
    """The shape but for one axis."""
    return [size for k, size in enumerate(x.shape) if k != axis % len(x.shape)]
