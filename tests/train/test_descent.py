import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purecnn.data.digits import read_digits
from purecnn.models import mlp
from purecnn.train.descent import (
    descend,
    descend_until_converged,
    gradient_by_batch,
    gradient_by_loop,
    gradient_by_vmap,
)
from purecnn.train.stopping import Diverged

FORMS = (gradient_by_loop, gradient_by_vmap, gradient_by_batch)


def problem(samples=16, dtype=jnp.float32):
    data = read_digits().train
    x = jnp.asarray(data.images[:samples], dtype)
    targets = jnp.asarray(np.eye(10)[data.labels[:samples]], dtype)
    net = mlp(10, hidden=(12,))
    return net, net.init(jax.random.key(1), (8, 8, 1), dtype), x, targets


def close(got, expected, tolerance):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("form", FORMS)
def test_three_forms_one_update_and_it_is_that_of_the_formula(form):
    net, params, x, targets = problem(5, jnp.float64)

    def summed_error(params):
        """f₂ = σ(σ(x w₁) w₂), L = Σ (ŷ − y)², written without the project's rules."""
        w1, w2 = params[1]["w"], params[3]["w"]
        y = 1 / (1 + jnp.exp(-(1 / (1 + jnp.exp(-(x.reshape(5, 64) @ w1)))) @ w2))
        return ((y - targets) ** 2).sum()

    total, summed = jax.jit(partial(form, net))(params, x, targets)
    expected_total, expected = jax.jit(jax.value_and_grad(summed_error))(params)
    close(total, expected_total, 1e-12)
    close(summed, expected, 1e-12)
    close(
        descend(params, summed, 0.5),
        [{name: w - 0.5 * expected[i][name] for name, w in layer.items()} for i, layer in enumerate(params)],
        1e-12,
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_loss_falls_and_the_three_forms_go_the_same_way(form):
    net, params, x, targets = problem(12)
    options = {"rate": 0.1, "batch_size": 3, "max_epochs": 8}
    trained, losses = descend_until_converged(net, params, x, targets, gradient=form, **options)
    assert len(losses) == 8
    assert all(later < earlier for earlier, later in itertools.pairwise(losses))
    reference, reference_losses = descend_until_converged(net, params, x, targets, **options)
    np.testing.assert_allclose(losses, reference_losses, rtol=1e-5)
    close(trained, reference, 1e-4)


def test_it_stops_when_converged_and_not_before():
    net, params, x, targets = problem(40)
    options = {"rate": 0.3, "batch_size": 10, "patience": 3, "tolerance": 0.05, "max_epochs": 500}
    _, losses = descend_until_converged(net, params, x, targets, **options)
    assert 4 < len(losses) < 500
    progress = [min(losses[n - 3 : n]) < 0.95 * min(losses[: n - 3]) for n in range(4, len(losses) + 1)]
    assert progress == [True] * (len(progress) - 1) + [False]


def test_a_higher_tolerance_stops_earlier():
    net, params, x, targets = problem(40)
    options = {"rate": 0.3, "batch_size": 10, "patience": 3, "max_epochs": 500}
    lengths = [
        len(descend_until_converged(net, params, x, targets, tolerance=tolerance, **options)[1])
        for tolerance in (0.5, 0.05)
    ]
    assert lengths[0] < lengths[1]


def test_a_non_finite_loss_stops_it_with_the_step():
    net, params, x, targets = problem(12)
    broken = x.at[7, 0, 0, 0].set(jnp.nan)
    with pytest.raises(Diverged) as caught:
        descend_until_converged(net, params, broken, targets, rate=0.1, batch_size=4, max_epochs=3)
    assert 1 <= caught.value.step <= 3
