"""What two checkers that ask no training say of a faulty rule.

Each is asked on the rule's own ordinary call and, where the net calls it with other options, with these too.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.loss_curves.nets import OPTIONS, net_for
from experiments.verify_faulty_rules.run import check_grads_accepts
from tests.verify.faulty_rules.joined import Wrong


def ones_cotangent_accepts(rule: Callable[..., Any], reference: Callable[..., Any], args: tuple[Any, ...]) -> bool:
    """Does `jax.grad` of the sum agree with the reference's? Every cotangent of such a test is 1."""
    floats = tuple(k for k, a in enumerate(args) if a.dtype.kind == "f")

    def gradients(function):
        return jax.grad(lambda *args: function(*args).sum(), floats)(*args)

    try:
        for got, expected in zip(gradients(rule), gradients(reference), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    except Exception:
        return False
    return True


def caught(wrong: Wrong) -> dict[str, Any]:
    options = OPTIONS.get(net_for(wrong))
    return said(wrong) | ({"with the net's options": said(wrong, **options)} if options else {})


def said(wrong: Wrong, **options: Any) -> dict[str, bool]:
    rule, reference = (functools.partial(f, **options) for f in (wrong.rule, wrong.reference))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        right = {"ones-cotangent": ones_cotangent_accepts(rule, reference, wrong.args)}
        for dtype in ("float32", "float64"):
            right[f"check_grads, {dtype}"] = check_grads_accepts(rule, wrong.args, dtype == "float64")
    return {name: not accepted for name, accepted in right.items()}
