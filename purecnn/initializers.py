"""Initial parameters: functions of a key, a shape and a dtype.

A weight's *fan-in* is how many products end in one output: every axis but the last, for (in, out) and (kh, kw, C, D)
alike. With zero-mean inputs of variance 1 and weights of variance g/fan-in, an output has variance g. ReLU keeps half
of it, so g = 2 carries the scale of the signal through a stack of convolution and ReLU (He et al. 2015); g = 1 does
so where nothing is cut off (LeCun et al. 1998).
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from purecnn.annotations import Array


def he_normal(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
    """Normal, variance 2 / fan-in: in front of a ReLU."""
    return _normal(key, shape, dtype, 2.0)


def lecun_normal(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
    """Normal, variance 1 / fan-in: in front of anything else."""
    return _normal(key, shape, dtype, 1.0)


def zeros(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
    """Zero, for biases; the key is not used."""
    return jnp.zeros(shape, dtype)


def ones(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
    """One, for the scale of a normalisation; the key is not used."""
    return jnp.ones(shape, dtype)


def _normal(key, shape, dtype, gain):
    fan_in = max(math.prod(shape[:-1]), 1)
    return jax.random.normal(key, shape, dtype) * jnp.asarray(math.sqrt(gain / fan_in), dtype)
