"""What is asked of the compiler, and for which programs."""

import warnings
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


def test_results_larger_than_the_machines_memory_are_refused_before_xla_waits_for_it():
    """XLA's CPU client would neither raise nor return."""
    with pytest.raises(MemoryError, match=r"4,000,000 GB of weights"):
        compilation.run_once(lambda seed: jnp.full((10**9, 10**6), seed, jnp.float32), np.uint32(0))


@pytest.mark.slow
def test_what_runs_once_is_compiled_with_less_effort_to_the_same_bits():
    net, shape = models.cifar_cnn(), (8, 8, 3)

    def start(seed):
        return net.init(jax.random.key(seed), shape)

    found, expected = compilation.run_once(start, np.uint32(3)), jax.jit(start)(np.uint32(3))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_program_counts_once_however_many_commands_a_process_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    for _ in range(2):
        compilation.keep_compiled(tmp_path)
    before = compilation.loaded_programs()
    jax.monitoring.record_event("/jax/compilation_cache/cache_hits")
    assert compilation.loaded_programs() - before == 1


def test_this_xla_knows_the_options():
    lowered = jax.jit(lambda x: x @ x).lower(jnp.ones((4, 4)))
    lowered.compile(compiler_options={"xla_gpu_deterministic_ops": True, "xla_gpu_autotune_level": "0"})
    with pytest.raises(Exception, match="No such compile option"):
        lowered.compile(compiler_options={"xla_gpu_no_such_option": True})


def test_what_is_kept_of_a_program_and_cannot_be_read_is_removed_and_all_else_stays(tmp_path, monkeypatch):
    """As JAX warns of it; it would read the same file in every run, and never write over it."""
    shown = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *rest, **more: shown.append(str(message)))
    kept = [tmp_path / f"{name}-0a1b-cache" for name in ("jit_step", "jit_steps", "jit__lambda")]
    for file in kept:
        file.write_bytes(b"half")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with compilation.damaged_removed(tmp_path):
            reading = "Error reading persistent compilation cache entry for"
            warnings.warn(f"{reading} 'jit_step': error: Error -5 while decompressing data", stacklevel=1)
            warnings.warn(f"{reading} 'jit_[s]teps': error: Error -5 while decompressing data", stacklevel=1)
            warnings.warn("something else", stacklevel=1)
            for name in ("jit_a", "jit_b"):
                writing = f"Error writing persistent compilation cache entry for '{name}'"
                warnings.warn(f"{writing}: PermissionError: [Errno 13] Permission denied", stacklevel=1)
    assert [file.exists() for file in kept] == [False, True, True]
    removed = "what was kept of the program jit_step is damaged and removed; it is compiled anew"
    unwritten = "compiled programs are not kept: PermissionError: [Errno 13] Permission denied"
    assert (shown[0], shown[2:]) == (removed, ["something else", unwritten])


def test_jax_warns_of_a_damaged_program_in_these_words(tmp_path, monkeypatch):
    """On which `damaged_removed` depends: a program is compiled, kept, damaged, removed, and kept again."""
    from jax.experimental.compilation_cache import compilation_cache

    shown = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *rest, **more: shown.append(str(message)))
    names = ("jax_enable_compilation_cache", "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    try:
        for name, value in zip(names, (True, str(tmp_path), 0.0), strict=True):
            jax.config.update(name, value)
        compilation_cache.reset_cache()

        def compiled():
            def odd_name(x):
                return x * 3 + 1

            jax.jit(odd_name).lower(np.ones(3, np.float32)).compile()
            return [file for file in tmp_path.iterdir() if "odd_name" in file.name and file.name.endswith("-cache")]

        (file,) = compiled()
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        with warnings.catch_warnings(), compilation.damaged_removed(tmp_path):
            warnings.simplefilter("always")
            compiled()
        assert any("the program jit_odd_name is damaged and removed" in line for line in shown)
        (again,) = compiled()
        assert len(again.read_bytes()) > len(whole) // 2
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()


def test_a_folder_that_cannot_be_made_is_a_warning_that_says_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    was = jax.config.jax_enable_compilation_cache
    try:
        with pytest.warns(RuntimeWarning, match=r"file/xla: Not a directory; --cache-dir names another folder$"):
            compilation.keep_compiled(tmp_path / "file" / "xla")
    finally:
        jax.config.update("jax_enable_compilation_cache", was)
