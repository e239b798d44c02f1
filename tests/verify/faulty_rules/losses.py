"""Cross-entropy of logits with integer labels, and batch normalisation."""

import jax
import jax.numpy as jnp
import numpy as np

from .joined import Wrong, faults, normal


def cross_entropy(logits, labels):
    chosen = jnp.take_along_axis(logits, labels[:, None], 1)[:, 0]
    return jax.nn.logsumexp(logits, axis=1) - chosen


def one_hot(labels, like):
    return jax.nn.one_hot(labels, like.shape[1], dtype=like.dtype)


def overflowing_softmax(logits):
    e = jnp.exp(logits)
    return e / e.sum(1, keepdims=True)


def per_sample(g):
    return g[:, None]


ENTROPY_FAULTS = {  # {fault: (logits, labels, L, L̄, p, t) -> cotangent of the logits}; p the softmax, t the targets
    "softmax without its maximum": lambda z, labels, y, g, p, t: (overflowing_softmax(z) - t) * per_sample(g),
    "softmax over the batch": lambda z, labels, y, g, p, t: (jax.nn.softmax(z, axis=0) - t) * per_sample(g),
    "label off by one": lambda z, labels, y, g, p, t: (p - one_hot((labels + 1) % z.shape[1], z)) * per_sample(g),
    "first label for all": lambda z, labels, y, g, p, t: (p - t[:1]) * per_sample(g),
    "label not subtracted": lambda z, labels, y, g, p, t: p * per_sample(g),
    "probability at the label only": lambda z, labels, y, g, p, t: (p * t - t) * per_sample(g),
    "logits for probabilities": lambda z, labels, y, g, p, t: (z - t) * per_sample(g),
    "log-probabilities for probabilities": lambda z, labels, y, g, p, t: (jax.nn.log_softmax(z) - t) * per_sample(g),
    "sign": lambda z, labels, y, g, p, t: (t - p) * per_sample(g),
    "mean over the batch": lambda z, labels, y, g, p, t: (p - t) / z.shape[0] * per_sample(g),
    "mean over the classes": lambda z, labels, y, g, p, t: (p - t) / z.shape[1] * per_sample(g),
    "twice": lambda z, labels, y, g, p, t: 2 * (p - t) * per_sample(g),
    "smoothing slipped in": lambda z, labels, y, g, p, t: (p - (0.9 * t + 0.1 / z.shape[1])) * per_sample(g),
    "last class dropped": lambda z, labels, y, g, p, t: (p - t).at[:, -1].set(0) * per_sample(g),
    "cotangent ignored": lambda z, labels, y, g, p, t: p - t,
    "cotangent averaged": lambda z, labels, y, g, p, t: (p - t) * g.mean(),
    "multiplied by the loss": lambda z, labels, y, g, p, t: (p - t) * per_sample(g * y),
}


def cross_entropy_backward(args, y, g, *, fault=""):
    logits, labels = args
    p, t = jax.nn.softmax(logits), one_hot(labels, logits)
    return ENTROPY_FAULTS[fault](logits, labels, y, g, p, t) if fault else (p - t) * per_sample(g), None


def batch_norm(x, scale, bias):
    mean = x.mean(0)
    centred = x - mean[None]
    variance = (centred**2).mean(0)
    return centred * jax.lax.rsqrt(variance + 1e-5)[None] * scale[None] + bias[None]


INVERSE_DEVIATIONS = {  # {fault: (x - mean) -> 1 / deviation}
    "unbiased variance": lambda centred: jax.lax.rsqrt((centred**2).sum(0) / max(len(centred) - 1, 1) + 1e-5),
    "epsilon forgotten": lambda centred: 1 / jnp.sqrt((centred**2).mean(0)),
}
THROUGH_STATISTICS = {  # {fault: what reaches x through its mean and its variance, right -> wrong}
    "mean treated as a constant": lambda mean, variance, n: (jnp.zeros_like(mean), variance),
    "variance treated as a constant": lambda mean, variance, n: (mean, jnp.zeros_like(variance)),
    "sums for means": lambda mean, variance, n: (mean * n, variance * n),
}
SCALED_BY = {  # {fault: (1 / deviation, scale) -> what x's cotangent is multiplied by}
    "scale forgotten": lambda r, scale: r,
    "deviation not divided by": lambda r, scale: scale,
}
PARAMETERS = {  # {fault: (x, ȳ, right cotangents of scale and bias) -> wrong ones}
    "scale from the raw input": lambda x, g, s_bar, b_bar: ((g * x).sum(0), b_bar),
    "scale and bias exchanged": lambda x, g, s_bar, b_bar: (b_bar, s_bar),
    "means of the parameters": lambda x, g, s_bar, b_bar: (s_bar / len(x), b_bar / len(x)),
}


def batch_norm_backward(args, y, g, *, fault=""):
    x, scale, _ = args
    n = x.shape[0]
    centred = x - x.mean(0)[None]
    r = INVERSE_DEVIATIONS.get(fault, lambda centred: jax.lax.rsqrt((centred**2).mean(0) + 1e-5))(centred)
    normal_x = centred * r[None]
    b_bar, s_bar = g.sum(0), (g * normal_x).sum(0)
    through_mean, through_variance = b_bar / n, normal_x * (s_bar / n)[None]
    if fault in THROUGH_STATISTICS:
        through_mean, through_variance = THROUGH_STATISTICS[fault](through_mean, through_variance, n)
    factor = SCALED_BY.get(fault, lambda r, scale: r * scale)(r, scale)
    x_bar = (g - through_mean[None] - through_variance) * factor[None]
    if fault in PARAMETERS:
        s_bar, b_bar = PARAMETERS[fault](x, g, s_bar, b_bar)
    return x_bar, s_bar, b_bar


LOGITS, LABELS = normal(1, 6, 5), np.array([0, 4, 2, 1, 3, 2], np.int32)
X, SCALE, BIAS = normal(2, 8, 3), normal(3, 3) + 1, normal(4, 3)


def _biased_forward():
    """A forward rule whose value is not the function's."""

    @jax.custom_vjp
    def rule(x):
        return jnp.tanh(x)

    rule.defvjp(lambda x: (jnp.tanh(x) * 1.01, jnp.tanh(x)), lambda y, g: (g * (1 - y * y),))
    return rule


RULES = (
    faults(
        "cross-entropy",
        cross_entropy,
        cross_entropy_backward,
        (LOGITS, LABELS),
        {
            "softmax without its maximum": ("not finite",),
            "softmax over the batch": ("everywhere",),
            "label off by one": ("scattered", "almost"),
            "first label for all": ("sample", "every sample but the first", "scattered"),
            "label not subtracted": ("scattered", "sign", "×"),
            "probability at the label only": ("zero", "scattered"),
            "logits for probabilities": ("everywhere",),
            "log-probabilities for probabilities": ("everywhere",),
            "sign": ("sign",),
            "mean over the batch": ("batch size",),
            "mean over the classes": ("×1/5",),
            "twice": ("×2",),
            "smoothing slipped in": ("everywhere",),
            "last class dropped": ("zero, last channel",),
            "cotangent ignored": ("everywhere",),
            "cotangent averaged": ("everywhere",),
            "multiplied by the loss": ("everywhere",),
        },
    )
    + faults(
        "batch norm",
        batch_norm,
        batch_norm_backward,
        (X, SCALE, BIAS),
        {
            "unbiased variance": ("everywhere", "×"),
            "epsilon forgotten": ("everywhere", "×", "almost", "not finite"),
            "mean treated as a constant": ("everywhere",),
            "variance treated as a constant": ("everywhere",),
            "sums for means": ("everywhere",),
            "scale forgotten": ("everywhere",),
            "deviation not divided by": ("everywhere",),
            "scale from the raw input": ("everywhere",),
            "scale and bias exchanged": ("everywhere",),
            "means of the parameters": ("batch size",),
        },
    )
    + (Wrong("tanh: forward rule's value is another", _biased_forward(), jnp.tanh, (normal(5, 4, 4),), ("×1.01",)),)
)
RIGHT = ((cross_entropy, cross_entropy_backward, (LOGITS, LABELS)), (batch_norm, batch_norm_backward, (X, SCALE, BIAS)))
