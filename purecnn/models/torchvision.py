"""Weights under torchvision's names and in PyTorch's layout, from and to those of the models here.

    conv.weight    (O, I, kh, kw)  ↔  "w"  (kh, kw, I, O)
    linear.weight  (out, in)       ↔  "w"  (in, out)
    norm.weight, .bias             ↔  "scale", "bias";  norm.running_mean, .running_var  ↔  "mean", "variance"

A model's table is a list: torchvision's names of its layers, in the order in which the chain comes to them. Biases are
the same. PyTorch flattens C, H, W and this library H, W, C, so that the inputs of a first fully connected layer are
in another order too: c·49 + h·7 + w there is h·7·512 + w·512 + c here. Axes of length 1 at the end do not matter (timm
has some where torchvision has none). `num_batches_tracked`, which no net here has a use for, is left out and written
as 0.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from purecnn.chain import Chain, Params
from purecnn.models.alexnet_one_tower import alexnet_one_tower
from purecnn.models.convnext import TINY, convnext_tiny
from purecnn.models.mobilenet_v2 import STAGES, mobilenet_v2
from purecnn.models.resnet import resnet18, resnet34, resnet50, resnet101
from purecnn.models.state_dict import (
    SCALES,
    counter,
    of_net,
    other_net,
    trimmed,
    unwrapped,
    warn_of_left_out,
    with_head,
)
from purecnn.models.vgg import vgg11, vgg11_bn, vgg16, vgg16_bn

KEYS = {
    "w": "weight",
    "b": "bias",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}
DENSE = ("block.3.weight", "block.5.weight")  # of ConvNeXt, (O, I) there; a 1×1 convolution here
SHAPE = (224, 224, 3)


@dataclass(frozen=True)
class Table:
    """A model, torchvision's names of its layers, timm's where it has others, and the (C, H, W) that it flattens."""

    build: Callable[..., Chain]
    names: tuple[str, ...]
    timm: tuple[str, ...] = ()
    flattened: tuple[int, int, int] | None = None


def from_torchvision(
    name: str, arrays: Mapping[str, Any], num_classes: int | None = None
) -> tuple[Chain, list[Params], list[Params]]:
    """The net called `name`, its parameters and state in float32, from arrays by torchvision's names, or timm's.

    It has as many classes as the last layer has rows. Of a backbone's weights, without one, it has `num_classes`, or
    1,000, and zeros there, and a last layer by another name is taken; a warning says so. PyTorch's tensors will do, as
    `state_dict()` or a checkpoint has them, also behind the prefixes of DataParallel, torch.compile and Lightning.
    Raises ValueError, naming the array, where one is missing, is not one of the model's, has another shape or is not of
    floating-point numbers.
    """
    table, found = _table(name), unwrapped(arrays)
    part = of_net(found, (table.names, table.timm))
    shapes = {array: _shape(array, leaf.shape) for array, leaf in _named(part.names, _built(name)[1])}
    names, arrays, beside = with_head(part, found, shapes, num_classes, np.zeros)
    net, like = _built(name, *getattr(arrays.get(f"{names[-1]}.weight"), "shape", ())[:1])
    expected = {array: leaf.shape for array, leaf in _named(names, like)}
    counters = {counter(array) for array in expected}
    for array in sorted(expected.keys() ^ (arrays.keys() - counters)):
        got, wanted = "nothing", "no such array"
        got, wanted = (got, _shape(array, expected[array])) if array in expected else (np.shape(arrays[array]), wanted)
        spellings = {model: (table.names, table.timm) for model, table in TABLES.items()}
        raise ValueError(f"{array}: got {got}, expected {wanted}{other_net(name, arrays, spellings)}")
    leaves = [_from_torch(array, arrays[array], shape, table.flattened) for array, shape in expected.items()]
    trees = jax.tree.unflatten(jax.tree.structure(like), leaves)
    warn_of_left_out(beside)
    return net, trees["params"], trees["state"]


def to_torchvision(name: str, params: list[Params], state: list[Params]) -> dict[str, Any]:
    """Arrays by torchvision's names, as `load_state_dict` takes them, from parameters and state of the net `name`.

    Raises ValueError for those of another net, and where parameters or running statistics are missing.
    """
    table, arrays = _table(name), {}
    named = dict(_named(table.names, {"params": params, "state": state}))
    expected = dict(_named(table.names, _built(name)[1]))
    for array in sorted(expected.keys() ^ named.keys()):
        got, wanted = ("nothing", "it") if array in expected else ("it", "nothing")
        raise ValueError(f"params, state: {array}: got {got}, expected {wanted} in {name}")
    for array, leaf in named.items():
        arrays[array] = _to_torch(leaf, table.flattened).reshape(_shape(array, leaf.shape))
        if counter(array):
            arrays[counter(array)] = np.zeros((), np.int64)
    return arrays


@functools.cache
def _built(name: str, classes: int = 1000) -> tuple[Chain, Any]:
    """The net, and its parameters and state as shapes."""
    net = TABLES[name].build(classes)

    def trees(key):
        return {"params": net.init(key, SHAPE), "state": net.init_state(SHAPE)}

    return net, jax.eval_shape(trees, jax.eval_shape(lambda: jax.random.key(0)))


def _named(names: tuple[str, ...], trees: Any) -> Iterator[tuple[str, Any]]:
    """What torchvision calls it, and the array, for each of params and state, in the order of `jax.tree.leaves`."""
    leaves = jax.tree_util.tree_leaves_with_path(trees)
    layers = dict.fromkeys(path[1:-1] for path, _ in leaves)  # those of params come first, and those of state again
    if len(layers) != len(names):
        raise ValueError(f"params: got {len(layers)} layers with parameters, expected {len(names)}")
    place = dict(zip(layers, names, strict=True))
    for path, leaf in leaves:
        layer = place[path[1:-1]]
        yield layer if layer.endswith(SCALES) else f"{layer}.{KEYS[path[-1].key]}", leaf


def _from_torch(array: str, x, shape: tuple[int, ...], flattened) -> Any:
    expected = _shape(array, shape)
    if not isinstance(getattr(x, "dtype", None), np.dtype):  # PyTorch's
        try:
            x = np.asarray(x)
        except (TypeError, ValueError, RuntimeError) as error:  # NumPy has no bfloat16, nor what is on a GPU
            raise ValueError(f"{array}: got {type(x).__name__}, expected an array of NumPy's: {error}") from None
    same = x.shape == expected or trimmed(x.shape) == trimmed(expected)
    same = same or (len(shape) == 2 and x.shape == (shape[1], *(flattened or ())))
    if not (same and jnp.issubdtype(x.dtype, jnp.floating)):
        raise ValueError(f"{array}: got {x.dtype}{x.shape}, expected floating-point numbers, {expected}")
    x = x.astype(np.float32)
    if len(shape) == 4:
        return x.reshape(shape[:1:-1] + shape[:2]).transpose(2, 3, 1, 0)
    x = x.reshape(expected)
    if len(shape) == 2 and flattened and shape[0] == math.prod(flattened):
        return x.reshape(-1, *flattened).transpose(2, 3, 1, 0).reshape(shape)
    return x.T


def _to_torch(x, flattened) -> Any:
    if len(x.shape) == 4:
        return x.transpose(3, 2, 0, 1)
    if len(x.shape) == 2 and flattened and x.shape[0] == math.prod(flattened):
        channels, *image = flattened
        return x.reshape(*image, channels, -1).transpose(3, 2, 0, 1).reshape(x.shape[::-1])
    return x.T


def _shape(array: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """PyTorch's, of what has `shape` here."""
    if array.endswith(SCALES):
        return (shape[-1], 1, 1)
    if len(shape) == 4 and not array.endswith(DENSE):
        return (*shape[:1:-1], *shape[:2])
    return shape[:1:-1] if len(shape) == 4 else shape[::-1]


def _table(name: str) -> Table:
    if not isinstance(name, str) or name not in TABLES:
        raise ValueError(f"name: got {name!r}, expected one of {', '.join(TABLES)}")
    return TABLES[name]


def _resnet(blocks: tuple[int, ...], convolutions: int) -> tuple[str, ...]:
    names = ["conv1", "bn1"]
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            place = f"layer{stage}.{block}"
            names += [f"{place}.{kind}{i}" for i in range(1, convolutions + 1) for kind in ("conv", "bn")]
            if block == 0 and (stage > 1 or convolutions == 3):
                names += [f"{place}.downsample.0", f"{place}.downsample.1"]
    return (*names, "fc")


def _vgg(convolutions: tuple[int, ...], normalised: bool, head: tuple[str, ...]) -> tuple[str, ...]:
    """`convolutions` in each stage: their numbers count what has no parameters, too."""
    names, number = [], 0
    for count in convolutions:
        for _ in range(count):
            names += [f"features.{number + i}" for i in range(1 + normalised)]
            number += 2 + normalised
        number += 1
    return (*names, *head)


def _vgg_table(build, convolutions: tuple[int, ...], normalised: bool) -> Table:
    heads = ("classifier.0", "classifier.3", "classifier.6"), ("pre_logits.fc1", "pre_logits.fc2", "head.fc")
    return Table(build, *(_vgg(convolutions, normalised, head) for head in heads), flattened=(512, 7, 7))


def _mobilenet_v2() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """torchvision's and timm's."""
    names, timm, number = ["features.0.0", "features.0.1"], ["conv_stem", "bn1"], 1
    inside = ("conv.0.0", "conv.0.1", "conv.1.0", "conv.1.1", "conv.2", "conv.3")
    timms = ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3")
    for stage, (expansion, _, blocks, _) in enumerate(STAGES):
        for block in range(blocks):
            parts = inside if expansion > 1 else ("conv.0.0", "conv.0.1", "conv.1", "conv.2")
            names += [f"features.{number}.{part}" for part in parts]
            parts = timms if expansion > 1 else ("conv_dw", "bn1", "conv_pw", "bn2")
            timm += [f"blocks.{stage}.{block}.{part}" for part in parts]
            number += 1
    last = f"features.{number}"
    return (*names, f"{last}.0", f"{last}.1", "classifier.1"), (*timm, "conv_head", "bn2", "classifier")


def _convnext() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """torchvision's and timm's."""
    names, timm = ["features.0.0", "features.0.1"], ["stem.0", "stem.1"]
    for stage, (_, blocks) in enumerate(TINY):
        if stage > 0:
            names += [f"features.{2 * stage}.{i}" for i in (0, 1)]
            timm += [f"stages.{stage}.downsample.{i}" for i in (0, 1)]
        for block in range(blocks):
            parts = ("block.0", "block.2", "block.3", "block.5", "layer_scale")
            names += [f"features.{2 * stage + 1}.{block}.{part}" for part in parts]
            parts = ("conv_dw", "norm", "mlp.fc1", "mlp.fc2", "gamma")
            timm += [f"stages.{stage}.blocks.{block}.{part}" for part in parts]
    return (*names, "classifier.0", "classifier.2"), (*timm, "head.norm", "head.fc")


ALEXNET = (*(f"features.{i}" for i in (0, 3, 6, 8, 10)), *(f"classifier.{i}" for i in (1, 4, 6)))
TABLES = {
    "alexnet_one_tower": Table(alexnet_one_tower, ALEXNET, flattened=(256, 6, 6)),
    "resnet18": Table(resnet18, _resnet((2, 2, 2, 2), 2)),
    "resnet34": Table(resnet34, _resnet((3, 4, 6, 3), 2)),
    "resnet50": Table(resnet50, _resnet((3, 4, 6, 3), 3)),
    "resnet101": Table(resnet101, _resnet((3, 4, 23, 3), 3)),
    "vgg11": _vgg_table(vgg11, (1, 1, 2, 2, 2), False),
    "vgg11_bn": _vgg_table(vgg11_bn, (1, 1, 2, 2, 2), True),
    "vgg16": _vgg_table(vgg16, (2, 2, 3, 3, 3), False),
    "vgg16_bn": _vgg_table(vgg16_bn, (2, 2, 3, 3, 3), True),
    "mobilenet_v2": Table(mobilenet_v2, *_mobilenet_v2()),
    "convnext_tiny": Table(convnext_tiny, *_convnext()),
}
