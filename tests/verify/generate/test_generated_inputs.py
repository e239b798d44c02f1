"""What the arrays of a generated call hold."""

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


def test_integers_that_are_all_alike_are_varied():
    def kept(x, lengths):
        return jnp.where(jnp.arange(x.shape[1])[None] < lengths[:, None], x, 0)

    def drawn(integers):
        case = _example(describe(kept, (X, np.array(integers, np.int32)), None, None), "", 0)
        draws = [generated_inputs.fill(case, np.random.default_rng(s), {}, [(4, 6), (4,)])[1] for s in range(9)]
        return sorted({int(n) for draw in draws for n in draw})

    assert drawn([5, 5, 5, 5]) == [4, 5]
    assert drawn([0, 0, 0, 0]) == [0, 1]
    assert drawn([1, 1, 1, 1]) == [1]  # a count may not be 0
