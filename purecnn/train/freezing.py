"""Fine-tuning: which layers of a net a run leaves as they are, and how much slower the early ones learn."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import jax
import optax

from purecnn.chain import Chain, Layer

ALL_BUT_HEAD = "all-but-head"


def is_freeze(text: Any) -> bool:
    return isinstance(text, str) and (
        text == ALL_BUT_HEAD or re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text) is not None
    )


def frozen_layers(freeze: str | None, params: Sequence[Any]) -> frozenset[int]:
    """The places in the chain that `freeze` names: "all-but-head" (the last layer with parameters), or "0-12,15".

    Raises ValueError for a place that the net has not, and where nothing would be left to train.
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
    places = f"the net's layers 0 to {len(params) - 1}, with one that has parameters left to train"
    if not frozen or max(frozen) >= len(params) or set(weighted) <= frozen:
        raise ValueError(f"freeze: got {freeze!r}, expected some of {places}")
    return frozenset(frozen)


def with_frozen(net: Chain, frozen: frozenset[int]) -> Chain:
    """`net`, whose layers at these places run as they do without `train`: no dropout, statistics that stand still."""
    layers = tuple(_inference(layer) if i in frozen else layer for i, layer in enumerate(net.layers))
    return dataclasses.replace(net, layers=layers)


def _inference(layer: Layer) -> Layer:
    return dataclasses.replace(
        layer,
        apply=lambda params, state, x, train, key: layer.apply(params, state, x, False, None),
        fwd=lambda params, state, x, train, key: layer.fwd(params, state, x, False, None),
        bwd=lambda residuals, y_bar, train: layer.bwd(residuals, y_bar, False),
    )


def fine_tuning(
    optimizer: optax.GradientTransformation, freeze: str | None, layer_decay: float
) -> optax.GradientTransformation:
    """`optimizer` for the layers that are not frozen, which alone have a state in it.

    The updates of a layer with k layers with parameters behind it are multiplied by layer_decay**k.
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
