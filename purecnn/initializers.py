"""Initial parameters: functions of a key, a shape and a dtype.

A weight's *fan-in* is how many products end in one output: every axis but the last, for (in, out) and (kh, kw, C, D)
alike. With zero-mean inputs of variance 1 and weights of variance g/fan-in, an output has variance g. ReLU keeps half
of it, so g = 2 carries the scale of the signal through a stack of convolution and ReLU (He et al. 2015); g = 1 does
so where nothing is cut off (LeCun et al. 1998).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.core import Tracer

from purecnn.annotations import Array
from purecnn.backend import options_of_running_once
from purecnn.signatures import Partial

Initializer = Callable[..., Array]  # (key, shape, dtype) -> array


def he_normal(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
    """Normal, variance 2 / fan-in: in front of a ReLU."""
    return _over_fan_in(2.0, key, shape, dtype)


def lecun_normal(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
    """Normal, variance 1 / fan-in: in front of anything else."""
    return _over_fan_in(1.0, key, shape, dtype)


def fan_out_normal(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
    """Normal, variance 2 / fan-out, fan-out being kh·kw·D: the same for what goes back (He et al. 2015, §2.2)."""
    fan_out = math.prod(shape[:-2]) * shape[-1]
    return normal(math.sqrt(2 / max(fan_out, 1)))(key, shape, dtype)


def fan_in_uniform(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
    """Uniform between ±fan-in^(−½), variance 1 / (3 fan-in): PyTorch's default."""
    return uniform(max(math.prod(shape[:-1]), 1) ** -0.5)(key, shape, dtype)


def normal(deviation: float) -> Initializer:
    """Normal with mean 0 and this standard deviation."""
    return Partial(_normal, deviation)


def uniform(bound: float) -> Initializer:
    """Uniform between ±bound."""
    return Partial(_uniform, bound)


def constant(value: float) -> Initializer:
    """`value` everywhere; the key is not used."""
    return Partial(_constant, value)


def zeros(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
    """Zero, for biases; the key is not used."""
    return jnp.zeros(shape, dtype)


def ones(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
    """One, for the scale of a normalisation; the key is not used."""
    return jnp.ones(shape, dtype)


def _over_fan_in(gain, key, shape, dtype):
    return _normal(math.sqrt(gain / max(math.prod(shape[:-1]), 1)), key, shape, dtype)


def _normal(deviation, key, shape, dtype=jnp.float32):
    return _drawn(_scaled_normal, deviation, key, shape, dtype)


def _scaled_normal(deviation, key, shape, dtype):
    return jax.random.normal(key, shape, dtype) * jnp.asarray(deviation, dtype)


def _uniform(bound, key, shape, dtype=jnp.float32):
    return _drawn(_between, bound, key, shape, dtype)


def _between(bound, key, shape, dtype):
    return jax.random.uniform(key, shape, dtype, -bound, bound)


def _drawn(draw, scale, key, shape, dtype):
    """`draw(scale, key, shape, dtype)`; outside `jit` as a program that runs once: a net has many shapes, and compiling
    takes longer than drawing."""
    if isinstance(key, Tracer) or isinstance(jnp.zeros(()), Tracer):  # the key may be a constant of what is traced
        return draw(scale, key, shape, dtype)
    return _run_once()(draw, scale, key, tuple(shape), dtype)


@functools.cache
def _run_once():
    return jax.jit(
        lambda draw, *arguments: draw(*arguments),
        static_argnums=(0, 1, 3, 4),
        compiler_options=options_of_running_once(),
    )


def _constant(value, key, shape, dtype=jnp.float32):
    return jnp.full(shape, value, dtype)
