import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.dense)


DENSE = named("dense")


def test_lecture_row_7():
    """y = w x for a column x: ∂L/∂x = (∂L/∂y) w and ∂L/∂wᵢⱼ = (∂L/∂yᵢ) xⱼ, in the lecture's layout: one sample."""
    w, x, dy = np.array([[1.0, 2, 3], [4, 5, 6]]), np.array([7.0, 8, 9]), np.array([1.0, -2])
    args = [jnp.asarray(a, "float32") for a in (x, w.T, np.zeros(2))]
    y, residuals = purecnn.dense_fwd(*args)
    x_bar, w_bar, b_bar = purecnn.dense_bwd(residuals, jnp.asarray(dy, "float32"))
    np.testing.assert_array_equal(y, w @ x)
    np.testing.assert_array_equal(x_bar, dy @ w)
    np.testing.assert_array_equal(w_bar.T, [[dy[i] * x[j] for j in range(3)] for i in range(2)])
    np.testing.assert_array_equal(b_bar, dy)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bit_sums_accumulate_in_float32(dtype):
    terms = {"bfloat16": 512, "float16": 4096}[dtype]
    assert purecnn.dense(jnp.ones((1, terms), dtype), jnp.ones((terms, 1), dtype)) == terms
    _, w_bar, b_bar = DENSE.backward(jnp.ones((terms, 1), dtype), jnp.ones((1, 1), dtype), jnp.zeros(1, dtype))
    x_bar, _, _ = DENSE.backward(jnp.ones((1, 1), dtype), jnp.ones((1, terms), dtype), jnp.zeros(terms, dtype))
    assert (x_bar == terms).all()
    assert (w_bar == terms).all()
    assert (b_bar == terms).all()


def test_keeps_its_arguments():
    args = DENSE.arguments("float32")
    _, residuals = purecnn.dense_fwd(*args)
    assert [r is a for r, a in zip(residuals, args, strict=True)] == [True] * 3


def test_no_bias_has_no_cotangent():
    x, w, _ = DENSE.arguments("float32")
    assert DENSE.backward(x, w, None)[2] is None


@pytest.mark.parametrize("sizes", [(0, 3, 2), (2, 3, 0)])
def test_empty_axes_give_empty_or_zero_arrays(sizes):
    n, inputs, outputs = sizes
    bars = DENSE.backward(jnp.ones((n, inputs)), jnp.ones((inputs, outputs)), jnp.ones(outputs))
    assert [bar.shape for bar in bars] == [(n, inputs), (inputs, outputs), (outputs,)]
    assert not any(jnp.any(bar) for bar in bars)


def weights_not_transposed(residuals, y_bar):
    w = residuals[1]
    _, w_bar, b_bar = purecnn.dense_bwd(residuals, y_bar)
    return y_bar @ w.reshape(w.shape[1], w.shape[0]), w_bar, b_bar


@pytest.mark.parametrize(
    "faulty",
    [
        weights_not_transposed,
        faulty_rules.first_sample_only(DENSE, 1),
        faulty_rules.first_sample_only(DENSE, 2),
        faulty_rules.mean_over_batch(DENSE, 1),
        faulty_rules.changed(DENSE, 1, lambda bar, residuals, y_bar: bar[::-1]),
        faulty_rules.changed(DENSE, 2, lambda bar, residuals, y_bar: jnp.full_like(bar, y_bar.sum())),
        faulty_rules.cotangent_ignored(DENSE),
    ],
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(DENSE, faulty)


def test_vmap_over_weights_is_an_ensemble():
    x, w, b = DENSE.arguments("float32")
    weights = jnp.stack([w, 2 * w])
    got = jax.vmap(lambda w: purecnn.dense(x, w, b))(weights)
    np.testing.assert_allclose(got, jnp.stack([purecnn.dense(x, w, b) for w in weights]), rtol=1e-6)
