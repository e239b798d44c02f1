"""The table: a rule of purecnn, random arguments for it, and the same function in PyTorch.

A new rule is one more `Entry`. Arrays are in purecnn's layout on both sides; where PyTorch's differs, the entry
permutes axes there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P
from torch.nn import functional as F

import purecnn

Drawn = tuple[tuple[Any, ...], dict[str, Any]]  # positional arguments, options
DEVICES = 4  # of the CPU, which `run` makes


@dataclass(frozen=True)
class Entry:
    rule: Callable[..., Any]
    draw: Callable[[np.random.Generator], Drawn]
    torch: Callable[..., Any]  # of tensors and the same options
    devices: str = ""  # what maps over them

    @property
    def name(self) -> str:
        return f"{self.torch.__name__}:{self.devices}" if self.devices else self.rule.__name__


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


def shares(rng: np.random.Generator) -> Drawn:
    """A batch that divides among the devices."""
    size = DEVICES * int(rng.integers(1, 4)), *shape(rng, (0, 2)), int(rng.integers(1, 9))
    x = rng.normal(rng.normal(scale=10), rng.uniform(0.5, 5), size)
    return (x, rng.normal(size=size[-1:]), rng.normal(size=size[-1:])), {"epsilon": float(rng.uniform(1e-6, 0.1))}


def batch_norm(x, scale, bias, *, epsilon):
    """y, and the statistics, which PyTorch's own function keeps to itself."""
    y = F.batch_norm(x.movedim(-1, 1), None, None, scale, bias, training=True, eps=epsilon).movedim(1, -1)
    batch = tuple(range(x.ndim - 1))
    return y, x.mean(batch), x.var(batch, correction=0)


def on_devices(map_over: Callable[..., Any]) -> Callable[..., Any]:
    """`batch_norm` of a batch of which every device has a share; its statistics are those of the first device."""

    def batch_norm(x, scale, bias, *, epsilon):
        one = functools.partial(purecnn.batch_norm, epsilon=epsilon, axis_name="data")
        mapped = map_over(one, axis_name="data", in_axes=(0, None, None))
        y, mean, variance = mapped(x.reshape(DEVICES, -1, *x.shape[1:]), scale, bias)
        return y.reshape(x.shape), mean[0], variance[0]

    return batch_norm


def on_shards(x, scale, bias, *, epsilon):
    """The same by `shard_map`, which knows that all devices have the same statistics."""
    one = functools.partial(purecnn.batch_norm, epsilon=epsilon, axis_name="data")
    specs, mesh = (P("data"), P(), P()), jax.make_mesh((DEVICES,), ("data",), axis_types=(AxisType.Auto,))
    return jax.shard_map(one, mesh=mesh, in_specs=specs, out_specs=specs)(x, scale, bias)


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


def transposing(rng: np.random.Generator) -> Drawn:
    """Channels and groups, strides, dilations, padding that leaves something, and every output_padding."""
    groups, each_in, each_out = (int(n) for n in rng.integers(1, 4, 3))
    extent, size, options = rng.integers(1, 6, 2), rng.integers(1, 5, 2), {"groups": groups}
    stride, dilation = rng.integers(1, 4, 2), rng.integers(1, 3, 2)
    room = stride * (extent - 1) + dilation * (size - 1)
    options |= {"stride": tuple(map(int, stride)), "dilation": tuple(map(int, dilation))}
    options |= {"padding": tuple((int(p), int(p)) for p in rng.integers(0, np.minimum(room // 2, 3) + 1))}
    options |= {"output_padding": tuple(map(int, rng.integers(0, stride)))}
    x, w = rng.normal(size=(2, *extent, groups * each_in)), rng.normal(size=(*size, each_out, groups * each_in))
    return (x, w, rng.normal(size=groups * each_out)), options


def conv_transpose2d(x, w, b, *, padding, **options):
    around = tuple(low for low, _ in padding)
    # PyTorch's backward pass refuses some permuted kernels with an axis of length 1.
    x, w = (a.permute(axes).contiguous() for a, axes in ((x, (0, 3, 1, 2)), (w, (3, 2, 0, 1))))
    return F.conv_transpose2d(x, w, b, padding=around, **options).permute(0, 2, 3, 1)


def upsampling(rng: np.random.Generator) -> Drawn:
    options = {"method": str(rng.choice(["nearest", "bilinear"]))}
    return (rng.normal(size=rng.integers(1, 7, 4)), tuple(map(int, rng.integers(1, 6, 2)))), options


def upsample2d(x, scale, *, method):
    smooth = {"align_corners": False} if method == "bilinear" else {}
    return F.interpolate(x.permute(0, 3, 1, 2), scale_factor=scale, mode=method, **smooth).permute(0, 2, 3, 1)


def concatenating(rng: np.random.Generator) -> Drawn:
    size = list(shape(rng, (1, 4)))
    axis = int(rng.integers(-len(size), len(size)))
    sizes = [[*size] for _ in range(rng.integers(1, 5))]
    for one in sizes:
        one[axis] = int(rng.integers(1, 6))
    return tuple(rng.normal(size=one) for one in sizes), {"axis": axis}


def concatenate(*xs, axis):
    return torch.cat(xs, axis)


def adapting(rng: np.random.Generator) -> Drawn:
    return (rng.normal(size=rng.integers(1, 8, 4)),), {"size": tuple(map(int, rng.integers(1, 8, 2)))}


def adaptive_avg_pool2d(x, *, size):
    return F.adaptive_avg_pool2d(x.permute(0, 3, 1, 2), size).permute(0, 2, 3, 1)


def sequences(rng: np.random.Generator) -> Drawn:
    groups, each_in, each_out, size, dilation = (int(n) for n in rng.integers(1, 4, 5))
    options = {"groups": groups, "dilation": dilation, "stride": int(rng.integers(1, 4))}
    options |= {"padding": int(rng.integers(0, 3))}
    length = dilation * (size - 1) + int(rng.integers(1, 8))
    x, w = rng.normal(size=(2, length, groups * each_in)), rng.normal(size=(size, each_in, groups * each_out))
    return (x, w, rng.normal(size=groups * each_out)), options


def conv1d(x, w, b, **options):
    return F.conv1d(x.permute(0, 2, 1), w.permute(2, 1, 0), b, **options).permute(0, 2, 1)


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
    Entry(purecnn.conv_transpose2d, transposing, conv_transpose2d),
    Entry(purecnn.upsample2d, upsampling, upsample2d),
    Entry(purecnn.concatenate, concatenating, concatenate),
    Entry(purecnn.layer_norm, normalisation, layer_norm),
    Entry(purecnn.drop_path, dropping, drop_path),
    Entry(purecnn.adaptive_avg_pool2d, adapting, adaptive_avg_pool2d),
    Entry(purecnn.conv1d, sequences, conv1d),
    Entry(purecnn.batch_norm, shares, batch_norm),
    Entry(on_devices(jax.pmap), shares, batch_norm, "pmap"),
    Entry(on_shards, shares, batch_norm, "shard_map"),
    Entry(on_devices(jax.vmap), shares, batch_norm, "vmap"),
)
