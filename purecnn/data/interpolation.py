"""Images interpolated between their pixels."""

from __future__ import annotations

import jax.numpy as jnp

from purecnn.annotations import Array, Float


def interpolated(
    images: Float[Array, "n h w c"], y: Float[Array, "n p"], x: Float[Array, "n p"]
) -> Float[Array, "n h w c"]:
    """Every image read at its own h·w positions (y, x), linearly between the four pixels around; 0 outside.

    Four gathers: as products with a matrix of weights for every position it would be h·w·h·w·c operations an image, at
    224 pixels some thousand times as long.
    """
    n, height, width, channels = images.shape
    pixels = images.reshape(n, height * width, channels)
    top, left = jnp.floor(y), jnp.floor(x)
    total = jnp.zeros_like(pixels)
    for row, row_weight in ((top, top + 1 - y), (top + 1, y - top)):
        for column, column_weight in ((left, left + 1 - x), (left + 1, x - left)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            row_at = jnp.clip(row, 0, height - 1).astype(jnp.int32)
            index = row_at * width + jnp.clip(column, 0, width - 1).astype(jnp.int32)
            found = jnp.take_along_axis(pixels, index[..., None], axis=1, mode="promise_in_bounds")
            total += jnp.where(inside, row_weight * column_weight, 0)[..., None] * found
    return total.reshape(images.shape)


def moved(
    images: Float[Array, "n h w c"], matrix: Float[Array, "n 2 2"], offset: Float[Array, "n 2"]
) -> Float[Array, "n h w c"]:
    """Each image as seen where `matrix` @ (y, x) + `offset` leads, y and x counted from its middle; outside it is 0.

    Sums of products: a product of matrices would be rounded to ten bits on some GPUs, a tenth of a pixel.
    """
    n, height, width, _ = images.shape
    rows = (jnp.arange(height, dtype=images.dtype) - (height - 1) / 2)[None, :, None]
    columns = (jnp.arange(width, dtype=images.dtype) - (width - 1) / 2)[None, None, :]
    middles = ((height - 1) / 2, (width - 1) / 2)
    y, x = (
        (matrix[:, i, 0, None, None] * rows + matrix[:, i, 1, None, None] * columns)
        + (offset[:, i, None, None] + middles[i])
        for i in (0, 1)
    )
    return interpolated(images, y.reshape(n, -1), x.reshape(n, -1))
