"""What the two checkers that ask no training say of a wrong rule, each on the rule's own ordinary call."""

import warnings

import jax
import numpy as np

from experiments.verify_wrong_rules.run import check_grads_accepts
from tests.verify.wrong_rules.joined import Wrong


def ones_cotangent_accepts(wrong: Wrong) -> bool:
    """Does `jax.grad` of the sum agree with the reference's? Every cotangent of such a test is 1."""
    floats = tuple(k for k, a in enumerate(wrong.args) if a.dtype.kind == "f")

    def gradients(function):
        return jax.grad(lambda *args: function(*args).sum(), floats)(*wrong.args)

    try:
        for got, expected in zip(gradients(wrong.rule), gradients(wrong.reference), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    except Exception:
        return False
    return True


def caught(wrong: Wrong) -> dict[str, bool]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = {"ones-cotangent": ones_cotangent_accepts(wrong)}
        for dtype in ("float32", "float64"):
            said[f"check_grads, {dtype}"] = check_grads_accepts(wrong.rule, wrong.args, dtype == "float64")
    return {name: not right for name, right in said.items()}
