"""Convolutions. y = x ∗ w + b, written offset by offset."""

import jax
import jax.numpy as jnp

from .joined import faults, normal


def pair(v):
    return (v, v) if isinstance(v, int) else tuple(v)


def pads(padding, size, kernel, stride):
    if isinstance(padding, str):
        return jax.lax.padtype_to_pads(size, kernel, stride, padding)
    return ((padding, padding),) * 2 if isinstance(padding, int) else padding


def placed(part, shape, rows, cols):
    """`part` at these rows and columns of an array of zeros."""
    config = [(0, 0, 0)]
    for axis, where in ((1, rows), (2, cols)):
        step = where.step or 1
        end = where.start + (part.shape[axis] - 1) * step + 1
        config.append((where.start, shape[axis] - end, step - 1))
    return jax.lax.pad(part, jnp.zeros((), part.dtype), [*config, (0, 0, 0)])


def conv(x, w, b, *, stride=1, padding="VALID"):
    s = pair(stride)
    p = pads(padding, x.shape[1:3], w.shape[:2], s)
    y = jax.lax.conv_general_dilated(x, w, s, p, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return y + b[None, None, None, :]


COTANGENT = {  # {fault: (y, ȳ) -> the cotangent that the rule goes on with}
    "cotangent ignored": lambda y, g: jnp.ones_like(g),
    "forward value for the cotangent": lambda y, g: y,
    "clipped cotangent": lambda y, g: jnp.clip(g, -1, 1),
    "last output row ignored": lambda y, g: g.at[:, -1].set(0),
    "first output column ignored": lambda y, g: g.at[:, :, 0].set(0),
}
FORGOTTEN = {  # {fault: (kh, kw) -> the kernel offset that is left out}
    "first kernel offset forgotten": lambda kh, kw: (0, 0),
    "last kernel offset forgotten": lambda kh, kw: (kh - 1, kw - 1),
}
OFFSET_READ = {  # {fault: the offset whose weights x's cotangent reads in place of (i, j)}
    "kernel flipped once too often": lambda i, j, kh, kw: (kh - 1 - i, kw - 1 - j),
    "kernel transposed": lambda i, j, kh, kw: (j, i),
    "kernel rows reversed": lambda i, j, kh, kw: (kh - 1 - i, j),
}
OFFSET_WRITTEN = {  # {fault: the offset at which w's cotangent gets the product of (i, j)}
    "w cotangent flipped": lambda i, j, kh, kw: (kh - 1 - i, kw - 1 - j),
    "w cotangent transposed": lambda i, j, kh, kw: (j, i),
}
AFTERWARDS = {  # {fault: (ȳ, right cotangents) -> the cotangents that differ from the right ones}
    "b a mean over the batch": lambda g, x, w, b: {"b": b / len(g)},
    "b a mean over everything": lambda g, x, w, b: {"b": g.mean((0, 1, 2))},
    "b from the first sample": lambda g, x, w, b: {"b": g[0].sum((0, 1))},
    "b from the first row": lambda g, x, w, b: {"b": g[:, 0].sum((0, 1))},
    "b forgotten": lambda g, x, w, b: {"b": jnp.zeros_like(b)},
    "w a mean over the batch": lambda g, x, w, b: {"w": w / len(g)},
    "x twice": lambda g, x, w, b: {"x": 2 * x},
    "sign of w": lambda g, x, w, b: {"w": -w},
    "sign of x": lambda g, x, w, b: {"x": -x},
    "last input row not reached": lambda g, x, w, b: {"x": x.at[:, -1].set(0)},
    "border cut off": lambda g, x, w, b: {"x": jnp.pad(x[:, 1:-1, 1:-1], ((0, 0), (1, 1), (1, 1), (0, 0)))},
    "only input channel 0": lambda g, x, w, b: {"x": x.at[..., 1:].set(0)},
    "last output channel dropped": lambda g, x, w, b: {"w": w.at[..., -1].set(0)},
    "one element off by a thousandth": lambda g, x, w, b: {"x": x.at[0, 1, 2, 0].multiply(1.001)},
    "x only for the first sample": lambda g, x, w, b: {"x": x.at[1:].set(0)},
    "samples in reverse": lambda g, x, w, b: {"x": x[::-1]},
    "accumulates in bfloat16": lambda g, x, w, b: {"w": w.astype(jnp.bfloat16).astype(w.dtype)},
    "x and w confused in shape": lambda g, x, w, b: {"w": w.reshape(-1)[::-1].reshape(w.shape)},
}


def the_same(i, j, kh, kw):
    return i, j


def backward(args, y, g, *, stride=1, padding="VALID", fault=""):
    x, w, _ = args
    (sh, sw), (kh, kw) = pair(stride), w.shape[:2]
    (top, bottom), (left, right) = pads(padding, x.shape[1:3], (kh, kw), (sh, sw))
    if fault == "padding on the other side":
        top, bottom, left, right = bottom, top, right, left
    g = COTANGENT.get(fault, lambda y, g: g)(y, g)
    ho, wo = g.shape[1:3]
    xp = jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    if fault == "window off by one":
        xp = jnp.roll(xp, 1, axis=1)
    x_bar, products = jnp.zeros_like(xp), {}
    for i, j in sorted({(i, j) for i in range(kh) for j in range(kw)} - forgotten(fault, kh, kw)):
        a, c = (sw, sh) if fault == "strides exchanged" else (sh, sw)
        strided = slice(i, i + a * (ho - 1) + 1, a), slice(j, j + c * (wo - 1) + 1, c)
        dense = slice(i, i + ho), slice(j, j + wo)
        matrix = w[OFFSET_READ.get(fault, the_same)(i, j, kh, kw)]
        spread = g @ (matrix if fault == "channels in and out exchanged" else matrix.T)
        where = dense if fault == "stride forgotten in x" else strided
        added = placed(spread, xp.shape, *where)
        if fault == "overlapping windows overwrite":
            x_bar = jnp.where(placed(jnp.ones_like(spread), xp.shape, *where) > 0, added, x_bar)
        else:
            x_bar = x_bar + added
        rows, cols = dense if fault == "stride forgotten in w" else strided
        read = xp[:, rows, cols]
        if read.shape[:3] != g.shape[:3]:
            read = jnp.resize(read, (*g.shape[:3], x.shape[3]))
        samples = slice(1) if fault == "w from the first sample" else slice(None)
        at = OFFSET_WRITTEN.get(fault, the_same)(i, j, kh, kw)
        products[at] = jnp.einsum("nhwc,nhwd->cd", read[samples], g[samples])
    none = jnp.zeros(w.shape[2:], w.dtype)
    bars = {
        "x": x_bar[:, top : top + x.shape[1], left : left + x.shape[2]],
        "w": jnp.stack([products.get((i, j), none) for i in range(kh) for j in range(kw)]).reshape(w.shape),
        "b": g.sum((0, 1, 2)),
    }
    bars |= AFTERWARDS.get(fault, lambda g, **bars: {})(g, **bars)
    return bars["x"], bars["w"], bars["b"]


def forgotten(fault, kh, kw):
    return {FORGOTTEN[fault](kh, kw)} if fault in FORGOTTEN else set()


X, W, B = normal(1, 4, 7, 7, 3), normal(2, 3, 3, 3, 3), normal(3, 3)
ANY = ("everywhere", "scattered", "row", "channel", "lattice", "border", "×")
RULES = faults(
    "conv",
    conv,
    backward,
    (X, W, B),
    {
        "padding on the other side": ANY,
        "cotangent ignored": ("everywhere", "same value"),
        "forward value for the cotangent": ("everywhere",),
        "clipped cotangent": ("everywhere",),
        "last output row ignored": ("row", "everywhere"),
        "first output column ignored": ("row", "everywhere"),
        "window off by one": ("everywhere", "rolled", "shifted"),
        "first kernel offset forgotten": ("row", "scattered", "border", "zero"),
        "last kernel offset forgotten": ("row", "scattered", "border", "zero"),
        "strides exchanged": ANY,
        "stride forgotten in w": ("everywhere", "scattered", "almost"),
        "stride forgotten in x": ("lattice", "everywhere", "scattered", "row"),
        "kernel flipped once too often": ("everywhere", "almost"),
        "kernel transposed": ("everywhere", "almost", "scattered"),
        "kernel rows reversed": ("everywhere", "almost", "scattered", "row"),
        "channels in and out exchanged": ("everywhere",),
        "overlapping windows overwrite": ("everywhere", "scattered", "almost", "row"),
        "w cotangent flipped": ("flipped along axes (0, 1)",),
        "w cotangent transposed": ("transpose of axes 0 and 1",),
        "w from the first sample": ("everywhere",),
        "b a mean over the batch": ("batch size",),
        "b a mean over everything": ("×1/",),
        "b from the first sample": ("everywhere",),
        "b from the first row": ("everywhere",),
        "b forgotten": ("zero",),
        "w a mean over the batch": ("batch size",),
        "x twice": ("×2",),
        "sign of w": ("sign",),
        "sign of x": ("sign",),
        "last input row not reached": ("zero, last row",),
        "border cut off": ("border",),
        "only input channel 0": ("zero, every channel but the first",),
        "last output channel dropped": ("zero, last channel",),
        "one element off by a thousandth": ("one element",),
        "x only for the first sample": ("zero, every sample but the first",),
        "samples in reverse": ("flipped along axis 0",),
        "accumulates in bfloat16": ("everywhere", "almost"),
        "x and w confused in shape": ("flipped", "permutation"),
    },
)
RIGHT = (conv, backward, (X, W, B))
