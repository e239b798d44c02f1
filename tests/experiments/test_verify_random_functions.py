"""A seed draws one function, with arguments that it takes; its right and its faulty rule are told apart."""

import jax
import numpy as np
import pytest

from experiments.verify_random_functions import run
from experiments.verify_random_functions.functions import ELEMENTWISE, drawn

pytestmark = pytest.mark.usefixtures("a_users_jax")


def test_a_seed_draws_one_function():
    first, again = drawn(3), drawn(3)
    assert first.words == again.words != drawn(4).words
    np.testing.assert_array_equal(
        first.function(*first.args, **first.options), again.function(*again.args, **again.options)
    )


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_functions_have_a_gradient(name):
    x = np.linspace(-3.1, 3.3, 20, dtype=np.float32)
    assert np.isfinite(jax.vmap(jax.grad(ELEMENTWISE[name]))(x)).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_right_and_a_faulty_rule_are_told_apart(dtype):
    verdicts = run.judged(2, dtype, seconds=60)
    assert [(right, ok) for right, ok, *_ in verdicts] == [(True, True), (False, False)], verdicts
    assert "0 of 1 called wrong; faulty rules: 0 of 1 passed" in run.summary(verdicts)
