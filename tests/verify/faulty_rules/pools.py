"""Max-pooling and average-pooling over windows."""

import jax
import jax.numpy as jnp
import numpy as np

from .convolutions import pads, pair, placed
from .joined import distinct, faults, normal


def max_pool(x, *, window=2, stride=2, padding="VALID"):
    k, s = pair(window), pair(stride)
    p = pads(padding, x.shape[1:3], k, s)
    lowest = np.array(-np.inf, x.dtype)  # a literal, or JAX does not know the maximum again
    return jax.lax.reduce_window(x, lowest, jax.lax.max, (1, *k, 1), (1, *s, 1), ((0, 0), *p, (0, 0)))


def windows(x, k, s, p, shape, fill):
    """The windows as a list of strided slices, with the rows and columns of each in the padded input."""
    xp = jnp.pad(x, ((0, 0), *p, (0, 0)), constant_values=fill)
    slices = [
        (slice(i, i + s[0] * (shape[1] - 1) + 1, s[0]), slice(j, j + s[1] * (shape[2] - 1) + 1, s[1]))
        for i in range(k[0])
        for j in range(k[1])
    ]
    return xp, slices


WINNERS = {  # {fault: stack of the windows' entries -> the winner's number}
    "last tie wins": lambda stack: len(stack) - 1 - jnp.argmax(stack[::-1], axis=0),
    "first of the window always": lambda stack: jnp.zeros(stack.shape[1:], int),
    "winner found on the first sample": lambda stack: jnp.argmax(stack[:, :1], axis=0),
    "winner found on channel 0": lambda stack: jnp.argmax(stack[..., :1], axis=0),
    "winner index off by one": lambda stack: (jnp.argmax(stack, axis=0) + 1) % len(stack),
}


def own_winner(n, k, winner, stack, g):
    return jnp.where(winner == n, g, jnp.zeros_like(g))


def tied(n, stack):
    """Whether entry `n` is a maximum of its window, and how many are."""
    largest = stack.max(0)
    return stack[n] == largest, (stack == largest[None]).sum(0)


SHARES = {  # {fault: what entry `n` of every window gets}
    "every tie in full": lambda n, k, winner, stack, g: jnp.where(tied(n, stack)[0], g, jnp.zeros_like(g)),
    "ties get nothing": lambda n, k, winner, stack, g: jnp.where(
        tied(n, stack)[1] > 1, jnp.zeros_like(g), own_winner(n, k, winner, stack, g)
    ),
    "ties share": lambda n, k, winner, stack, g: jnp.where(
        tied(n, stack)[0], g / tied(n, stack)[1].astype(g.dtype), jnp.zeros_like(g)
    ),
    "average instead": lambda n, k, winner, stack, g: g / len(stack),
    "window transposed": lambda n, k, winner, stack, g: own_winner(
        (n % k[1] * k[1] + n // k[1]) % len(stack), k, winner, stack, g
    ),
}
AFTERWARDS = {  # {fault: right x̄ -> wrong x̄}
    "divided by the window": lambda x_bar, k: x_bar / (k[0] * k[1]),
    "divided by the batch": lambda x_bar, k: x_bar / x_bar.shape[0],
    "sign": lambda x_bar, k: -x_bar,
    "rows and columns exchanged": lambda x_bar, k: (
        jnp.swapaxes(x_bar, 1, 2) if x_bar.shape[1] == x_bar.shape[2] else x_bar[:, ::-1]
    ),
    "channels in reverse": lambda x_bar, k: x_bar[..., ::-1],
    "every second column lost": lambda x_bar, k: x_bar.at[:, :, 1::2].set(0),
}


def max_backward(args, y, g, *, window=2, stride=2, padding="VALID", fault=""):
    (x,) = args
    k, s = pair(window), pair(stride)
    p = pads(padding, x.shape[1:3], k, s)
    xp, slices = windows(x, k, s, p, g.shape, 0.0 if fault == "padding with zeros may win" else -jnp.inf)
    keyed = {"largest by absolute value": jnp.abs, "minimum": jnp.negative}.get(fault, lambda v: v)
    stack = keyed(jnp.stack([xp[:, r, c] for r, c in slices]))
    stack = jnp.where(jnp.isnan(stack) | jnp.isposinf(stack), -jnp.inf, stack)
    winner = WINNERS.get(fault, lambda stack: jnp.argmax(stack, axis=0))(stack)
    winner = jnp.broadcast_to(winner, g.shape)
    if fault == "cotangent ignored":
        g = jnp.ones_like(g)
    if fault == "last output row ignored":
        g = g.at[:, -1].set(0)
    out = jnp.zeros_like(xp)
    for n, (rows, cols) in enumerate(slices):
        share = SHARES.get(fault, own_winner)(n, k, winner, stack, g)
        if fault == "stride forgotten":
            rows, cols = slice(rows.start, rows.start + g.shape[1]), slice(cols.start, cols.start + g.shape[2])
        if fault == "overlapping windows overwrite":
            out = jnp.where(placed(share, xp.shape, rows, cols) != 0, placed(share, xp.shape, rows, cols), out)
        else:
            out = out + placed(share, xp.shape, rows, cols)
    near = (p[0][1], p[1][1]) if fault == "padding cropped on the wrong side" else (p[0][0], p[1][0])
    x_bar = out[:, near[0] : near[0] + x.shape[1], near[1] : near[1] + x.shape[2]]
    return (AFTERWARDS.get(fault, lambda x_bar, k: x_bar)(x_bar, k),)


def avg_pool(x, *, window=2, stride=2, padding="VALID"):
    k, s = pair(window), pair(stride)
    p = ((0, 0), *pads(padding, x.shape[1:3], k, s), (0, 0))
    zero = np.zeros((), x.dtype)
    total = jax.lax.reduce_window(x, zero, jax.lax.add, (1, *k, 1), (1, *s, 1), p)
    ones = jnp.ones((1, *x.shape[1:3], 1), x.dtype)
    return total / jax.lax.reduce_window(ones, zero, jax.lax.add, (1, *k, 1), (1, *s, 1), p)


COUNTS = {  # {fault: (right count of a window's entries, window) -> what the cotangent is divided by}
    "padding counted": lambda count, k: jnp.full_like(count, k[0] * k[1]),
    "not divided": lambda count, k: jnp.ones_like(count),
    "divided by one side": lambda count, k: jnp.full_like(count, k[0]),
}
AFTER_AVERAGES = {  # {fault: right x̄ -> wrong x̄}
    "mean over channels": lambda x_bar: jnp.broadcast_to(x_bar.mean(-1, keepdims=True), x_bar.shape),
    "mean over the batch": lambda x_bar: jnp.broadcast_to(x_bar.mean(0, keepdims=True), x_bar.shape),
    "remainder takes the last window's": lambda x_bar: jnp.concatenate([x_bar[:, :-1], x_bar[:, -2:-1]], axis=1),
}


def avg_backward(args, y, g, *, window=2, stride=2, padding="VALID", fault=""):
    (x,) = args
    k, s = pair(window), pair(stride)
    p = pads(padding, x.shape[1:3], k, s)
    ones, slices = windows(jnp.ones((1, *x.shape[1:3], 1), x.dtype), k, s, p, g.shape, 0.0)
    count = sum(ones[:, r, c] for r, c in slices)
    count = COUNTS.get(fault, lambda count, k: count)(count, k)
    if fault == "last output column ignored":
        g = g.at[:, :, -1].set(0)
    out = jnp.zeros((x.shape[0], *ones.shape[1:3], x.shape[3]), x.dtype)
    for n, (rows, cols) in enumerate(slices):
        if fault == "only the first of the window" and n:
            break
        if fault == "stride forgotten":
            rows, cols = slice(rows.start, rows.start + g.shape[1]), slice(cols.start, cols.start + g.shape[2])
        if fault == "overlapping windows overwrite":
            spread = placed(g / count, out.shape, rows, cols)
            out = jnp.where(placed(jnp.ones_like(g), out.shape, rows, cols) > 0, spread, out)
        else:
            out = out + placed(g / count, out.shape, rows, cols)
    x_bar = out[:, p[0][0] : p[0][0] + x.shape[1], p[1][0] : p[1][0] + x.shape[2]]
    return (AFTER_AVERAGES.get(fault, lambda x_bar: x_bar)(x_bar),)


X = distinct(1, 3, 6, 6, 2)
WIDE = ("everywhere", "scattered", "almost", "row", "lattice", "ties", "zero", "border", "channel", "sample")
MAX = faults(
    "max-pool",
    max_pool,
    max_backward,
    (X,),
    {
        "padding with zeros may win": WIDE,
        "largest by absolute value": (
            "permutation",
            "scattered",
        ),
        "minimum": (
            "permutation",
            "scattered",
        ),
        "last tie wins": (
            ("ties", "scattered", "everywhere", "lattice", "row", "permutation", "shifted", "flipped"),
            {"alone": False},
        ),
        "first of the window always": ("permutation", "scattered", "lattice"),
        "winner found on the first sample": (
            "permutation",
            "sample",
        ),
        "winner found on channel 0": (
            "permutation",
            "channel",
        ),
        "winner index off by one": (
            "permutation",
            "scattered",
        ),
        "cotangent ignored": ("scattered", "same value"),
        "last output row ignored": ("row",),
        "every tie in full": ("ties", "scattered", "everywhere", "nonzero", "lattice", "almost"),
        "ties get nothing": ("ties", "zero", "scattered", "lattice"),
        "ties share": (("ties", "scattered", "everywhere", "×1/4", "almost"), {"alone": False}),
        "average instead": ("everywhere",),
        "window transposed": (
            "permutation",
            "scattered",
        ),
        "stride forgotten": WIDE,
        "overlapping windows overwrite": ("scattered", "one element", "row", "channel", "sample"),
        "padding cropped on the wrong side": (*WIDE, "shifted"),
        "divided by the window": ("×1/4",),
        "divided by the batch": ("batch size",),
        "sign": ("sign",),
        "rows and columns exchanged": ("transpose of axes 1 and 2", "flipped"),
        "channels in reverse": ("flipped along axis 3",),
        "every second column lost": ("lattice", "zero"),
    },
)
AVG = faults(
    "avg-pool",
    avg_pool,
    avg_backward,
    (normal(2, 3, 7, 7, 2),),
    {
        "padding counted": ("row", "border", "×", "scattered", "lattice"),
        "not divided": ("×4",),
        "divided by one side": ("×2",),
        "last output column ignored": ("row",),
        "only the first of the window": ("lattice", "zero"),
        "stride forgotten": WIDE,
        "overlapping windows overwrite": WIDE,
        "mean over channels": ("everywhere", "scattered", "almost"),
        "mean over the batch": ("everywhere", "scattered", "almost"),
        "remainder takes the last window's": ("last row",),
    },
)
RULES = MAX + AVG
RIGHT = ((max_pool, max_backward, (X,)), (avg_pool, avg_backward, (normal(2, 3, 7, 7, 2),)))
