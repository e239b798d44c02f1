"""Other backward rules for LeNet's layers, each one call of `purecnn.with_backward`."""

import dataclasses
import functools

import jax
import jax.numpy as jnp

import purecnn
from purecnn.chain import Chain, Layer
from purecnn.initializers import he_normal

RULES = ("true", "feedback alignment", "the same, dense layers only", "sign-symmetric", "guided")
WEIGHTED = ("conv2d", "dense")


def with_weights(layer: Layer, other) -> Layer:
    """x̄ from `other(w)` in place of w. The residuals are (x, w, b); w̄ and b̄ do not depend on w and stay as they are."""

    def bwd(residuals, y_bar, train):
        x, w, b = residuals
        return layer.bwd((x, other(w), b), y_bar, train)

    return purecnn.with_backward(layer, bwd)


def random_weights(key, w):
    """Drawn as w was at the start, with other numbers, and never changed."""
    return he_normal(key, w.shape, w.dtype)


def signs(w):
    """Their mean size keeps x̄ as long as w would make it, roughly."""
    return jnp.sign(w) * jnp.abs(w).mean()


def guided(layer: Layer) -> Layer:
    """Springenberg et al. 2014: of what reaches a ReLU only the positive part passes."""
    return purecnn.with_backward(
        layer, lambda residuals, y_bar, train: layer.bwd(residuals, jnp.maximum(y_bar, 0), train)
    )


def lenet(rule: str = "true", key: jax.Array | None = None) -> Chain:
    """LeNet with `rule` for its backward rules; `key` draws the fixed weights of feedback alignment."""
    net = purecnn.models.lenet()

    def replaced(i: int, layer: Layer) -> Layer:
        weighted = layer.name in (WEIGHTED[1:] if rule == "the same, dense layers only" else WEIGHTED)
        if rule in ("feedback alignment", "the same, dense layers only") and weighted:
            return with_weights(layer, functools.partial(random_weights, jax.random.fold_in(key, i)))
        if rule == "sign-symmetric" and weighted:
            return with_weights(layer, signs)
        return guided(layer) if rule == "guided" and layer.name == "relu" else layer

    return dataclasses.replace(net, layers=tuple(replaced(i, layer) for i, layer in enumerate(net.layers)))
