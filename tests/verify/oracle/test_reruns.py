"""Mistakes that show when the call is run again: each is named, on rules that have it; its neighbours are not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.sampling import one_in

from ..faulty_rules.joined import joined, normal

A, V, X = normal(1, 5, 5), normal(2, 5), normal(3, 8, 5)
W = normal(4, 5, 3)


def causes(primal, backward, *args, **options):
    """What is said about each argument that is wrong."""
    rule = joined(primal, lambda args, y, g: backward(*args, g))
    report = verify.check(rule, *args, **{"checks": ("contract", "gradient"), "cases": 0, **options})
    assert report.verdict == "wrong"
    return {f.argument: f.cause for f in report.failures}


def dense_backward(x, w, g):
    return g @ w.T, x.T @ g


def tanh_dense(x, w):
    return jnp.tanh(x @ w)


def tanh_dense_backward(x, w, g):
    inner = g * (1 - jnp.tanh(x @ w) ** 2)
    return inner @ w, x.T @ inner


def conv(x, w):
    return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def w_bar_of_conv(x, w, g):
    return jax.vjp(conv, x, w)[1](g)[1]


def outer(a, b):
    return a[:, None] * b[None]


# The function, the backward rule, the arguments; of which argument what is said, and of no other anything.
SYMMETRIC = {
    "A for Aᵀ": (lambda a, x: a @ x, lambda a, x, g: (outer(g, x), a @ g), (A, V), "x", "A".lower()),
    "behind a tanh": (tanh_dense, tanh_dense_backward, (X, A), "x", "w"),
    "a solve": (
        jnp.linalg.solve,
        lambda a, b, g: (-outer(jnp.linalg.solve(a.T, g), jnp.linalg.solve(a, b)), jnp.linalg.solve(a, g)),
        (A + 3 * np.eye(5, dtype=np.float32), V),
        "b",
        "a",
    ),
    "a quadratic form": (lambda a, x: x @ a @ x, lambda a, x, g: (g * outer(x, x), 2 * g * (a @ x)), (A, V), "x", "a"),
    "the input of a product": (lambda x, w: x @ w, lambda x, w, g: (g @ w.T, x @ g), (A, normal(5, 5, 3)), "w", "x"),
}


@pytest.mark.parametrize("kind", one_in(2, SYMMETRIC))
def test_a_matrix_for_its_transpose_is_named(kind):
    primal, backward, args, wrong, matrix = SYMMETRIC[kind]
    said = causes(primal, backward, *args)
    assert list(said) == [wrong]
    words = f"{wrong}̄ is right only where {matrix} is symmetric: {matrix} stands for {matrix}ᵀ"
    assert said[wrong].startswith(words)


def test_a_kernel_that_is_not_flipped_and_one_whose_channels_are_not_exchanged():
    x, w = normal(0, 2, 6, 6, 3), normal(1, 3, 3, 3, 3)
    unflipped = causes(conv, lambda x, w, g: (conv(g, w.swapaxes(2, 3)), w_bar_of_conv(x, w, g)), x, w)
    assert unflipped == {
        "x": "x̄ is right only where w is the same backwards: a flip of w along axes 0, 1 is missing or one too many"
    }
    channels = causes(conv, lambda x, w, g: (conv(g, w[::-1, ::-1]), w_bar_of_conv(x, w, g)), x, w)
    assert channels["x"].startswith("x̄ is right only where w is symmetric (axes 2 and 3): w stands for wᵀ")


COTANGENTS = {
    "ȳ is left out": lambda x, w, g: dense_backward(x, w, jnp.ones_like(g)),
    "the output stands for its cotangent": lambda x, w, g: dense_backward(x, w, x @ w),
    "ȳ is multiplied by itself": lambda x, w, g: dense_backward(x, w, g * g),
    "the sign of ȳ is lost": lambda x, w, g: dense_backward(x, w, jnp.abs(g)),
    "a clipped gradient: ȳ is cut off at ±0.5": lambda x, w, g: dense_backward(x, w, jnp.clip(g, -0.5, 0.5)),
    "x̄ is that of ȳ of the first sample": lambda x, w, g: dense_backward(x, w, jnp.broadcast_to(g[:1], g.shape)),
}


@pytest.mark.parametrize("words", COTANGENTS)
def test_another_cotangent_is_named(words):
    said = causes(lambda x, w: x @ w, lambda x, w, g: (COTANGENTS[words](x, w, g)[0], x.T @ g), X, W)
    assert list(said) == ["x"]
    assert said["x"].startswith(words)


def blocks(of):
    """Each block of four steps by itself."""
    return lambda x, g: (jnp.concatenate([of(x[n : n + 4], g[n : n + 4]) for n in range(0, len(x), 4)]),)


def decaying(x):
    return jax.lax.scan(lambda h, v: ((h := 0.9 * h + jnp.sin(v)), h), jnp.zeros(x.shape[1:], x.dtype), x)[1]


CARRIES = {
    "a sum": (lambda x: jnp.cumsum(x, 0), blocks(lambda x, g: jnp.cumsum(g[::-1], 0)[::-1]), "is lost every 4 steps"),
    "a recurrence": (decaying, blocks(lambda x, g: jax.vjp(decaying, x)[1](g)[0]), "is lost every 4 steps of axis 0"),
    "with its end": (
        lambda x: (jnp.cumsum(x, 0), x.sum(0)),
        lambda x, g: (
            jnp.concatenate([jnp.cumsum(p[::-1], 0)[::-1] for p in jnp.split(g[0], 3)]).at[8:].add(g[1][None]),
        ),
        "is lost every 4 steps of axis 0",
    ),
    "every step": (decaying, lambda x, g: (g * jnp.cos(x),), "the carry's cotangent is not passed on"),
}


@pytest.mark.parametrize("kind", CARRIES)
def test_a_carry_that_is_lost_between_blocks_is_named(kind):
    primal, backward, words = CARRIES[kind]
    assert words in causes(primal, backward, normal(7, 12, 3))["x"]


def test_a_sum_over_blocks_that_is_begun_anew_is_named():
    said = causes(lambda x, w: x @ w, lambda x, w, g: (g @ w.T, x[4:].T @ g[4:]), X, W)
    assert said == {
        "w": "only the last 4 of the 8 entries of ȳ along axis 0 reach w: the others are cut off, overwritten, "
        "or lost between blocks"
    }


SIZES = {
    "×8 = the number of rows of x: a sum where the function averages": (
        lambda x: (x**2).mean(0), lambda x, g: (2 * x * g[None],), X),
    "×1/8 = one over the number of rows of x: an average where the function sums": (
        lambda x: (x**2).sum(0), lambda x, g: (2 * x * g[None] / len(x),), X),
    "×12 = the size of x along axes 1 to 2: a sum where the function averages": (
        lambda x: x.mean((1, 2)), lambda x, g: (jnp.broadcast_to(g[:, None, None], x.shape),), normal(0, 2, 3, 4, 5)),
    "×8/(8 - 1), 8 = the number of rows of x: divided by n - 1 where the function divides by n": (
        lambda x: x.var(0),
        lambda x, g: (2 * (x - x.mean(0, keepdims=True)) * g[None] / (len(x) - 1),), X),
    # No size, though there is an axis of three: the factor stays as it is when that grows.
    "×1/3: a factor 3 is missing, or a division by 3 one too many": (
        lambda x: (x**3).sum(1), lambda x, g: (g[:, None] * x * x,), normal(0, 4, 3)),
    "×1/2: a factor 2 is missing, as that of d(x²) = 2x dx": (
        lambda x: x**2, lambda x, g: (g * x,), normal(0, 2, 5)),
}  # fmt: skip


@pytest.mark.parametrize("words", one_in(2, SIZES))
def test_a_factor_is_a_size_only_if_it_follows_the_size(words):
    primal, backward, x = SIZES[words]
    assert causes(primal, backward, x) == {"x": words}


@pytest.mark.parametrize("follows", [True, False])
def test_of_a_single_number_only_if_it_follows_the_size(follows):
    def backward(x, b, g):
        return jnp.broadcast_to(g[None], x.shape) / len(x), (len(x) if follows else 8) * g.sum()

    said = causes(lambda x, b: (x + b).mean(0), backward, X, np.float32(0.3))
    assert list(said) == ["b"]
    assert (said["b"] == "×8 = the number of rows of x: a sum where the function averages") == follows


def test_a_mistake_of_no_known_kind_is_left_to_its_pattern():
    said = causes(tanh_dense, lambda x, w, g: ((g * (1 - jnp.tanh(x @ w))) @ w.T, x.T @ g), X, W)
    assert said == dict.fromkeys(
        "xw", "a factor depends on the wrong array, a term is missing, or the cotangent is not used"
    )
