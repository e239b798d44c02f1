import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import purecnn
from tests.oracles.agreement import assert_trees_close
from verify.running import quickly


def normal(*shapes):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape)) for shape in shapes]


def plain(x, w, b, *, stride=1, padding="VALID", dilation=1, groups=1):
    around = padding if isinstance(padding, str) else [(padding, padding) if isinstance(padding, int) else padding]
    options = {"rhs_dilation": (dilation,), "feature_group_count": groups, "dimension_numbers": ("NWC", "WIO", "NWC")}
    return lax.conv_general_dilated(x, w, (stride,), around, **options) + b.reshape(1, 1, -1)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": "SAME"},
        {"padding": (4, 0), "dilation": 2},
        {"padding": 1, "stride": 3, "groups": 2},
    ],
    ids=["valid", "same", "causal", "groups"],
)
def test_values_and_gradients_are_those_of_lax(options):
    args = normal((2, 9, 4), (3, 4 // options.get("groups", 1), 6), (6,))

    @quickly
    def both(*args):
        def value_and_gradients(function):
            return jax.value_and_grad(lambda *args: jnp.sin(function(*args, **options)).sum(), argnums=(0, 1, 2))(*args)

        return value_and_gradients(purecnn.conv1d), value_and_gradients(plain)

    assert_trees_close(*both(*args), 1e-12)


def test_a_causal_convolution_does_not_look_ahead():
    x, w = normal((1, 8, 2), (3, 2, 2))
    y = purecnn.conv1d(x, w, padding=(2, 0))
    later = purecnn.conv1d(x.at[:, 5:].set(0), w, padding=(2, 0))
    assert y.shape == (*x.shape[:2], 2)
    assert (y[:, :5] == later[:, :5]).all()
    assert (y[:, 5:] != later[:, 5:]).all()


@pytest.mark.usefixtures("users_errors")
@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2, 4), {}, r"conv1d: x: got shape \(2, 4\), expected 3 axes \(N L C\)"),
        ((2, 4, 3), {"stride": 0}, "conv1d: stride: got 0, expected at least 1"),
        ((2, 4, 3), {"padding": (0, -1)}, "conv1d: padding: got -1, expected at least 0"),
        ((2, 4, 3), {"padding": "FULL"}, r"conv1d: padding: got 'FULL', .* an int or \(before, after\)"),
        ((2, 4, 2), {}, "w: got shape"),
    ],
    ids=["rank", "stride", "negative padding", "padding", "channels"],
)
def test_errors(shape, options, message):
    with pytest.raises(ValueError, match=message):
        purecnn.conv1d(jnp.ones(shape), jnp.ones((3, 3, 2)), **options)
