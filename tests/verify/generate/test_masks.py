"""Masks leave something and leave something out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from verify.checking import _example
from verify.function_under_test import describe
from verify.generate import generated_inputs

X = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)


@pytest.mark.parametrize("kept", [True, False])
def test_a_mask_leaves_every_row_something_whichever_way_it_says_so(kept):
    triangle = np.tri(4, 6, dtype=bool)

    def fun(x, mask):
        return jax.nn.softmax(jnp.where(mask if kept else ~mask, x, -1e4))

    case = _example(describe(fun, (X, triangle if kept else ~triangle), None, None), "", 0)
    for seed in range(20):
        mask = generated_inputs.fill(case, np.random.default_rng(seed), {}, [(4, 2), (4, 2)])[1]
        assert (mask if kept else ~mask).any(-1).all()


@pytest.mark.parametrize("all_of_it", [True, False])
def test_a_mask_that_is_all_true_or_all_false_is_varied(all_of_it):
    mask = np.full((4, 6), all_of_it)
    case = _example(describe(lambda x, mask: jnp.where(mask, x, 0), (X, mask), None, None), "", 0)
    drawn = [generated_inputs.fill(case, np.random.default_rng(s), {}, [(4, 6)] * 2)[1] for s in range(9)]
    assert 0.6 < np.mean([m == all_of_it for m in drawn]) < 0.9
    assert all((m == all_of_it).any(-1).all() for m in drawn)
