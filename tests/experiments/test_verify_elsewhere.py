"""What is called of a whole module: a function with arguments at which it has finite numbers, or not at all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.verify_elsewhere.modules import call_of, functions

pytestmark = pytest.mark.usefixtures("a_users_jax")


@pytest.mark.parametrize(
    "function", [jnp.log, jnp.linalg.cholesky, jnp.arctan2, jax.scipy.special.betainc, jax.lax.log1p, jnp.vander]
)
def test_a_function_is_called_where_it_is_finite(function):
    args = call_of(function)
    assert args is not None
    assert np.isfinite(function(*args)).all()


@pytest.mark.parametrize("function", [jnp.argmax, jnp.zeros, jax.lax.while_loop, print])
def test_what_gives_no_floating_numbers_for_arrays_is_not_called(function):
    assert call_of(function) is None


def test_a_function_that_has_two_names_is_called_once():
    found = dict(functions())
    assert "jnp.sin" in found
    assert len({id(function) for function in found.values()}) == len(found)
