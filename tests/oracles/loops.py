"""The second oracle: NumPy in float64, one term of the defining sum at a time. Slow, for tiny sizes.

Each function takes ȳ and then what its rule takes, and returns y and the cotangents, `None` where there is none. These
are the functions that are linear in each argument or pick entries: a cotangent collects ȳ times the term's other
factor, in the same loop as the term itself. The smooth ones are in `complex_step.py`.
"""

import itertools
import math

import jax
import numpy as np


def both(size):
    return (size, size) if isinstance(size, int) else tuple(size)


def reads(extent, size, stride, dilation, edges):
    """For each output row, the input row that each tap of its window reads; None on padding."""
    rows, first = [], -edges[0]
    while first + dilation * (size - 1) < extent + edges[1]:
        taps = [first + dilation * i for i in range(size)]
        rows.append([tap if 0 <= tap < extent else None for tap in taps])
        first += stride
    return rows


def same_edges(extent, size, stride, dilation):
    """The least padding that gives ⌈extent/stride⌉ outputs, the odd row after the input."""
    for total in itertools.count():
        edges = (total // 2, total - total // 2)
        if len(reads(extent, size, stride, dilation, edges)) >= math.ceil(extent / stride):
            return edges


def windows(shape, window, stride=1, padding="VALID", dilation=1):
    """For each output place (o, p) its taps, [((i, j), (h, v) or None on padding), …]."""
    axes = []
    for axis in (0, 1):
        extent, size, step, d = shape[1 + axis], both(window)[axis], both(stride)[axis], both(dilation)[axis]
        if padding == "VALID":
            edges = (0, 0)
        elif padding == "SAME":
            edges = same_edges(extent, size, step, d)
        else:
            edges = (padding, padding) if isinstance(padding, int) else padding[axis]
        axes.append(reads(extent, size, step, d, edges))
    rows, cols = axes
    return {
        (o, p): [
            ((i, j), None if h is None or v is None else (h, v)) for i, h in enumerate(row) for j, v in enumerate(col)
        ]
        for o, row in enumerate(rows)
        for p, col in enumerate(cols)
    }


def output_size(places):
    o, p = max(places, default=(-1, -1))
    return o + 1, p + 1


def conv2d(y_bar, x, w, b=None, *, stride=1, padding="VALID", dilation=1, groups=1, algorithm="auto"):
    places = windows(x.shape, w.shape[:2], stride, padding, dilation)
    cg, outputs = w.shape[2], w.shape[3]
    y = np.zeros((len(x), *output_size(places), outputs))
    x_bar, w_bar = np.zeros(x.shape), np.zeros(w.shape)
    b_bar = None if b is None else np.zeros(b.shape)
    for n, ((o, p), taps), d in itertools.product(range(len(x)), places.items(), range(outputs)):
        if b is not None:
            y[n, o, p, d] += b[d]
            b_bar[d] += y_bar[n, o, p, d]
        for (i, j), seen in taps:
            if seen is None:
                continue
            for k in range(cg):
                c = d // (outputs // groups) * cg + k
                y[n, o, p, d] += x[n, *seen, c] * w[i, j, k, d]
                x_bar[n, *seen, c] += y_bar[n, o, p, d] * w[i, j, k, d]
                w_bar[i, j, k, d] += y_bar[n, o, p, d] * x[n, *seen, c]
    return y, (x_bar, w_bar, b_bar)


def conv_transpose2d(
    y_bar, x, w, b=None, *, stride=1, padding="VALID", dilation=1, groups=1, output_padding=0, algorithm="auto"
):
    dg, channels = w.shape[2:]
    starts, sizes = [], []
    for axis in (0, 1):
        s, d = both(stride)[axis], both(dilation)[axis]
        whole = max(s * h + d * i for h in range(x.shape[1 + axis]) for i in range(w.shape[axis])) + 1
        if padding == "SAME":
            starts.append(max(whole - s * x.shape[1 + axis], 0) // 2)
            sizes.append(s * x.shape[1 + axis])
        else:
            top, bottom = (
                (0, 0) if padding == "VALID" else (padding,) * 2 if isinstance(padding, int) else padding[axis]
            )
            starts.append(top)
            sizes.append(whole - top - bottom + both(output_padding)[axis])
    y, x_bar, w_bar = np.zeros((len(x), *sizes, groups * dg)), np.zeros(x.shape), np.zeros(w.shape)
    for n, h, v, c in np.ndindex(x.shape):
        for i, j, k in np.ndindex(w.shape[:3]):
            o = both(stride)[0] * h + both(dilation)[0] * i - starts[0]
            p = both(stride)[1] * v + both(dilation)[1] * j - starts[1]
            if 0 <= o < sizes[0] and 0 <= p < sizes[1]:
                d = c // (channels // groups) * dg + k
                y[n, o, p, d] += x[n, h, v, c] * w[i, j, k, c]
                x_bar[n, h, v, c] += y_bar[n, o, p, d] * w[i, j, k, c]
                w_bar[i, j, k, c] += y_bar[n, o, p, d] * x[n, h, v, c]
    b_bar = None if b is None else np.zeros(b.shape)
    for *at, d in np.ndindex(y.shape) if b is not None else ():
        y[*at, d] += b[d]
        b_bar[d] += y_bar[*at, d]
    return y, (x_bar, w_bar, b_bar)


def im2col(y_bar, x, window, *, stride=1, padding="VALID", dilation=1):
    places = windows(x.shape, window, stride, padding, dilation)
    kh, kw = both(window)
    y = np.zeros((len(x), *output_size(places), kh, kw, x.shape[3]))
    x_bar, y_bar = np.zeros(x.shape), np.asarray(y_bar).reshape(y.shape)
    for n, ((o, p), taps), c in itertools.product(range(len(x)), places.items(), range(x.shape[3])):
        for (i, j), seen in taps:
            if seen is not None:
                y[n, o, p, i, j, c] = x[n, *seen, c]
                x_bar[n, *seen, c] += y_bar[n, o, p, i, j, c]
    return y.reshape(*y.shape[:3], -1), (x_bar,)


def col2im(y_bar, cols, input_shape, window, **options):
    shape = cols.shape
    cols_bar, (y,) = im2col(cols, y_bar, window, **options)  # the two are each other's adjoint
    return y, (cols_bar.reshape(shape),)


def max_pool2d(y_bar, x, *, window=2, stride=None, padding="VALID", dilation=1, ties="first"):
    places = windows(x.shape, window, window if stride is None else stride, padding, dilation)
    y = np.full((len(x), *output_size(places), x.shape[3]), -np.inf)
    x_bar = np.zeros(x.shape)
    for n, ((o, p), taps), c in itertools.product(range(len(x)), places.items(), range(x.shape[3])):
        seen = [(n, *place, c) for _, place in taps if place is not None]
        if not seen:
            continue
        y[n, o, p, c] = max(x[entry] for entry in seen)
        winners = [entry for entry in seen if x[entry] == y[n, o, p, c]]
        shares = {
            "first": {winners[0]: 1.0},
            "last": {winners[-1]: 1.0},
            "split": {entry: 1 / len(winners) for entry in winners},
            "all": dict.fromkeys(winners, 1.0),
        }[ties]
        for entry, share in shares.items():
            x_bar[entry] += share * y_bar[n, o, p, c]
    return y, (x_bar,)


def avg_pool2d(y_bar, x, *, window=2, stride=None, padding="VALID", count_include_pad=False):
    places = windows(x.shape, window, window if stride is None else stride, padding)
    y = np.zeros((len(x), *output_size(places), x.shape[3]))
    x_bar = np.zeros(x.shape)
    for n, ((o, p), taps), c in itertools.product(range(len(x)), places.items(), range(x.shape[3])):
        seen = [(n, *place, c) for _, place in taps if place is not None]
        for entry in seen:
            y[n, o, p, c] += x[entry] / (len(taps) if count_include_pad else len(seen))
            x_bar[entry] += y_bar[n, o, p, c] / (len(taps) if count_include_pad else len(seen))
    return y, (x_bar,)


def adaptive_avg_pool2d(y_bar, x, *, size):
    y, x_bar = np.zeros((len(x), *size, x.shape[3])), np.zeros(x.shape)
    for n, o, p, c in np.ndindex(y.shape):
        rows, cols = (
            [i for i in range(length) if i * outputs < (at + 1) * length and (i + 1) * outputs > at * length]
            for at, outputs, length in zip((o, p), size, x.shape[1:3], strict=True)
        )
        for i, j in itertools.product(rows, cols):
            y[n, o, p, c] += x[n, i, j, c] / (len(rows) * len(cols))
            x_bar[n, i, j, c] += y_bar[n, o, p, c] / (len(rows) * len(cols))
    return y, (x_bar,)


def global_avg_pool(y_bar, x):
    y, x_bar = avg_pool2d(np.asarray(y_bar)[:, None, None, :], x, window=x.shape[1:3])
    return y[:, 0, 0, :], x_bar


def upsample2d(y_bar, x, scale, *, method="nearest"):
    """Each output from the (up to four) middles of cells around its own, by how near they are."""

    def near(o, s, extent):
        """Rows and weights of output row o."""
        if method == "nearest":
            return [(o // s, 1.0)]
        middle = min(max((2 * o + 1 - s) / (2 * s), 0.0), extent - 1.0)
        return [(h, 1 - abs(middle - h)) for h in range(extent) if abs(middle - h) < 1]

    y = np.zeros((len(x), *(s * extent for s, extent in zip(both(scale), x.shape[1:3], strict=True)), x.shape[3]))
    x_bar = np.zeros(x.shape)
    for n, o, p, c in np.ndindex(y.shape):
        for h, by_rows in near(o, both(scale)[0], x.shape[1]):
            for v, by_columns in near(p, both(scale)[1], x.shape[2]):
                y[n, o, p, c] += by_rows * by_columns * x[n, h, v, c]
                x_bar[n, h, v, c] += by_rows * by_columns * y_bar[n, o, p, c]
    return y, (x_bar,)


def relu(y_bar, x, *, slope_at_zero=0.0):
    y, x_bar = np.zeros(x.shape), np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        y[at] = max(0.0, x[at])
        x_bar[at] = y_bar[at] * (1.0 if x[at] > 0 else slope_at_zero if x[at] == 0 else 0.0)
    return y, (x_bar,)


def leaky_relu(y_bar, x, *, negative_slope=0.01):
    y, x_bar = np.zeros(x.shape), np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        slope = 1.0 if x[at] > 0 else negative_slope
        y[at], x_bar[at] = slope * x[at], slope * y_bar[at]
    return y, (x_bar,)


def relu6(y_bar, x):
    y, x_bar = np.zeros(x.shape), np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        y[at] = min(max(0.0, x[at]), 6.0)
        x_bar[at] = y_bar[at] if 0 < x[at] < 6 else 0.0
    return y, (x_bar,)


def flatten(y_bar, x):
    y, x_bar = np.zeros((len(x), x[0].size)), np.zeros(x.shape)
    for n, sample in enumerate(x):
        for place, at in enumerate(np.ndindex(sample.shape)):
            y[n, place] = x[n, *at]
            x_bar[n, *at] = y_bar[n, place]
    return y, (x_bar,)


def concatenate(y_bar, *xs, axis=-1):
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    y, bars, start = np.zeros(shape), [np.zeros(x.shape) for x in xs], 0
    for x, bar in zip(xs, bars, strict=True):
        for at in np.ndindex(x.shape):
            there = list(at)
            there[axis] += start
            y[tuple(there)], bar[at] = x[at], y_bar[tuple(there)]
        start += x.shape[axis]
    return y, tuple(bars)


def dense(y_bar, x, w, b=None):
    y = np.zeros((*x.shape[:-1], w.shape[1]))
    x_bar, w_bar = np.zeros(x.shape), np.zeros(w.shape)
    b_bar = None if b is None else np.zeros(b.shape)
    for *n, k in np.ndindex(y.shape):
        if b is not None:
            y[*n, k] += b[k]
            b_bar[k] += y_bar[*n, k]
        for i in range(x.shape[-1]):
            y[*n, k] += x[*n, i] * w[i, k]
            x_bar[*n, i] += y_bar[*n, k] * w[i, k]
            w_bar[i, k] += y_bar[*n, k] * x[*n, i]
    return y, (x_bar, w_bar, b_bar)


def dropout(y_bar, x, key, rate):
    survives = np.asarray(jax.random.bernoulli(key, np.float32(1 - rate), x.shape))
    y, x_bar = np.zeros(x.shape), np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        if survives[at]:
            y[at], x_bar[at] = x[at] / (1 - rate), y_bar[at] / (1 - rate)
    return y, (x_bar, None)


def drop_path(y_bar, x, key, rate):
    survives = np.asarray(jax.random.bernoulli(key, np.float32(1 - rate), x.shape[:1]))
    y, x_bar = np.zeros(x.shape), np.zeros(x.shape)
    for n, *at in np.ndindex(x.shape):
        if survives[n]:
            y[n, *at], x_bar[n, *at] = x[n, *at] / (1 - rate), y_bar[n, *at] / (1 - rate)
    return y, (x_bar, None)
