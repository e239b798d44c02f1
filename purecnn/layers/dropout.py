"""Dropout, between the fully connected layers of AlexNet (row 1).

    y = x ⊙ m / (1 − rate)          mᵢ = 1 with probability 1 − rate, else 0, independently

The survivors are scaled up so that the expected output is the input, and nothing has to change at test time. With m
drawn, y is x times a constant, and so is its cotangent:

    x̄ = ȳ ⊙ m / (1 − rate)
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats, require_fraction
from purecnn.rules import rule


@functools.partial(rule, static=("rate",), traceable={"rate": require_fraction})
def dropout(x: Float[Array, "*shape"], key: Array, rate: float | Array) -> Float[Array, "*shape"]:
    """`x` with a fraction `rate` of its entries set to zero at random and the others divided by 1 − rate.

    x of any shape and floating dtype; `key` from `jax.random.key`; the same key draws the same entries. `rate` may be a
    traced number. Residuals: the mask, one byte an entry. Neither key nor rate has a cotangent: the expected output
    depends on neither. Raises ValueError unless 0 ≤ rate < 1 (a traced rate is not looked at), TypeError for a dtype
    that is not floating.
    """
    return _drop(x, _survivors(x, key, rate), rate)


@dropout.def_fwd
def dropout_fwd(x, key, rate):
    """y and its residual, the mask; it shares the drawing of the mask with the primal."""
    mask = _survivors(x, key, rate)
    return _drop(x, mask, rate), (mask,)


@dropout.def_bwd
def dropout_bwd(residuals, y_bar, rate):
    """x̄, of the shape and dtype of ȳ; None for the key."""
    (mask,) = residuals
    return _drop(y_bar, mask, rate), None


def _survivors(x, key, rate):
    require_floats("dropout", x=x)
    # In float32 whatever the precision of the rest, so that a key draws the same entries everywhere.
    return jax.random.bernoulli(key, jnp.float32(1 - rate), x.shape)


def _drop(x, mask, rate):
    return jnp.where(mask, x / jnp.asarray(1 - rate, x.dtype), jnp.zeros_like(x))
