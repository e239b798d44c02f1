"""Kinks inside functions and under sums: one convention is right, a mixture or another slope is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.sampling import slow_but
from tests.verify.rules import SLOPES

from ..faulty_rules.joined import joined, normal

X, W = normal(0, 4, 3), normal(1, 3, 5)


def net(x, w):
    return jnp.sin(jnp.maximum(x @ w, 0)).sum(0)


def net_backward(slope):
    def backward(args, y, g):
        x, w = args
        h = x @ w
        d = g[None] * jnp.cos(jnp.maximum(h, 0)) * slope(h).astype(g.dtype)
        return d @ w.T, x.T @ d

    return backward


def mean_relu(x):
    return jnp.maximum(x, 0).mean()


def sum_abs(x):
    return jnp.abs(x).sum()


def top(x):
    return (x.max(-1) * x.sum(-1)).sum()


def top_backward(weights):
    def backward(args, y, g):
        (x,) = args
        best = x.max(-1, keepdims=True)
        return (g * (weights(x, best).astype(x.dtype) * x.sum(-1, keepdims=True) + best),)

    return backward


def first(x, best):
    return jax.nn.one_hot(x.argmax(-1), x.shape[-1])


def bce(z, t):
    return (jnp.maximum(z, 0) - z * t + jnp.log1p(jnp.exp(-jnp.abs(z)))).mean()


def bce_backward(factor):
    def backward(args, y, g):
        z, t = args
        return g * factor * (jax.nn.sigmoid(z) - t) / z.size, -g * z / z.size

    return backward


TARGETS = (1 / (1 + np.exp(-normal(2, 4, 3)))).astype(np.float32)
RULES = {
    "slope 0 inside": (net, net_backward(lambda h: h > 0), (X, W), True),
    "slope 1 inside": (net, net_backward(lambda h: h >= 0), (X, W), True),
    "slope 2 inside at 0": (net, net_backward(lambda h: jnp.where(h == 0, 2.0, h > 0).astype(h.dtype)), (X, W), False),
    "slope 0 under a mean": (
        mean_relu,
        lambda args, y, g: (g * (args[0] > 0).astype(g.dtype) / args[0].size,),
        (X,),
        True,
    ),
    "slope 3 at 0 under a mean": (
        mean_relu,
        lambda args, y, g: (g * jnp.where(args[0] == 0, 3, args[0] > 0).astype(g.dtype) / args[0].size,),
        (X,),
        False,
    ),
    "sign for |x|": (sum_abs, lambda args, y, g: (g * jnp.sign(args[0]),), (X,), True),
    "1 for |x| at 0": (sum_abs, lambda args, y, g: (g * jnp.where(args[0] >= 0, 1, -1).astype(g.dtype),), (X,), True),
    "the first of ties": (top, top_backward(first), (X,), True),
    "every tie in full": (top, top_backward(lambda x, best: x == best), (X,), False),
    "kinks that cancel": (bce, bce_backward(1.0), (X, TARGETS), True),
    "kinks that cancel, factor": (bce, bce_backward(1.01), (X, TARGETS), False),
}


# Of each function one, and of two a wrong one too; make slow-proofs runs them all.
SOME = ("slope 0 inside", "slope 3 at 0 under a mean", "the first of ties", "every tie in full", "kinks that cancel")


@pytest.mark.parametrize("name", slow_but([name for name in RULES if name in SOME], RULES))
def test_one_convention_is_right_and_another_slope_is_not(name):
    function, backward, args, right = RULES[name]
    report = verify.check(joined(function, backward), *args, checks=SLOPES)
    assert (report.verdict == "right") == right, str(report)


@pytest.mark.slow
def test_relu_of_jax_between_products():
    report = verify.check(lambda x, w, v: jax.nn.relu(x @ w) @ v, X, W, normal(3, 5, 2))
    assert report.ok, str(report)


@pytest.mark.slow
def test_conjugate_gradients_are_asked_for_no_more_than_their_tolerance():
    a = normal(4, 4, 4)
    m = (a @ a.T / 4 + np.eye(4)).astype(np.float32)
    report = verify.check(lambda m, b: jax.scipy.sparse.linalg.cg(m, b)[0], m, normal(5, 4), cases=0, checks=LINEAR)
    assert report.ok, str(report)


LINEAR = ("contract", "adjoint", "differences", "transforms")
