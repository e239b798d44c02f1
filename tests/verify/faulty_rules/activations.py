"""Elementwise functions and softmax."""

import jax
import jax.numpy as jnp

from .joined import faults, normal


def relu(x):
    return jnp.where(x > 0, x, jnp.zeros_like(x))


def relu_backward(args, y, g, *, fault=""):
    (x,) = args
    keep = x > 0
    zero = jnp.zeros_like(g)
    if fault == "passes at zero":
        keep = x >= 0
    if fault == "mask inverted":
        keep = x < 0
    if fault == "mask from the cotangent":
        keep = g > 0
    if fault == "no mask":
        keep = jnp.ones_like(keep)
    if fault == "mask of the first sample":
        keep = jnp.broadcast_to(keep[:1], keep.shape)
    if fault == "mask shifted by one":
        keep = jnp.roll(keep, 1, -1)
    if fault == "a threshold above zero":
        keep = x > 0.1
    x_bar = jnp.where(keep, g, zero)
    if fault == "leaky":
        x_bar = jnp.where(keep, g, g * 0.01)
    if fault == "value instead of slope":
        x_bar = y * g
    if fault == "cotangent ignored":
        x_bar = keep.astype(g.dtype)
    if fault == "sign of the negative side":
        x_bar = jnp.where(keep, g, -g)
    if fault == "absolute cotangent":
        x_bar = jnp.where(keep, jnp.abs(g), zero)
    if fault == "mean of the cotangent":
        x_bar = jnp.where(keep, jnp.broadcast_to(g.mean(), g.shape), zero)
    return (x_bar,)


def sigmoid(x):
    return jax.nn.sigmoid(x)


def sigmoid_backward(args, y, g, *, fault=""):
    (x,) = args
    slope = y * (1 - y)
    if fault == "derivative of the value":
        slope = jax.nn.sigmoid(y) * (1 - jax.nn.sigmoid(y))
    if fault == "input for the output":
        slope = x * (1 - x)
    if fault == "square forgotten":
        slope = y
    if fault == "plus for minus":
        slope = y * (1 + y)
    if fault == "that of tanh":
        slope = 1 - y * y
    if fault == "twice":
        slope = 2 * slope
    if fault == "overflowing form":
        slope = jnp.exp(x) / (1 + jnp.exp(x)) ** 2
    if fault == "cotangent squared":
        g = g * g
    if fault == "first row's slope for all":
        slope = jnp.broadcast_to(slope[:1], slope.shape)
    return (g * slope,)


def softmax(x):
    return jax.nn.softmax(x)


def softmax_backward(args, y, g, *, fault=""):
    inner = (g * y).sum(-1, keepdims=True)
    if fault == "diagonal only":
        return (g * y * (1 - y),)
    if fault == "sum over the batch":
        inner = (g * y).sum(0, keepdims=True)
    if fault == "sum of the cotangent alone":
        inner = g.sum(-1, keepdims=True)
    if fault == "no projection":
        inner = jnp.zeros_like(inner)
    if fault == "mean for the sum":
        inner = (g * y).mean(-1, keepdims=True)
    if fault == "plus for minus":
        inner = -inner
    if fault == "value forgotten":
        return (g - inner,)
    return (y * (g - inner),)


X = normal(5, 4, 6)
RULES = (
    faults(
        "relu",
        relu,
        relu_backward,
        (normal(4, 3, 5, 5, 2),),
        {
            "passes at zero": (("ties", "everywhere", "scattered", "nonzero", "row", "×"), {"alone": False}),
            "mask inverted": ("everywhere",),
            "mask from the cotangent": ("scattered",),
            "no mask": ("nonzero", "scattered"),
            "mask of the first sample": ("sample",),
            "mask shifted by one": ("scattered",),
            "a threshold above zero": ("zero", "scattered", "one element"),
            "leaky": ("nonzero", "scattered"),
            "value instead of slope": ("scattered",),
            "cotangent ignored": ("same value", "scattered"),
            "sign of the negative side": ("nonzero", "scattered"),
            "absolute cotangent": ("sign",),
            "mean of the cotangent": ("same value",),
        },
    )
    + faults(
        "sigmoid",
        sigmoid,
        sigmoid_backward,
        (X,),
        {
            "derivative of the value": ("everywhere",),
            "input for the output": ("everywhere",),
            "square forgotten": ("everywhere",),
            "plus for minus": ("everywhere",),
            "that of tanh": ("everywhere",),
            "twice": ("×2",),
            "overflowing form": ("not finite",),
            "cotangent squared": ("everywhere",),
            "first row's slope for all": ("sample",),
        },
    )
    + faults(
        "softmax",
        softmax,
        softmax_backward,
        (X,),
        {
            "diagonal only": ("everywhere",),
            "sum over the batch": ("everywhere",),
            "sum of the cotangent alone": ("everywhere",),
            "no projection": ("everywhere",),
            "mean for the sum": ("everywhere",),
            "plus for minus": ("everywhere",),
            "value forgotten": ("everywhere",),
        },
    )
)
RIGHT = (
    (relu, relu_backward, (normal(4, 3, 5, 5, 2),)),
    (sigmoid, sigmoid_backward, (X,)),
    (softmax, softmax_backward, (X,)),
)
