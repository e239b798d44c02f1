"""The second oracle: NumPy in float64, one term of the defining sum at a time. Slow, for tiny sizes.

Each function takes ȳ and then what its rule takes, and returns y and the cotangents, `None` where there is none. These
are the functions that are linear in each argument or pick entries: a cotangent collects ȳ times the term's other
factor, in the same loop as the term itself. Those without windows are in `pointwise_loops.py`, the smooth ones in
`complex_step.py`.
"""

import itertools
import math

import numpy as np


def both(size):
    return (size, size) if isinstance(size, int) else tuple(size)


def reads(extent, size, stride, dilation, edges):
    """For each output row, the input row that its window has at each kernel offset; None on padding."""
    rows, first = [], -edges[0]
    while first + dilation * (size - 1) < extent + edges[1]:
        read = [first + dilation * i for i in range(size)]
        rows.append([row if 0 <= row < extent else None for row in read])
        first += stride
    return rows


def same_edges(extent, size, stride, dilation):
    """The least padding that gives ⌈extent/stride⌉ outputs, the odd row after the input."""
    for total in itertools.count():
        edges = (total // 2, total - total // 2)
        if len(reads(extent, size, stride, dilation, edges)) >= math.ceil(extent / stride):
            return edges


def windows(shape, window, stride=1, padding="VALID", dilation=1):
    """For each output position (o, p) what its window reads, [(offset (i, j), (h, v) or None on padding), …]."""
    axes = []
    for axis in (0, 1):
        extent, size, s, d = shape[1 + axis], both(window)[axis], both(stride)[axis], both(dilation)[axis]
        if padding == "VALID":
            edges = (0, 0)
        elif padding == "SAME":
            edges = same_edges(extent, size, s, d)
        else:
            edges = (padding, padding) if isinstance(padding, int) else padding[axis]
        axes.append(reads(extent, size, s, d, edges))
    rows, cols = axes
    return {
        (o, p): [
            ((i, j), None if h is None or v is None else (h, v)) for i, h in enumerate(row) for j, v in enumerate(col)
        ]
        for o, row in enumerate(rows)
        for p, col in enumerate(cols)
    }


def output_size(positions):
    o, p = max(positions, default=(-1, -1))
    return o + 1, p + 1


def conv2d(y_bar, x, w, b=None, *, stride=1, padding="VALID", dilation=1, groups=1, algorithm="auto"):
    positions = windows(x.shape, w.shape[:2], stride, padding, dilation)
    group_size, out_channels = w.shape[2:]
    y = np.zeros((len(x), *output_size(positions), out_channels))
    x_bar, w_bar = np.zeros(x.shape), np.zeros(w.shape)
    b_bar = None if b is None else np.zeros(b.shape)
    for n, ((o, p), entries), d in itertools.product(range(len(x)), positions.items(), range(out_channels)):
        if b is not None:
            y[n, o, p, d] += b[d]
            b_bar[d] += y_bar[n, o, p, d]
        for (i, j), at in entries:
            if at is None:
                continue
            for k in range(group_size):
                c = d // (out_channels // groups) * group_size + k
                y[n, o, p, d] += x[n, *at, c] * w[i, j, k, d]
                x_bar[n, *at, c] += y_bar[n, o, p, d] * w[i, j, k, d]
                w_bar[i, j, k, d] += y_bar[n, o, p, d] * x[n, *at, c]
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
    positions = windows(x.shape, window, stride, padding, dilation)
    kh, kw = both(window)
    y = np.zeros((len(x), *output_size(positions), kh, kw, x.shape[3]))
    x_bar, y_bar = np.zeros(x.shape), np.asarray(y_bar).reshape(y.shape)
    for n, ((o, p), entries), c in itertools.product(range(len(x)), positions.items(), range(x.shape[3])):
        for (i, j), at in entries:
            if at is not None:
                y[n, o, p, i, j, c] = x[n, *at, c]
                x_bar[n, *at, c] += y_bar[n, o, p, i, j, c]
    return y.reshape(*y.shape[:3], -1), (x_bar,)


def col2im(y_bar, cols, input_shape, window, **options):
    shape = cols.shape
    cols_bar, (y,) = im2col(cols, y_bar, window, **options)  # the two are each other's adjoint
    return y, (cols_bar.reshape(shape),)


def max_pool2d(y_bar, x, *, window=2, stride=None, padding="VALID", dilation=1, ties="first"):
    positions = windows(x.shape, window, window if stride is None else stride, padding, dilation)
    y = np.full((len(x), *output_size(positions), x.shape[3]), -np.inf)
    x_bar = np.zeros(x.shape)
    for n, ((o, p), entries), c in itertools.product(range(len(x)), positions.items(), range(x.shape[3])):
        seen = [(n, *at, c) for _, at in entries if at is not None]
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
    positions = windows(x.shape, window, window if stride is None else stride, padding)
    y = np.zeros((len(x), *output_size(positions), x.shape[3]))
    x_bar = np.zeros(x.shape)
    for n, ((o, p), entries), c in itertools.product(range(len(x)), positions.items(), range(x.shape[3])):
        seen = [(n, *at, c) for _, at in entries if at is not None]
        for entry in seen:
            y[n, o, p, c] += x[entry] / (len(entries) if count_include_pad else len(seen))
            x_bar[entry] += y_bar[n, o, p, c] / (len(entries) if count_include_pad else len(seen))
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
