"""Elementwise functions and softmax."""

import jax
import jax.numpy as jnp

from .joined import faults, normal


def relu(x):
    return jnp.where(x > 0, x, jnp.zeros_like(x))


def passed(keep, g):
    return jnp.where(keep, g, jnp.zeros_like(g))


RELU_FAULTS = {  # {fault: (x, y, ȳ) -> x̄}
    "passes at zero": lambda x, y, g: passed(x >= 0, g),
    "mask inverted": lambda x, y, g: passed(x < 0, g),
    "mask from the cotangent": lambda x, y, g: passed(g > 0, g),
    "no mask": lambda x, y, g: g,
    "mask of the first sample": lambda x, y, g: passed(jnp.broadcast_to(x[:1] > 0, x.shape), g),
    "mask shifted by one": lambda x, y, g: passed(jnp.roll(x > 0, 1, -1), g),
    "a threshold above zero": lambda x, y, g: passed(x > 0.1, g),
    "leaky": lambda x, y, g: jnp.where(x > 0, g, g * 0.01),
    "value instead of slope": lambda x, y, g: y * g,
    "cotangent ignored": lambda x, y, g: (x > 0).astype(g.dtype),
    "sign of the negative side": lambda x, y, g: jnp.where(x > 0, g, -g),
    "absolute cotangent": lambda x, y, g: passed(x > 0, jnp.abs(g)),
    "mean of the cotangent": lambda x, y, g: passed(x > 0, jnp.broadcast_to(g.mean(), g.shape)),
}


def relu_backward(args, y, g, *, fault=""):
    (x,) = args
    return (RELU_FAULTS[fault](x, y, g) if fault else passed(x > 0, g),)


def sigmoid(x):
    return jax.nn.sigmoid(x)


SIGMOID_FAULTS = {  # {fault: (x, y, ȳ) -> x̄}
    "derivative of the value": lambda x, y, g: g * (jax.nn.sigmoid(y) * (1 - jax.nn.sigmoid(y))),
    "input for the output": lambda x, y, g: g * (x * (1 - x)),
    "square forgotten": lambda x, y, g: g * y,
    "plus for minus": lambda x, y, g: g * (y * (1 + y)),
    "that of tanh": lambda x, y, g: g * (1 - y * y),
    "twice": lambda x, y, g: g * (2 * (y * (1 - y))),
    "overflowing form": lambda x, y, g: g * (jnp.exp(x) / (1 + jnp.exp(x)) ** 2),
    "cotangent squared": lambda x, y, g: g * g * (y * (1 - y)),
    "first row's slope for all": lambda x, y, g: g * (y * (1 - y))[:1],
}


def sigmoid_backward(args, y, g, *, fault=""):
    (x,) = args
    return (SIGMOID_FAULTS[fault](x, y, g) if fault else g * (y * (1 - y)),)


def softmax(x):
    return jax.nn.softmax(x)


SOFTMAX_FAULTS = {  # {fault: (y, ȳ) -> x̄}
    "diagonal only": lambda y, g: g * y * (1 - y),
    "sum over the batch": lambda y, g: y * (g - (g * y).sum(0, keepdims=True)),
    "sum of the cotangent alone": lambda y, g: y * (g - g.sum(-1, keepdims=True)),
    "no projection": lambda y, g: y * g,
    "mean for the sum": lambda y, g: y * (g - (g * y).mean(-1, keepdims=True)),
    "plus for minus": lambda y, g: y * (g + (g * y).sum(-1, keepdims=True)),
    "value forgotten": lambda y, g: g - (g * y).sum(-1, keepdims=True),
}


def softmax_backward(args, y, g, *, fault=""):
    return (SOFTMAX_FAULTS[fault](y, g) if fault else y * (g - (g * y).sum(-1, keepdims=True)),)


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
