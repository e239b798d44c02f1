import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purecnn.initializers import (
    constant,
    fan_in_uniform,
    fan_out_normal,
    he_normal,
    lecun_normal,
    normal,
    ones,
    uniform,
    zeros,
)

KEY = jax.random.key(0)


@pytest.mark.parametrize(("initializer", "gain"), [(he_normal, 2), (lecun_normal, 1)])
@pytest.mark.parametrize(("shape", "fan_in"), [((100, 400), 100), ((3, 3, 16, 300), 144)])
def test_variance_is_the_gain_over_the_fan_in(initializer, gain, shape, fan_in):
    w = np.asarray(initializer(KEY, shape))
    assert w.var() == pytest.approx(gain / fan_in, rel=0.03)
    assert abs(w.mean()) < 4 * np.sqrt(gain / fan_in / w.size)


@pytest.mark.parametrize(
    ("initializer", "deviation"),
    [
        (fan_out_normal, np.sqrt(2 / (3 * 3 * 300))),
        (normal(0.01), 0.01),
        (fan_in_uniform, 1 / 12 / np.sqrt(3)),
        (uniform(0.5), 0.5 / np.sqrt(3)),
    ],
)
def test_deviations_are_torchvisions(initializer, deviation):
    w = np.asarray(initializer(KEY, (3, 3, 16, 300)))
    assert w.std() == pytest.approx(deviation, rel=0.02)
    assert abs(w.mean()) < 4 * deviation / np.sqrt(w.size)
    uniform_or_not = abs(w).max() / deviation
    assert uniform_or_not < np.sqrt(3) + 1e-6 or uniform_or_not > 3.5


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("initializer", [he_normal, fan_in_uniform], ids=["normal", "uniform"])
def test_outside_of_jit_the_numbers_are_those_of_jit(initializer, dtype):
    """Outside of it they are compiled with less effort."""
    drawn = initializer(KEY, (3, 3, 16, 30), dtype)
    np.testing.assert_array_equal(drawn, jax.jit(lambda key: initializer(key, (3, 3, 16, 30), dtype))(KEY))


def test_they_are_drawn_in_any_transformation_of_a_key_or_of_something_else():
    expected = he_normal(KEY, (3, 4))
    x = jnp.ones(2)
    np.testing.assert_allclose(jax.jit(lambda x: x[0] * he_normal(KEY, (3, 4)))(x), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(lambda x: x * he_normal(KEY, (3, 4)))(x)[1], expected, rtol=1e-6)
    np.testing.assert_allclose(
        jax.grad(lambda x: (x[0] * he_normal(KEY, (3, 4))).sum())(x)[0], expected.sum(), rtol=1e-5
    )
    np.testing.assert_allclose(
        jax.vmap(lambda key: he_normal(key, (3, 4)))(jnp.stack([KEY, KEY]))[1], expected, rtol=1e-6
    )
    _, scanned = jax.lax.scan(lambda c, _: (c, he_normal(KEY, (3, 4))), 0, None, length=1)
    np.testing.assert_allclose(scanned[0], expected, rtol=1e-6)
    with jax.ensure_compile_time_eval():
        np.testing.assert_array_equal(he_normal(KEY, (3, 4)), expected)
    with jax.disable_jit():
        np.testing.assert_allclose(he_normal(KEY, (3, 4)), expected, rtol=1e-6)


def test_one_program_draws_all_weights_of_a_shape():
    """Compiling is most of the time that a net takes to begin."""
    shape, programs = (3, 5, 7, 11), []
    jax.monitoring.register_event_duration_secs_listener(
        count := lambda name, _, **more: programs.append(name) if name.endswith("backend_compile_duration") else None
    )
    try:
        he_normal(jax.random.key(0), shape)
        first = len(programs)
        for i in (1, 2):
            he_normal(jax.random.key(i), shape)
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    assert len(programs) == first > 0


def test_two_made_alike_are_one():
    """So that two nets built alike are."""
    assert normal(0.01) == normal(0.01) != normal(0.02)
    assert uniform(0.01) != normal(0.01)


def test_relu_keeps_the_scale_of_the_signal():
    """Mean square through ten layers of 200 units, as He et al. 2015 have it."""
    x = jax.random.normal(KEY, (64, 200))
    for i in range(10):
        x = jnp.maximum(x @ he_normal(jax.random.fold_in(KEY, i), (200, 200)), 0)
    assert 0.3 < float((x**2).mean()) < 3


def test_constants():
    assert zeros(KEY, (2,)).tolist() == [0, 0]
    assert ones(KEY, (2,)).tolist() == [1, 1]
    assert constant(0.5)(KEY, (2,)).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "initializer", [he_normal, fan_out_normal, fan_in_uniform, normal(2.0), uniform(2.0), constant(2.0), ones]
)
def test_shape_and_dtype_are_as_asked(initializer):
    w = initializer(KEY, (2, 3), jnp.bfloat16)
    assert (w.shape, w.dtype) == ((2, 3), jnp.bfloat16)
