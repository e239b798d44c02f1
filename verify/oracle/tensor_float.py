"""TensorFloat-32: on a GPU a float32 product at JAX's default precision rounds its operands to 11 bits.

Float32 is compared at the highest precision, so that a rule is not blamed for it; a rule that asks for the default
precision itself is given that roundoff, and the default is one of the low precisions that every rule is tried in.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import Precision

from verify.oracle.primal import equations

ROUNDOFF = 2.0**-11  # half the distance from 1 to the next number: that of float16
PRODUCTS = {"dot_general", "conv_general_dilated"}
GPUS = {"gpu", "cuda", "rocm"}


def on_a_gpu() -> bool:
    return jax.default_backend() in GPUS


def rounded(a: np.ndarray) -> np.ndarray:
    """Float32 numbers of 11 bits."""
    return np.asarray(jax.lax.reduce_precision(jnp.asarray(a, jnp.float32), 8, 10))


def below(closed: Any, highest: tuple = (Precision.HIGHEST,)) -> list[tuple]:
    """The precisions, of both operands, of the products that ask for less than `highest` themselves."""
    found = []
    for eqn in equations(closed):
        if eqn.primitive.name in PRODUCTS:
            given = eqn.params["precision"]
            both = given if isinstance(given, tuple) else (given, given)
            found += [both] if any(p not in highest for p in both) else []
    return found


def asked_for(closed: Any) -> bool:
    """Whether, on a GPU, a float32 product of a program that was traced at the highest precision runs in TF32."""
    return on_a_gpu() and bool(below(closed, (Precision.HIGHEST, Precision.HIGH)))
