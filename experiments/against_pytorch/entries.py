"""The table: a rule of purecnn, random arguments for it, and the same function in PyTorch.

A new rule is one more `Entry`. Arrays are in purecnn's layout on both sides; where PyTorch's differs, the entry
permutes axes there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.nn import functional as F

import purecnn

Drawn = tuple[tuple[Any, ...], dict[str, Any]]  # positional arguments, options


@dataclass(frozen=True)
class Entry:
    rule: Callable[..., Any]
    draw: Callable[[np.random.Generator], Drawn]
    torch: Callable[..., Any]  # of tensors and the same options

    @property
    def name(self) -> str:
        return self.rule.__name__


def shape(rng: np.random.Generator, axes: tuple[int, int], largest: int = 7) -> tuple[int, ...]:
    """Of at least axes[0] and at most axes[1] axes."""
    return tuple(int(n) for n in rng.integers(1, largest + 1, rng.integers(axes[0], axes[1] + 1)))


def activation(rule: Callable[..., Any], theirs: Callable[..., Any], options=lambda rng: {}) -> Entry:
    """Elementwise, at numbers on both sides of its kinks, and far out."""

    def draw(rng):
        return (np.asarray(rng.normal(scale=4, size=shape(rng, (0, 4)))),), options(rng)

    return Entry(rule, draw, theirs)


def normalisation(rng: np.random.Generator) -> Drawn:
    size = (*shape(rng, (0, 3)), int(rng.integers(2, 40)))
    x = rng.normal(rng.normal(scale=10), rng.uniform(0.5, 5), size)
    return (x, rng.normal(size=size[-1:]), rng.normal(size=size[-1:])), {"epsilon": float(rng.uniform(1e-6, 0.1))}


def layer_norm(x, scale, bias, *, epsilon):
    return F.layer_norm(x, x.shape[-1:], scale, bias, epsilon)


def dropping(rng: np.random.Generator) -> Drawn:
    seed, rate = int(rng.integers(1000)), float(rng.uniform(0, 0.9))
    return (rng.normal(size=shape(rng, (1, 4))), jax.random.key(seed), rate), {}


def drop_path(x, key, rate):
    """torchvision's `stochastic_depth`, mode "row", with the draw of this key."""
    mask = jax.random.bernoulli(key, jnp.float32(1 - rate), x.shape[:1])
    noise = torch.from_numpy(np.array(mask)).to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
    return x * noise.div(1 - rate)


def either(name: str) -> Callable[[np.random.Generator], dict[str, Any]]:
    return lambda rng: {name: bool(rng.integers(2))}


def gelu(x, *, approximate):
    return F.gelu(x, approximate="tanh" if approximate else "none")


ENTRIES: tuple[Entry, ...] = (
    activation(purecnn.relu6, F.relu6),
    activation(purecnn.gelu, gelu, either("approximate")),
    Entry(purecnn.layer_norm, normalisation, layer_norm),
    Entry(purecnn.drop_path, dropping, drop_path),
)
