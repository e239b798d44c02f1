"""The only place in the library where JAX differentiates: a layer that has no backward rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax


def vjp_forward(apply: Callable[..., Any], params, state, x, train, key):
    """`apply`'s y and state; the residuals are its pullback, whose arrays are those that autodiff keeps."""
    y, pullback, new_state = jax.vjp(lambda params, x: apply(params, state, x, train, key), params, x, has_aux=True)
    return y, new_state, pullback


def vjp_backward(pullback, y_bar, train):
    """x̄, and the parameters' cotangents as a dict."""
    params_bar, x_bar = pullback(y_bar)
    return x_bar, params_bar
