"""Squared error (lecture row 2).

    L = Σᵢ (ŷᵢ − yᵢ)²

without a factor ½, as the lecture writes it. Each term depends on one prediction and one target, with opposite signs:

    ∂L/∂ŷᵢ = 2 L̄ (ŷᵢ − yᵢ)          ∂L/∂yᵢ = −2 L̄ (ŷᵢ − yᵢ)
"""

from __future__ import annotations

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats, require_shape
from purecnn.ops import accumulation_dtype
from purecnn.rules import rule


@rule
def squared_error(prediction: Float[Array, "n *features"], target: Float[Array, "n *features"]) -> Float[Array, " n"]:
    """The loss of each sample: prediction and target (N, ...) of one shape and floating dtype -> (N,), that dtype.

    16-bit sums in float32. Smooth everywhere. Residuals: prediction and target (their difference would be as large).
    Raises ValueError or TypeError for other shapes or dtypes.
    """
    require_floats("squared_error", prediction=prediction, target=target)
    if not prediction.shape:
        raise ValueError(f"squared_error: prediction: got shape {prediction.shape}, expected a batch axis first")
    require_shape("squared_error", prediction.shape, "the shape of prediction", target=target)
    error = _difference(prediction, target)
    return (error * error).sum(axis=tuple(range(1, error.ndim))).astype(prediction.dtype)


@squared_error.def_fwd
def squared_error_fwd(prediction, target):
    """The losses and the residuals (prediction, target)."""
    return squared_error(prediction, target), (prediction, target)


@squared_error.def_bwd
def squared_error_bwd(residuals, loss_bar):
    """Cotangents of prediction and target (N, ...), from L̄ (N,)."""
    prediction, target = residuals
    error = _difference(prediction, target)
    loss_bar = loss_bar.astype(error.dtype).reshape(-1, *(1,) * (error.ndim - 1))
    prediction_bar = (2 * loss_bar * error).astype(prediction.dtype)
    return prediction_bar, -prediction_bar


def _difference(prediction, target):
    wide = accumulation_dtype(prediction.dtype)
    return prediction.astype(wide) - target.astype(wide)
