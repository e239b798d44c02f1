import jax.numpy as jnp
import numpy as np

from purecnn.data.interpolation import moved

RNG = np.random.default_rng(0)
IMAGES = jnp.asarray(RNG.random((3, 7, 7, 2), np.float32))


def test_the_identity_changes_no_bit_and_a_quarter_turn_is_numpys():
    identity = jnp.broadcast_to(jnp.eye(2), (3, 2, 2))
    np.testing.assert_array_equal(moved(IMAGES, identity, jnp.zeros((3, 2))), IMAGES)
    wide = jnp.asarray(RNG.random((3, 6, 11, 1), np.float32))
    np.testing.assert_array_equal(moved(wide, identity, jnp.zeros((3, 2))), wide)
    turn = jnp.broadcast_to(jnp.asarray([[0.0, 1.0], [-1.0, 0.0]]), (3, 2, 2))
    np.testing.assert_array_equal(moved(IMAGES, turn, jnp.zeros((3, 2))), np.rot90(IMAGES, axes=(1, 2)))


def test_an_offset_is_where_each_pixel_comes_from_and_outside_is_0():
    identity = jnp.broadcast_to(jnp.eye(2), (3, 2, 2))
    offset = jnp.asarray([[2.0, 0.0], [0.0, -3.0], [0.5, 0.0]])
    found, images = np.asarray(moved(IMAGES, identity, offset)), np.asarray(IMAGES)
    np.testing.assert_array_equal(found[0], np.pad(images[0, 2:], ((0, 2), (0, 0), (0, 0))))
    np.testing.assert_array_equal(found[1], np.pad(images[1, :, :-3], ((0, 0), (3, 0), (0, 0))))
    np.testing.assert_allclose(found[2, :-1], (images[2, :-1] + images[2, 1:]) / 2, atol=1e-6)
