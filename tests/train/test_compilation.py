"""What is asked of the compiler, and for which programs."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from purecnn.train import compilation


def program(flops: float | None):
    """A lowered program of so many FLOPs, whose compiled form is what was asked of the compiler."""
    return SimpleNamespace(
        cost_analysis=lambda: {} if flops is None else {"flops": flops},
        compile=lambda compiler_options=None: compiler_options,
    )


def test_on_a_cpu_nothing_is_asked():
    assert compilation.compile_for(program(1.0), deterministic=True) is None


def test_on_a_gpu_small_programs_are_not_tuned_and_sums_have_one_order_if_wanted(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    small, large, unknown = (compilation.compile_for(program(flops)) for flops in (1e8, 1e12, None))
    assert small == {"xla_gpu_deterministic_ops": False, "xla_gpu_autotune_level": "0"}
    assert large == unknown == {"xla_gpu_deterministic_ops": False}
    assert compilation.compile_for(program(1e12), deterministic=True) == {"xla_gpu_deterministic_ops": True}


def test_this_xla_knows_the_options():
    lowered = jax.jit(lambda x: x @ x).lower(jnp.ones((4, 4)))
    lowered.compile(compiler_options={"xla_gpu_deterministic_ops": True, "xla_gpu_autotune_level": "0"})
    with pytest.raises(Exception, match="No such compile option"):
        lowered.compile(compiler_options={"xla_gpu_no_such_option": True})
