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


def softmax(rng: np.random.Generator) -> Drawn:
    x = rng.normal(scale=4, size=shape(rng, (1, 4)))
    return (x,), {"axis": int(rng.integers(-x.ndim, x.ndim))}


def normalisation(rng: np.random.Generator) -> Drawn:
    size = (*shape(rng, (0, 3)), int(rng.integers(2, 40)))
    x = rng.normal(rng.normal(scale=10), rng.uniform(0.5, 5), size)
    return (x, rng.normal(size=size[-1:]), rng.normal(size=size[-1:])), {"epsilon": float(rng.uniform(1e-6, 0.1))}


def grouped(rng: np.random.Generator) -> Drawn:
    groups, size = (int(n) for n in rng.integers(1, 5, 2))
    x = rng.normal(rng.normal(scale=10), rng.uniform(0.5, 5), (*shape(rng, (1, 3)), 2, groups * size))
    scale, bias = rng.normal(size=(2, groups * size))
    return (x, scale, bias), {"groups": groups, "epsilon": float(rng.uniform(1e-6, 0.1))}


def group_norm(x, scale, bias, *, groups, epsilon):
    return F.group_norm(x.movedim(-1, 1), groups, scale, bias, epsilon).movedim(1, -1)


def rows(rng: np.random.Generator) -> Drawn:
    leading, (inputs, outputs) = shape(rng, (0, 3)), (int(n) for n in rng.integers(1, 20, 2))
    sizes = (*leading, inputs), (inputs, outputs), (outputs,)
    x, w, b = (rng.normal(size=size) for size in sizes)
    return (x, w, b if rng.integers(2) else None), {}


def pixels(rng: np.random.Generator) -> Drawn:
    logits = rng.normal(scale=4, size=(*shape(rng, (1, 3)), int(rng.integers(2, 9))))
    labels = rng.integers(0, logits.shape[-1], logits.shape[:-1]).astype(np.int32)
    if rng.integers(2):
        labels = rng.dirichlet(np.ones(logits.shape[-1]), logits.shape[:-1])
    return (logits, labels), {"label_smoothing": float(rng.uniform(0, 0.9))}


def softmax_cross_entropy(logits, labels, *, label_smoothing):
    classes_second = [a.movedim(-1, 1) if a.ndim == logits.ndim else a.long() for a in (logits, labels)]
    return F.cross_entropy(*classes_second, label_smoothing=label_smoothing, reduction="none")


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
    activation(purecnn.leaky_relu, F.leaky_relu, lambda rng: {"negative_slope": float(rng.normal())}),
    activation(purecnn.hard_swish, F.hardswish),
    activation(purecnn.silu, F.silu),
    activation(purecnn.tanh, torch.tanh),
    Entry(purecnn.softmax, softmax, lambda x, *, axis: torch.softmax(x, axis)),
    activation(purecnn.gelu, gelu, either("approximate")),
    Entry(purecnn.dense, rows, lambda x, w, b: F.linear(x, w.T, b)),
    Entry(purecnn.softmax_cross_entropy, pixels, softmax_cross_entropy),
    Entry(purecnn.group_norm, grouped, group_norm),
    Entry(purecnn.layer_norm, normalisation, layer_norm),
    Entry(purecnn.drop_path, dropping, drop_path),
)
