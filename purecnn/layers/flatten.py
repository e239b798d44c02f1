"""Flatten (lecture row 16): the last pooled image as a row, in front of the fully connected layers.

    y[n, (i·W + j)·C + c] = x[n, i, j, c]

Every entry moves to one place and nothing is computed, so its cotangent moves back:

    x̄[n, i, j, c] = ȳ[n, (i·W + j)·C + c]
"""

from __future__ import annotations

import math

from purecnn.annotations import Array, Shaped
from purecnn.checks import require_floats
from purecnn.rules import rule, shape_carrier


@rule
def flatten(x: Shaped[Array, "n ..."]) -> Shaped[Array, "n features"]:
    """Each sample as one row: x (N, ...) -> (N, product of the rest), row-major, channels fastest.

    Residuals: the shape (0 bytes). Raises TypeError for a dtype that is not floating, ValueError for an array
    without axes.
    """
    require_floats("flatten", x=x)
    if not x.shape:
        raise ValueError(f"flatten: x: got shape {x.shape}, expected a batch axis first")
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))


@flatten.def_fwd
def flatten_fwd(x):
    """y and the shape of x."""
    return flatten(x), (shape_carrier(x),)


@flatten.def_bwd
def flatten_bwd(residuals, y_bar):
    """x̄, of the shape of x."""
    (shape,) = residuals
    return (y_bar.reshape(y_bar.shape[0], *shape.shape[1:]),)
