"""The command as a user runs it: in a separate process and folder, or in this process, in a third of the time."""

import contextlib
import io
import os
import subprocess
import sys
import warnings

import jax
import jaxtyping
import pytest
from jax.experimental.compilation_cache import compilation_cache

PICTURES = {"curves.png", "confusion.png", "gradients.png", "worst.png", "filters.png", "report.html"}
FILES = {
    "config.yaml",
    "metrics.jsonl",
    "weights.safetensors",
    "best.safetensors",
    "test.json",
    "checkpoints",
    *PICTURES,
}
QUICK = ("--model", "mlp", "--augmentation", "none")  # compiles in a second


def purecnn(*arguments, cwd, module="purecnn", env=os.environ, **options):
    command = [sys.executable, "-m", module, *map(str, arguments)]
    options |= {"capture_output": True, "text": True, "encoding": "utf-8", "timeout": 300}
    return subprocess.run(command, cwd=cwd, env=env, **options)


CACHE = ("jax_enable_compilation_cache", "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@contextlib.contextmanager
def pictures_left_blank():
    """Inside, a figure is saved as one pixel: drawing takes a sixth of the time of these tests, and has its own."""
    from matplotlib.figure import Figure  # here, as conftest imports this file: these take a second
    from PIL import Image

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda figure, file, **_: Image.new("1", (1, 1)).save(file, "png"))
        yield


@contextlib.contextmanager
def compiled_quickly():
    """Inside, the programs of a run are compiled in half the time: where no speed and no bits are compared."""
    from purecnn.backend import options_of_running_once
    from purecnn.train import run  # not above: conftest imports this file, and most tests need no run

    options = options_of_running_once()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "compile_for", lambda lowered, **_: lowered.compile(compiler_options=options))
        yield


def here(*arguments, cwd, quick=False):
    """The same in this process, for what is not about the process: a user's JAX, warnings shown and not raised."""
    from purecnn.cli import main

    out, err, environment = io.StringIO(), io.StringIO(), dict(os.environ)
    before = {name: getattr(jax.config, name) for name in CACHE}
    compilation_cache.reset_cache()  # JAX looks only once whether there is one
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with (
            contextlib.chdir(cwd),
            pictures_left_blank(),
            compiled_quickly() if quick else contextlib.nullcontext(),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(),
            jax.numpy_dtype_promotion("standard"),
            jax.numpy_rank_promotion("allow"),
        ):
            warnings.simplefilter("default")
            code = main([*map(str, arguments)])
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        os.environ.clear()
        os.environ.update(environment)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
