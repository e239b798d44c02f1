"""Training images mixed in pairs, and their labels with them: pure functions (key, images, labels) -> images, Mixed.

The partner of an image is the next of its batch, which is shuffled anew every epoch; the last one's is the first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from purecnn.annotations import Array, Float, Key, Num


class Mixed(NamedTuple):
    """Two labels for every image, (N,) each, and the share of the first, (N,)."""

    labels: Array
    others: Array
    share: Array


Mixing = Callable[[Array, Array, Array], tuple[Array, Mixed]]


def mixup(
    key: Key[Array, ""], images: Float[Array, "n h w c"], labels: Num[Array, " n"], *, alpha: float
) -> tuple[Array, Mixed]:
    """Every image λ times itself and 1 − λ times its partner, λ from Beta(α, α): Zhang et al. 2017."""
    share = jax.random.beta(key, alpha, alpha, (len(images),), images.dtype)
    weight = share[:, None, None, None]
    return weight * images + (1 - weight) * jnp.roll(images, -1, axis=0), Mixed(labels, jnp.roll(labels, -1), share)


def cutmix(
    key: Key[Array, ""], images: Float[Array, "n h w c"], labels: Num[Array, " n"], *, alpha: float
) -> tuple[Array, Mixed]:
    """In every image a rectangle of its partner, of 1 − λ of the area, λ from Beta(α, α): Yun et al. 2019.

    Its middle is any pixel; where part of it lies outside, λ is what is left of the image's own pixels.
    """
    n, height, width, _ = images.shape
    keys = jax.random.split(key, 3)
    side = jnp.sqrt(1 - jax.random.beta(keys[0], alpha, alpha, (n,), images.dtype))
    rows, columns = (
        (first <= jnp.arange(extent)[None]) & (jnp.arange(extent)[None] < first + length)
        for each, extent in zip(keys[1:], (height, width), strict=True)
        for length in [jnp.round(side * extent).astype(jnp.int32)[:, None]]
        for first in [jax.random.randint(each, (n, 1), 0, extent) - length // 2]
    )
    inside = rows[:, :, None] & columns[:, None, :]
    mixed = jnp.where(inside[..., None], jnp.roll(images, -1, axis=0), images)
    return mixed, Mixed(labels, jnp.roll(labels, -1), 1 - inside.mean(axis=(1, 2), dtype=images.dtype))


def make_mixing(mixup_alpha: float, cutmix_alpha: float) -> Mixing | None:
    """By the α of each, 0 for none of it; with both, one of them for every image, by chance."""
    ways = [partial(way, alpha=alpha) for way, alpha in ((mixup, mixup_alpha), (cutmix, cutmix_alpha)) if alpha]
    if len(ways) < 2:
        return ways[0] if ways else None

    def either(key: Array, images: Array, labels: Array) -> tuple[Array, Mixed]:
        first_key, second_key, choice_key = jax.random.split(key, 3)
        first, one = ways[0](first_key, images, labels)
        second, other = ways[1](second_key, images, labels)
        chosen = jax.random.bernoulli(choice_key, 0.5, (len(images),))
        share = jnp.where(chosen, one.share, other.share)
        return jnp.where(chosen[:, None, None, None], first, second), one._replace(share=share)

    return either
