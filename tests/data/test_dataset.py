import jax
import jax.numpy as jnp
import numpy as np

from purecnn.data.dataset import Dataset, Split, to_float


def test_bytes_become_float32_in_0_to_1_the_same_in_numpy_and_in_a_compiled_step():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    host, device = to_float(pixels), jax.jit(to_float)(pixels)
    assert host.dtype == device.dtype == np.float32
    np.testing.assert_array_equal(host, device)
    np.testing.assert_allclose(host, pixels / 255.0, rtol=1e-7)
    assert (host.min(), host.max()) == (0, 1)


def test_float32_stays_bit_for_bit():
    pixels = np.random.default_rng(0).random((2, 3, 3, 1), np.float32)
    assert to_float(pixels) is pixels
    np.testing.assert_array_equal(jax.jit(to_float)(jnp.asarray(pixels)), pixels)


def test_a_set_is_shown_in_a_line_without_its_pixels():
    split = Split(np.zeros((1200, 8, 8, 3), np.uint8), np.zeros(1200, np.int32))
    assert repr(split) == "Split(1,200 images of 8×8×3, uint8)"
    shown = repr(Dataset("pets", split, None, ("cat", "dog")))
    assert shown.startswith("Dataset(name='pets', train=Split(1,200 images of 8×8×3, uint8), test=None, ")
    assert len(shown) < 200
