"""RandAugment (Cubuk et al. 2019): some changes of an image, drawn from a list, all of one strength."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from purecnn.annotations import Array, Float, Key, Num
from purecnn.data.colours import brightened, contrasted, saturated
from purecnn.data.interpolation import moved

COLOURS = ("brightness", "contrast", "saturation", "posterize", "solarize", "autocontrast")
MOVES = ("rotate", "shear y", "shear x", "shift y", "shift x")
KINDS = ("identity", *COLOURS, *MOVES)
# At full strength; the published ones, as PyTorch has them.
FACTOR, ANGLE, SHEAR, SHIFT, BITS = 0.9, jnp.pi / 6, 0.3, 150 / 331, 4


def rand_augment(
    key: Key[Array, ""], images: Float[Array, "n h w c"], *, count: int = 2, strength: float = 0.3
) -> Float[Array, "n h w c"]:
    """`count` changes of every image, each one of KINDS by chance, at a `strength` from 0 to 1.

    The published 9 of 30 is 0.3. What has two directions goes either way; what moves in is 0. Of the published changes
    equalize and sharpness are left out.
    """
    for each in jax.random.split(key, count):
        kind_key, sign_key = jax.random.split(each)
        kind = jax.random.randint(kind_key, (len(images),), 0, len(KINDS))
        sign = jax.random.rademacher(sign_key, (len(images),), images.dtype)
        images = changed(images, kind, sign * strength)
    return images


def changed(
    images: Float[Array, "n h w c"], kind: Num[Array, " n"], amount: Float[Array, " n"]
) -> Float[Array, "n h w c"]:
    """Each image by its own of KINDS, `amount` from −1 to 1."""
    result = _moved(images, kind, amount)
    for name, change in zip(COLOURS, _CHANGES, strict=True):
        result = jnp.where((kind == KINDS.index(name))[:, None, None, None], change(images, amount), result)
    return result


def _moved(images: Float[Array, "n h w c"], kind: Num[Array, " n"], amount: Float[Array, " n"]) -> Array:
    """By the identity where `kind` is no move."""
    turn, shear_y, shear_x, shift_y, shift_x = (
        jnp.where(kind == KINDS.index(name), amount * full, 0)
        for name, full in zip(MOVES, (ANGLE, SHEAR, SHEAR, SHIFT, SHIFT), strict=True)
    )
    matrix = jnp.stack([jnp.cos(turn), shear_y + jnp.sin(turn), shear_x - jnp.sin(turn), jnp.cos(turn)], axis=1)
    _, height, width, _ = images.shape
    offset = jnp.stack([shift_y * height, shift_x * width], axis=1)
    return moved(images, matrix.reshape(-1, 2, 2), offset)


def _posterized(images: Array, amount: Array) -> Array:
    """Values in steps: of 8 bits, BITS fewer are kept at full strength."""
    steps = 2.0 ** jnp.round(BITS * jnp.abs(amount))[:, None, None, None]
    return jnp.floor(jnp.round(images * 255) / steps) * steps / 255


def _solarized(images: Array, amount: Array) -> Array:
    """What is brighter than 1 − |amount|, inverted."""
    return jnp.where(images >= 1 - jnp.abs(amount)[:, None, None, None], 1 - images, images)


def _autocontrasted(images: Array, amount: Array) -> Array:
    """Every channel stretched to 0 … 1; one that is all alike stays."""
    low, high = (edge(images, axis=(1, 2), keepdims=True) for edge in (jnp.min, jnp.max))
    return jnp.where(high > low, (images - low) / jnp.where(high > low, high - low, 1), images)


_CHANGES = (
    lambda images, amount: brightened(images, 1 + FACTOR * amount),
    lambda images, amount: contrasted(images, 1 + FACTOR * amount),
    lambda images, amount: saturated(images, 1 + FACTOR * amount),
    _posterized,
    _solarized,
    _autocontrasted,
)
