"""Masks of a generated call, which leave something and leave something out as the example's do."""

import numpy as np

MOSTLY = 0.75  # what of a mask that is all true, or all false, in the example stays so


def drawn(rng: np.random.Generator, shape: tuple[int, ...], example: np.ndarray) -> np.ndarray:
    """Something true in every row, if it is so in the example, and something false, if that is so: an average or a
    softmax over nothing has no value, and a mask says either what stays or what is left out."""
    mask = _values(rng, shape, example)
    if mask.ndim == 0 or not mask.shape[-1]:
        return mask
    one = rng.integers(0, mask.shape[-1], (*mask.shape[:-1], 1)) == np.arange(mask.shape[-1])
    if example.any(-1).all():
        mask = np.where(mask.any(-1, keepdims=True), mask, one)
    if not example.all(-1).any() and mask.shape[-1] > 1:
        mask = np.where(mask.all(-1, keepdims=True), ~one, mask)
    return mask


def _values(rng: np.random.Generator, shape: tuple[int, ...], example: np.ndarray) -> np.ndarray:
    """Mostly as the example where that is all true or all false, as no padding and no end of an episode are."""
    if example.size and (example.all() or not example.any()):
        return (rng.random(shape) < MOSTLY) == example.flat[0]
    return rng.choice(example.ravel(), shape)
