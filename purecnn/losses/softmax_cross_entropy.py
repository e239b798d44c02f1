"""Softmax and cross-entropy as one loss (lecture rows 4 and 6).

    ŷᵢ = e^{xᵢ} / Σⱼ e^{xⱼ}          L = −Σᵢ tᵢ log ŷᵢ          tᵢ = (1 − ε) yᵢ + ε / K

x are the logits of K classes, y the label (one-hot or probabilities), ε the label smoothing, 0 in the lecture, so that
there t = y. (One slide drops the minus sign of L; with it the loss is positive, as the others have it.)

Since log ŷᵢ = xᵢ − log Σⱼ e^{xⱼ}, and the derivative of log Σⱼ e^{xⱼ} with respect to xᵢ is ŷᵢ,
∂L/∂xᵢ = −tᵢ + ŷᵢ Σⱼ tⱼ. With labels that sum to one this is the lecture's ŷ − y; L is linear in y:

    x̄ᵢ = L̄ (ŷᵢ Σⱼ tⱼ − tᵢ)          ȳᵢ = −L̄ (1 − ε) log ŷᵢ

log ŷ is computed from x − max x, never from ŷ, so nothing overflows or becomes log 0 at logits of ±800.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp

from purecnn.annotations import Array, Float, Num
from purecnn.checks import require_floats, require_fraction, require_shape
from purecnn.ops import accumulation_dtype, per_channel
from purecnn.rules import rule


@functools.partial(rule, traceable={"label_smoothing": require_fraction})
def softmax_cross_entropy(
    logits: Float[Array, "n *positions k"], labels: Num[Array, "n *rest"], *, label_smoothing: float | Array = 0.0
) -> Float[Array, "n *positions"]:
    """The loss of each sample, or of each of its positions: (N, ..., K) -> (N, ...), of the dtype of `logits`.

    logits (N, ..., K), labels integers (N, ...) or probabilities (N, ..., K). 16-bit logits are computed in float32.
    Smooth everywhere. A label outside 0 … K−1 gives a NaN loss and NaN cotangents (nothing can raise inside a compiled
    step), but cotangents of 0 where L̄ is 0: `jnp.where(labels == 255, 0, losses)` leaves pixels out. So do, without
    label smoothing, labels with a row of zeros, as `jax.nn.one_hot(255, K)` is: their loss is 0 and so is x̄. Residuals:
    logits and labels. Integer labels have no cotangent. `label_smoothing` may be a traced number; it is held constant
    and has no cotangent. Raises ValueError or TypeError for other shapes or dtypes, or a smoothing outside [0, 1) (a
    traced one is not looked at).
    """
    log_probabilities, targets = _parts(logits, labels, label_smoothing)
    # Where a target is 0 its term is 0, even for a logit of −inf.
    terms = jnp.where(targets == 0, jnp.zeros_like(targets), targets * log_probabilities)
    return -terms.sum(axis=-1).astype(logits.dtype)


@softmax_cross_entropy.def_fwd
def softmax_cross_entropy_fwd(logits, labels, *, label_smoothing=0.0):
    """The losses and the residuals (logits, labels)."""
    return softmax_cross_entropy(logits, labels, label_smoothing=label_smoothing), (logits, labels)


@softmax_cross_entropy.def_bwd
def softmax_cross_entropy_bwd(residuals, loss_bar, *, label_smoothing=0.0):
    """The cotangent of the logits, and of probability labels or None for integers, from L̄ (N, ...)."""
    logits, labels = residuals
    log_probabilities, targets = _parts(logits, labels, label_smoothing)
    loss_bar = loss_bar.astype(targets.dtype)[..., None]
    targets = jnp.where((loss_bar == 0) & jnp.isnan(targets), 0, targets)  # a loss that is left out
    logits_bar = loss_bar * (jnp.exp(log_probabilities) * targets.sum(axis=-1, keepdims=True) - targets)
    if jnp.issubdtype(labels.dtype, jnp.integer):
        return logits_bar.astype(logits.dtype), None
    labels_bar = -loss_bar * (1 - jnp.asarray(label_smoothing, loss_bar.dtype)) * log_probabilities
    return logits_bar.astype(logits.dtype), labels_bar.astype(labels.dtype)


def _parts(logits, labels, smoothing):
    """log ŷ and t, both (N, ..., K)."""
    layer = "softmax_cross_entropy"
    require_floats(layer, logits=logits)
    if len(logits.shape) < 2:
        raise ValueError(f"{layer}: logits: got shape {logits.shape}, expected at least 2 axes (N … K)")
    classes = logits.shape[-1]
    if classes == 0:
        raise ValueError(f"{layer}: logits: got shape {logits.shape}, expected at least one class")
    wide = logits.astype(accumulation_dtype(logits.dtype))
    shifted = wide - wide.max(axis=-1, keepdims=True)
    log_probabilities = shifted - jnp.log(jnp.exp(shifted).sum(axis=-1, keepdims=True))
    if not hasattr(labels, "dtype"):
        got = type(labels).__name__
        raise TypeError(f"{layer}: labels: got {got}, expected an array of integers or of probabilities")
    if jnp.issubdtype(labels.dtype, jnp.integer):
        require_shape(layer, logits.shape[:-1], "one class per sample", labels=labels)
        if labels.dtype.itemsize < 4:  # uint8 counts to 255, whatever the number of classes
            labels = labels.astype(jnp.int32)
        hit = labels[..., None] == per_channel(jnp.arange(classes, dtype=labels.dtype), logits)
        known = ((labels >= 0) & (labels < classes))[..., None]
        targets = jnp.where(known, hit.astype(wide.dtype), jnp.asarray(jnp.nan, wide.dtype))
    else:
        require_floats(layer, labels=labels)
        require_shape(layer, logits.shape, "a probability per class; classes are integers", labels=labels)
        targets = labels.astype(wide.dtype)
    smoothing = jnp.asarray(smoothing, wide.dtype)
    return log_probabilities, targets * (1 - smoothing) + smoothing / classes
