"""JAX's and Python's settings come back as they were."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from verify import settings


def test_settings_come_back_even_after_an_error():
    before = jax.config.values["jax_traceback_filtering"]
    seen = []

    def fails():
        with settings.unfiltered():
            seen.append(jax.config.values["jax_traceback_filtering"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert seen == ["off"]
    assert jax.config.values["jax_traceback_filtering"] == before
    with settings.setting("jax_no_such_setting", 1):
        pass


@pytest.mark.parametrize(
    "setting", ["debug_nans", "debug_infs", "disable_jit", "check_tracer_leaks", "debug_key_reuse"]
)
def test_settings_that_look_for_mistakes_are_off_inside(setting):
    inside = settings.undisturbed()
    with getattr(jax, setting)(True):
        with inside:
            assert not getattr(jax.config, f"jax_{setting}")
        assert getattr(jax.config, f"jax_{setting}")


@pytest.mark.parametrize("own", [(700, 10, 10), (90_000, 5, 5), (0, 10, 10)])
def test_the_callers_garbage_collection_comes_back(own):
    before = gc.get_threshold()
    try:
        gc.set_threshold(*own)
        with settings.few_collections():
            assert gc.get_threshold()[0] == {700: 50_000, 90_000: 90_000, 0: 0}[own[0]]
        assert gc.get_threshold() == own
    finally:
        gc.set_threshold(*before)


def moved(x):
    """A step whose carry is float32 by name, and whose constants are wider where float64 is on."""

    def step(h, _):
        return h * jnp.ones(3), None

    return jax.lax.scan(step, jnp.ones(3, jnp.float32), None, 2)[0] * jnp.sin(x)


@pytest.mark.parametrize(("factor", "verdict"), [(1, "right"), (1.01, "wrong")])
def test_a_loop_that_is_float32_by_name_is_checked_as_it_is(factor, verdict):
    rule = jax.custom_vjp(moved)
    rule.defvjp(lambda x: (moved(x), x), lambda x, g: (factor * g * jnp.cos(x),))
    x = np.random.default_rng(0).standard_normal(3).astype(np.float32)
    report = verify.check(rule, x)
    assert report.verdict == verdict, report


@pytest.mark.usefixtures("a_users_jax")
def test_integers_that_must_be_32_bits_wide_are():
    def first(x):
        lengths = jnp.array([2, 1])
        if lengths.dtype != jnp.int32:
            raise ValueError(f"lengths should be int32, but got {lengths.dtype}")
        return jnp.where(jnp.arange(3) < lengths[:, None], x, 0)

    report = verify.check(first, np.ones((2, 3), np.float32), cases=0, checks=("contract", "gradient", "adjoint"))
    assert report.ok, report


COUNT = np.int32(0)


@pytest.mark.parametrize("wrong", [True, False])
def test_a_state_of_32_bits_that_the_function_holds_stays_one(wrong):
    """As batch norm's count of steps, whose dtype a library compares and names in its own words."""

    @jax.custom_vjp
    def counted(x):
        if (new := jnp.asarray(1).dtype) != COUNT.dtype:
            raise ValueError(f"The old value is weak_i32[] and the new value is weak_i{8 * new.itemsize}[]")
        return jnp.sin(x)

    counted.defvjp(lambda x: (counted(x), x), lambda x, g: (g * (jnp.sin(x) if wrong else jnp.cos(x)),))
    report = verify.check(counted, np.linspace(-1, 2, 7, dtype=np.float32), checks=("contract", "gradient"))
    assert report.verdict == ("wrong" if wrong else "right"), report
