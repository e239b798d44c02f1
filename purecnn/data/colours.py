"""Random changes of colour, with PyTorch's formulas: pure functions (key, images) -> images, float32 in [0, 1]."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from purecnn.annotations import Array, Float, Key

RED_GREEN_BLUE = (0.299, 0.587, 0.114)  # how bright each is (ITU-R BT.601)


def grey_of(images: Float[Array, "n h w c"]) -> Float[Array, "n h w 1"]:
    """How bright each pixel is: of three channels their weighted sum, else their mean."""
    if images.shape[-1] == 3:
        weights = jnp.asarray(RED_GREEN_BLUE, images.dtype)[None, None, None]
        return (images * weights).sum(axis=-1, keepdims=True)
    return images.mean(axis=-1, keepdims=True)


def _blend(
    images: Float[Array, "n h w c"], other: Float[Array, "n _ _ _"] | float, factor: Float[Array, " n"]
) -> Float[Array, "n h w c"]:
    """`images` at a factor of 1, `other` at 0, and beyond either."""
    share = factor[:, None, None, None]
    return jnp.clip(share * images + (1 - share) * other, 0, 1)


def brightened(images: Float[Array, "n h w c"], factor: Float[Array, " n"]) -> Float[Array, "n h w c"]:
    return _blend(images, 0.0, factor)


def contrasted(images: Float[Array, "n h w c"], factor: Float[Array, " n"]) -> Float[Array, "n h w c"]:
    return _blend(images, grey_of(images).mean(axis=(1, 2), keepdims=True), factor)


def saturated(images: Float[Array, "n h w c"], factor: Float[Array, " n"]) -> Float[Array, "n h w c"]:
    return _blend(images, grey_of(images), factor) if images.shape[-1] == 3 else images


def random_jitter(
    key: Key[Array, ""], images: Float[Array, "n h w c"], *, strength: float = 0.4
) -> Float[Array, "n h w c"]:
    """Brightness, contrast and saturation, in this order, each times 1 − `strength` to 1 + `strength`."""
    for each, change in zip(jax.random.split(key, 3), (brightened, contrasted, saturated), strict=True):
        factor = jax.random.uniform(each, (len(images),), images.dtype, 1 - strength, 1 + strength)
        images = change(images, factor)
    return images
