"""What is asked of the compiler, and for which programs."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purecnn import models
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


def test_what_runs_once_is_compiled_with_less_effort_to_the_same_bits():
    net, shape = models.cifar_cnn(), (8, 8, 3)

    def start(seed):
        return net.init(jax.random.key(seed), shape)

    found, expected = compilation.run_once(start, np.uint32(3)), jax.jit(start)(np.uint32(3))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("platform", "asked"), [("cpu", {"xla_backend_optimization_level": "1"}), ("gpu", None)])
def test_less_effort_is_asked_of_a_cpu_alone(monkeypatch, platform, asked):
    compiled = SimpleNamespace(compile=lambda compiler_options=None: lambda *args: (compiler_options, args))
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    monkeypatch.setattr(jax, "jit", lambda function, out_shardings: SimpleNamespace(lower=lambda *args: compiled))
    assert compilation.run_once(lambda seed: seed, 3) == (asked, (3,))


def test_this_xla_knows_the_options():
    lowered = jax.jit(lambda x: x @ x).lower(jnp.ones((4, 4)))
    lowered.compile(compiler_options={"xla_gpu_deterministic_ops": True, "xla_gpu_autotune_level": "0"})
    with pytest.raises(Exception, match="No such compile option"):
        lowered.compile(compiler_options={"xla_gpu_no_such_option": True})
