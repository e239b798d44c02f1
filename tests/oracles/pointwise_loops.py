"""The second oracle of what has no windows, as in `loops.py`: NumPy in float64, one entry at a time."""

import jax
import numpy as np


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
        for i, at in enumerate(np.ndindex(sample.shape)):
            y[n, i] = x[n, *at]
            x_bar[n, *at] = y_bar[n, i]
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
