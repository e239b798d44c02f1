"""Fine-tuning: which layers of a net are frozen, and how much slower the early ones learn."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import optax

from purecnn.chain import Chain, Layer
from purecnn.signatures import Partial

ALL_BUT_HEAD = "all-but-head"


def is_freeze(text: Any) -> bool:
    return isinstance(text, str) and (
        text == ALL_BUT_HEAD or re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text) is not None
    )


def frozen_layers(freeze: str | None, params: Sequence[Any]) -> frozenset[int]:
    """The indices of the layers that `freeze` names: "all-but-head" (the last layer with parameters), or "0-12,15".

    Raises ValueError for an index that the net does not have, and if nothing would be left to train.
    """
    if freeze is None:
        return frozenset()
    weighted = [i for i, p in enumerate(params) if jax.tree.leaves(p)]
    if freeze == ALL_BUT_HEAD:
        return frozenset(range(weighted[-1]))
    frozen = set()
    for part in freeze.split(","):
        first, _, last = part.partition("-")
        frozen |= set(range(int(first), int(last or first) + 1))
    expected = f"the net's layers 0 to {len(params) - 1}, with one that has parameters left to train"
    if not frozen or max(frozen) >= len(params) or set(weighted) <= frozen:
        raise ValueError(f"freeze: got {freeze!r}, expected some of {expected}")
    return frozenset(frozen)


def with_frozen(net: Chain, frozen: frozenset[int], statistics: bool = False) -> Chain:
    """`net` with the layers at these indices in inference mode: no dropout, fixed statistics.

    With `statistics` every batch normalisation, also inside blocks, normalises by the running statistics.
    """

    def still(layer: Layer) -> Layer:
        return _inference(layer) if statistics and layer.name == "batch_norm" else layer

    layers = tuple(_inference(each) if i in frozen else _changed(each, still) for i, each in enumerate(net.layers))
    return dataclasses.replace(net, layers=layers)


def _changed(value: Any, change: Callable[[Layer], Layer]) -> Any:
    """`value`, a layer or what holds layers, with `change` of each that is made of no others."""
    if isinstance(value, Layer) and not value.inner:
        return change(value)
    if isinstance(value, Layer | Chain):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **{name: _changed(each, change) for name, each in fields.items()})
    if isinstance(value, Partial):
        return Partial(value.func, *_changed(value.args, change), **value.keywords)
    return tuple(_changed(each, change) for each in value) if isinstance(value, tuple) else value


def _inference(layer: Layer) -> Layer:
    apply, fwd, bwd = (Partial(function, layer) for function in (_apply, _fwd, _bwd))
    return dataclasses.replace(layer, apply=apply, fwd=fwd, bwd=bwd)


def _apply(layer: Layer, params, state, x, train, key):
    return layer.apply(params, state, x, False, None)


def _fwd(layer: Layer, params, state, x, train, key):
    return layer.fwd(params, state, x, False, None)


def _bwd(layer: Layer, residuals, y_bar, train):
    return layer.bwd(residuals, y_bar, False)


def fine_tuning(
    optimizer: optax.GradientTransformation, freeze: str | None, layer_decay: float
) -> optax.GradientTransformation:
    """`optimizer` for the layers that are not frozen; only these have a state in it.

    Updates are multiplied by layer_decay**k, where k counts the later layers with parameters.
    """
    if layer_decay != 1:
        optimizer = optax.chain(optimizer, optax.stateless(lambda updates, _: _by_depth(updates, layer_decay)))
    if freeze is None:
        return optimizer

    def kinds(params):
        frozen = frozen_layers(freeze, params)
        return [jax.tree.map(lambda _, kind=i in frozen: kind, p) for i, p in enumerate(params)]

    return optax.partition({False: optimizer, True: optax.set_to_zero()}, kinds)


def _by_depth(updates: Any, layer_decay: float) -> Any:
    scaled, factor = [], 1.0
    for layer in reversed(updates):
        scaled.append(jax.tree.map(lambda u, f=factor: f * u, layer))
        factor *= layer_decay if jax.tree.leaves(layer) else 1
    return scaled[::-1]
