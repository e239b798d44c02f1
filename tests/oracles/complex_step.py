"""The second oracle for smooth functions: the forward alone, in NumPy's float64 with loops, one sum at a time.

A cotangent is the forward's complex step, Im f(x + ih) / h: exact to rounding, because no difference is taken. Each
function takes ȳ and then what its rule takes, and returns y and the cotangents, `None` where there is none.
"""

import numpy as np

STEP = 1e-30


def complex_step(forward):
    """`forward(*args)` -> y, or a tuple of them, as the function from (ȳ, args) to (y, cotangents)."""

    def loops(y_bar, *args, **options):
        y = forward(*args, **options)
        y_bars = y_bar if isinstance(y, tuple) else (y_bar,)
        bars = []
        for position, argument in enumerate(args):
            if not np.issubdtype(argument.dtype, np.floating):
                bars.append(None)
                continue
            bar = np.zeros(argument.shape)
            for at in np.ndindex(argument.shape):
                moved = [a.astype(complex) if np.issubdtype(a.dtype, np.floating) else a for a in args]
                moved[position][at] += 1j * STEP
                out = forward(*moved, **options)
                outs = out if isinstance(y, tuple) else (out,)
                bar[at] = sum((np.asarray(b) * o.imag / STEP).sum() for b, o in zip(y_bars, outs, strict=True))
            bars.append(bar)
        return y, tuple(bars)

    return loops


@complex_step
def sigmoid(x):
    return 1 / (1 + np.exp(-x))


NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)


def normal_cdf(x):
    """½ + the integral of the density from 0 to x, for |x| up to 6."""
    t = (NODES + 1) / 2 * x[..., None]
    return 0.5 + (np.exp(-(t**2) / 2) * WEIGHTS).sum(-1) * x / 2 / np.sqrt(2 * np.pi)


@complex_step
def gelu(x, *, approximate=True):
    if approximate:
        return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return x * normal_cdf(x)


@complex_step
def silu(x):
    return x / (1 + np.exp(-x))


@complex_step
def tanh(x):
    return (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))


@complex_step
def hard_swish(x):
    y = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        line = min(max(0.0, x[at].real + 3), 6) / 6 if abs(x[at].real) >= 3 else (x[at] + 3) / 6
        y[at] = x[at] * line
    return y


@complex_step
def softmax(x, axis=-1):
    x = np.moveaxis(x, axis, -1)
    y = np.zeros_like(x)
    for at in np.ndindex(x.shape[:-1]):
        total = sum(np.exp(xj) for xj in x[at])
        for i, xi in enumerate(x[at]):
            y[*at, i] = np.exp(xi) / total
    return np.moveaxis(y, -1, axis)


@complex_step
def local_response_norm(x, *, size=5, alpha=1e-4, beta=0.75, k=2.0):
    y = np.zeros_like(x)
    for n, h, v, i in np.ndindex(x.shape):
        near = range(max(i - size // 2, 0), min(i + (size - 1) // 2, x.shape[3] - 1) + 1)
        y[n, h, v, i] = x[n, h, v, i] * (k + alpha * sum(x[n, h, v, j] ** 2 for j in near)) ** -beta
    return y


def _normalised(x, scale, bias, mean, variance, epsilon):
    y = np.zeros_like(x)
    for *at, c in np.ndindex(x.shape):
        y[*at, c] = scale[c] * (x[*at, c] - mean[c]) / (variance[c] + epsilon) ** 0.5 + bias[c]
    return y


@complex_step
def batch_norm(x, scale, bias, *, epsilon=1e-5):
    mean, variance = np.zeros_like(x[(0,) * (x.ndim - 1)]), np.zeros_like(x[(0,) * (x.ndim - 1)])
    entries = x[..., 0].size
    for *at, c in np.ndindex(x.shape):
        mean[c] += x[*at, c] / entries
    for *at, c in np.ndindex(x.shape):
        variance[c] += (x[*at, c] - mean[c]) ** 2 / entries
    complex_or_real = np.result_type(x, scale, bias)
    return _normalised(x.astype(complex_or_real), scale, bias, mean, variance, epsilon), mean, variance


@complex_step
def batch_norm_inference(x, scale, bias, mean, variance, *, epsilon=1e-5):
    complex_or_real = np.result_type(x, scale, bias, mean, variance)
    return _normalised(x.astype(complex_or_real), scale, bias, mean, variance, epsilon)


@complex_step
def group_norm(x, scale, bias, *, groups, epsilon=1e-5):
    y = np.zeros(x.shape, np.result_type(x, scale, bias))
    size = len(scale) // groups
    for n, g in np.ndindex(len(x), groups):
        entries = [(n, *at, c) for at in np.ndindex(x.shape[1:-1]) for c in range(g * size, (g + 1) * size)]
        mean = sum(x[at] for at in entries) / len(entries)
        variance = sum((x[at] - mean) ** 2 for at in entries) / len(entries)
        for at in entries:
            y[at] = scale[at[-1]] * (x[at] - mean) / (variance + epsilon) ** 0.5 + bias[at[-1]]
    return y


@complex_step
def layer_norm(x, scale, bias, *, epsilon=1e-5):
    y = np.zeros(x.shape, np.result_type(x, scale, bias))
    for at in np.ndindex(x.shape[:-1]):
        mean = sum(x[at]) / len(scale)
        variance = sum((entry - mean) ** 2 for entry in x[at]) / len(scale)
        for c in range(len(scale)):
            y[*at, c] = scale[c] * (x[*at, c] - mean) / (variance + epsilon) ** 0.5 + bias[c]
    return y


@complex_step
def softmax_cross_entropy(logits, labels, *, label_smoothing=0.0):
    classes = logits.shape[-1]
    losses = np.zeros(logits.shape[:-1], np.result_type(logits, labels, float))
    for n in np.ndindex(losses.shape):
        x = logits[n]
        total = sum(np.exp(xj) for xj in x)
        for i in range(classes):
            y = labels[*n, i] if labels.ndim == logits.ndim else float(labels[n] == i)
            target = (1 - label_smoothing) * y + label_smoothing / classes
            losses[n] -= target * np.log(np.exp(x[i]) / total)
    return losses


@complex_step
def squared_error(prediction, target):
    losses = np.zeros(len(prediction), np.result_type(prediction, target))
    for n, *at in np.ndindex(prediction.shape):
        losses[n] += (prediction[n, *at] - target[n, *at]) ** 2
    return losses
