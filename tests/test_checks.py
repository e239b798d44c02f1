import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purecnn.checks import require_floats, require_rank, require_shape


@pytest.mark.parametrize("got", [np.int32(1), np.bool_(True), np.complex64(1), [1.0], 1.0, "text", jax.random.key(0)])
def test_what_is_not_a_floating_array_is_refused(got):
    with pytest.raises(TypeError, match=r"layer: x: got .*, expected float16, bfloat16, float32 or float64"):
        require_floats("layer", x=got)


def test_two_dtypes_are_not_promoted():
    with pytest.raises(TypeError, match="layer: w: got float16, expected float32, the dtype of x"):
        require_floats("layer", x=jnp.ones(1), w=jnp.ones(1, jnp.float16))


def test_an_absent_array_has_no_dtype_to_agree_with():
    require_floats("layer", x=jnp.ones(1), b=None)


def test_numpy_arrays_are_arrays():
    require_floats("layer", x=np.ones(1, np.float32), w=jnp.ones(1))


def test_complaints_name_layer_argument_got_and_expected():
    with pytest.raises(ValueError, match=r"layer: x: got shape \(2,\), expected 2 axes \(N C\)"):
        require_rank("layer", "N C", x=jnp.ones(2))
    with pytest.raises(ValueError, match=r"layer: b: got shape \(2,\), expected \(3,\) \(one per output\)"):
        require_shape("layer", (3,), "one per output", b=jnp.ones(2))
