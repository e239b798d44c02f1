"""Convolutions. y = x ∗ w + b, written offset by offset."""

import jax
import jax.numpy as jnp

from .joined import faults, normal


def pair(v):
    return (v, v) if isinstance(v, int) else tuple(v)


def pads(padding, size, kernel, stride):
    if padding == "VALID":
        return ((0, 0), (0, 0))
    if padding == "SAME":
        total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, stride, strict=True)]
        return tuple((t // 2, t - t // 2) for t in total)
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


def backward(args, y, g, *, stride=1, padding="VALID", fault=""):
    x, w, b = args
    (sh, sw), (kh, kw) = pair(stride), w.shape[:2]
    (top, bottom), (left, right) = pads(padding, x.shape[1:3], (kh, kw), (sh, sw))
    if fault == "padding on the other side":
        top, bottom, left, right = bottom, top, right, left
    if fault == "cotangent ignored":
        g = jnp.ones_like(g)
    if fault == "forward value for the cotangent":
        g = y
    if fault == "clipped cotangent":
        g = jnp.clip(g, -1, 1)
    if fault == "last output row ignored":
        g = g.at[:, -1].set(0)
    if fault == "first output column ignored":
        g = g.at[:, :, 0].set(0)
    ho, wo = g.shape[1:3]
    xp = jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    if fault == "window off by one":
        xp = jnp.roll(xp, 1, axis=1)
    x_bar, products = jnp.zeros_like(xp), {}
    for i in range(kh):
        for j in range(kw):
            if fault == "first kernel offset forgotten" and (i, j) == (0, 0):
                continue
            if fault == "last kernel offset forgotten" and (i, j) == (kh - 1, kw - 1):
                continue
            a, c = (sw, sh) if fault == "strides exchanged" else (sh, sw)
            rows, cols = slice(i, i + a * (ho - 1) + 1, a), slice(j, j + c * (wo - 1) + 1, c)
            dense = slice(i, i + ho), slice(j, j + wo)
            seen = xp[:, rows, cols] if fault != "stride forgotten in w" else xp[:, dense[0], dense[1]]
            ki, kj = i, j
            if fault == "kernel flipped once too often":
                ki, kj = kh - 1 - i, kw - 1 - j
            if fault == "kernel transposed":
                ki, kj = j, i
            if fault == "kernel rows reversed":
                ki = kh - 1 - i
            matrix = w[ki, kj] if fault == "channels in and out exchanged" else w[ki, kj].T
            spread = g @ matrix
            where = dense if fault == "stride forgotten in x" else (rows, cols)
            laid_out = placed(spread, xp.shape, *where)
            if fault == "overlapping windows overwrite":
                x_bar = jnp.where(placed(jnp.ones_like(spread), xp.shape, *where) > 0, laid_out, x_bar)
            else:
                x_bar = x_bar + laid_out
            if seen.shape[:3] != g.shape[:3]:
                seen = jnp.resize(seen, (*g.shape[:3], x.shape[3]))
            at = (kh - 1 - i, kw - 1 - j) if fault == "w cotangent flipped" else (i, j)
            at = (j, i) if fault == "w cotangent transposed" else at
            if fault == "w from the first sample":
                products[at] = jnp.einsum("hwc,hwd->cd", seen[0], g[0])
            else:
                products[at] = jnp.einsum("nhwc,nhwd->cd", seen, g)
    none = jnp.zeros(w.shape[2:], w.dtype)
    w_bar = jnp.stack([products.get((i, j), none) for i in range(kh) for j in range(kw)]).reshape(w.shape)
    x_bar = x_bar[:, top : top + x.shape[1], left : left + x.shape[2]]
    b_bar = g.sum((0, 1, 2))
    if fault == "b a mean over the batch":
        b_bar = b_bar / x.shape[0]
    if fault == "b a mean over everything":
        b_bar = g.mean((0, 1, 2))
    if fault == "b from the first sample":
        b_bar = g[0].sum((0, 1))
    if fault == "b from the first row":
        b_bar = g[:, 0].sum((0, 1))
    if fault == "b forgotten":
        b_bar = jnp.zeros_like(b)
    if fault == "w a mean over the batch":
        w_bar = w_bar / x.shape[0]
    if fault == "x twice":
        x_bar = 2 * x_bar
    if fault == "sign of w":
        w_bar = -w_bar
    if fault == "sign of x":
        x_bar = -x_bar
    if fault == "last input row not reached":
        x_bar = x_bar.at[:, -1].set(0)
    if fault == "border cut off":
        inner = x_bar[:, 1:-1, 1:-1]
        x_bar = jnp.pad(inner, ((0, 0), (1, 1), (1, 1), (0, 0)))
    if fault == "only input channel 0":
        x_bar = x_bar.at[..., 1:].set(0)
    if fault == "last output channel dropped":
        w_bar = w_bar.at[..., -1].set(0)
    if fault == "one element off by a thousandth":
        x_bar = x_bar.at[0, 1, 2, 0].multiply(1.001)
    if fault == "x only for the first sample":
        x_bar = x_bar.at[1:].set(0)
    if fault == "samples in reverse":
        x_bar = x_bar[::-1]
    if fault == "accumulates in bfloat16":
        w_bar = w_bar.astype(jnp.bfloat16).astype(w.dtype)
    if fault == "x and w confused in shape":
        w_bar = w_bar.reshape(-1)[::-1].reshape(w.shape)
    return x_bar, w_bar, b_bar


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
