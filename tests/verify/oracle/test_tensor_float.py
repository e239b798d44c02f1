"""A GPU's products in TF32, on a machine that says it is one: its float32 products are rounded by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.lax import Precision

import verify
from verify.oracle import tensor_float

from ..faulty_rules.joined import joined

RNG = np.random.default_rng(0)
X, W = RNG.standard_normal((4, 3)).astype(np.float32), RNG.standard_normal((3, 5)).astype(np.float32)
CHECKS = ("gradient", "low precision")


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(tensor_float, "on_a_gpu", lambda: True)


def rounded(a):
    return jax.lax.reduce_precision(a, 8, 10) if a.dtype == jnp.float32 else a


def product(a, b):
    """As a GPU multiplies at the precision that is asked for."""
    default = jax.config.jax_default_matmul_precision == "default"
    return jnp.matmul(rounded(a), rounded(b)) if default else jnp.matmul(a, b)


def narrow(a, b):
    """The same with its sum carried in bfloat16."""
    if jax.config.jax_default_matmul_precision != "default":
        return jnp.matmul(a, b)
    terms = a[:, :, None] * b[None]
    return jax.lax.fori_loop(
        0,
        a.shape[1],
        lambda k, s: jax.lax.reduce_precision(s + terms[:, k], 8, 7),
        jnp.zeros_like(terms[:, 0]),
    )


def dense(backward):
    return joined(lambda x, w: x @ w, lambda args, y, g: (backward(g, args[1].T), backward(args[0].T, g)))


def test_products_at_the_default_precision_are_one_of_the_low_precisions_of_a_gpu(gpu):
    assert verify.check(dense(product), X, W, cases=0, checks=CHECKS).ok
    found = verify.check(dense(narrow), X, W, cases=0, checks=CHECKS).failures
    assert found[0].check == "low precision"
    assert "TF32" in found[0].case


def test_elsewhere_it_is_none():
    assert verify.check(dense(narrow), X, W, cases=0, checks=CHECKS).ok


def asking(a, b):
    """A rule that asks for the default precision, whatever the caller says."""
    return jnp.matmul(rounded(a), rounded(b), precision=Precision.DEFAULT)


def test_a_rule_that_asks_for_tf32_is_given_its_roundoff_on_a_gpu(gpu):
    assert verify.check(dense(asking), X, W, cases=0, checks=("gradient",)).ok


def test_and_nowhere_else():
    assert verify.check(dense(asking), X, W, cases=0, checks=("gradient",)).verdict == "wrong"
