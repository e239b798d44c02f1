"""Cross-entropy of logits with integer labels, and batch normalisation."""

import jax
import jax.numpy as jnp
import numpy as np

from .joined import Wrong, faults, normal


def cross_entropy(logits, labels):
    chosen = jnp.take_along_axis(logits, labels[:, None], 1)[:, 0]
    return jax.nn.logsumexp(logits, axis=1) - chosen


def cross_entropy_backward(args, y, g, *, fault=""):
    logits, labels = args
    n, k = logits.shape
    p = jax.nn.softmax(logits)
    t = jax.nn.one_hot(labels, k, dtype=logits.dtype)
    if fault == "softmax without its maximum":
        e = jnp.exp(logits)
        p = e / e.sum(1, keepdims=True)
    if fault == "softmax over the batch":
        p = jax.nn.softmax(logits, axis=0)
    if fault == "label off by one":
        t = jax.nn.one_hot((labels + 1) % k, k, dtype=logits.dtype)
    if fault == "first label for all":
        t = jnp.broadcast_to(t[:1], t.shape)
    if fault == "label not subtracted":
        t = jnp.zeros_like(t)
    if fault == "probability at the label only":
        p = p * t
    if fault == "logits for probabilities":
        p = logits
    if fault == "log-probabilities for probabilities":
        p = jax.nn.log_softmax(logits)
    d = p - t
    if fault == "sign":
        d = -d
    if fault == "mean over the batch":
        d = d / n
    if fault == "mean over the classes":
        d = d / k
    if fault == "twice":
        d = 2 * d
    if fault == "smoothing slipped in":
        d = p - (0.9 * t + 0.1 / k)
    if fault == "last class dropped":
        d = d.at[:, -1].set(0)
    if fault == "cotangent ignored":
        return d, None
    if fault == "cotangent averaged":
        return d * g.mean(), None
    if fault == "multiplied by the loss":
        return d * (g * y)[:, None], None
    return d * g[:, None], None


def batch_norm(x, scale, bias):
    mean = x.mean(0)
    centred = x - mean[None]
    variance = (centred**2).mean(0)
    return centred * jax.lax.rsqrt(variance + 1e-5)[None] * scale[None] + bias[None]


def batch_norm_backward(args, y, g, *, fault=""):
    x, scale, _ = args
    n = x.shape[0]
    mean = x.mean(0)
    centred = x - mean[None]
    r = jax.lax.rsqrt((centred**2).mean(0) + 1e-5)
    if fault == "unbiased variance" and n > 1:
        r = jax.lax.rsqrt((centred**2).sum(0) / (n - 1) + 1e-5)
    if fault == "epsilon forgotten":
        r = 1 / jnp.sqrt((centred**2).mean(0))
    normal_x = centred * r[None]
    b_bar, s_bar = g.sum(0), (g * normal_x).sum(0)
    through_mean, through_variance = b_bar / n, normal_x * (s_bar / n)[None]
    if fault == "mean treated as a constant":
        through_mean = jnp.zeros_like(through_mean)
    if fault == "variance treated as a constant":
        through_variance = jnp.zeros_like(through_variance)
    if fault == "sums for means":
        through_mean, through_variance = through_mean * n, through_variance * n
    x_bar = (g - through_mean[None] - through_variance) * (r * scale)[None]
    if fault == "scale forgotten":
        x_bar = (g - through_mean[None] - through_variance) * r[None]
    if fault == "deviation not divided by":
        x_bar = (g - through_mean[None] - through_variance) * scale[None]
    if fault == "scale from the raw input":
        s_bar = (g * x).sum(0)
    if fault == "scale and bias exchanged":
        s_bar, b_bar = b_bar, s_bar
    if fault == "means of the parameters":
        s_bar, b_bar = s_bar / n, b_bar / n
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
