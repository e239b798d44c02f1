"""Stochastic depth by samples (Huang et al. 2016; "drop path"): in front of a residual block's addition.

    y = x ⊙ m / (1 − rate)          m one number per sample: 1 with probability 1 − rate, else 0

A sample whose m is 0 goes through the shortcut alone. The others are scaled up so that the expected output is the
input, and nothing has to change at test time. With m drawn, y is x times a constant, and so is its cotangent:

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
def drop_path(x: Float[Array, "n *shape"], key: Array, rate: float | Array) -> Float[Array, "n *shape"]:
    """`x` with a fraction `rate` of its samples set to zero at random and the others divided by 1 − rate.

    x of any shape with the batch axis first, of any floating dtype; `key` from `jax.random.key`; the same key draws the
    same samples. `rate` may be a traced number. Residuals: the mask, one byte a sample. Neither key nor rate has a
    cotangent: the expected output depends on neither. Raises ValueError unless 0 ≤ rate < 1 (a traced rate is not
    looked at) or for a scalar x, TypeError for a dtype that is not floating.
    """
    return _drop(x, _survivors(x, key, rate), rate)


@drop_path.def_fwd
def drop_path_fwd(x, key, rate):
    """y and its residual, the mask; it shares the drawing of the mask with the primal."""
    mask = _survivors(x, key, rate)
    return _drop(x, mask, rate), (mask,)


@drop_path.def_bwd
def drop_path_bwd(residuals, y_bar, rate):
    """x̄, of the shape and dtype of ȳ; None for the key."""
    (mask,) = residuals
    return _drop(y_bar, mask, rate), None


def _survivors(x, key, rate):
    """(N,)"""
    require_floats("drop_path", x=x)
    if not x.shape:
        raise ValueError(f"drop_path: x: got shape {x.shape}, expected a batch axis first")
    # In float32 whatever the precision of the rest, so that a key draws the same samples everywhere.
    return jax.random.bernoulli(key, jnp.float32(1 - rate), x.shape[:1])


def _drop(x, mask, rate):
    mask = mask.reshape(mask.shape + (1,) * (len(x.shape) - 1))
    return jnp.where(mask, x / jnp.asarray(1 - rate, x.dtype), jnp.zeros_like(x))
