"""Strict JAX for every test: no silent promotion of dtypes or ranks. Warnings are errors (pyproject.toml)."""

import builtins
import errno
import gc
import importlib.util
import os
from importlib.metadata import version
from pathlib import Path

import jax
import jaxtyping
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from verify.settings import unoptimised

pytest_plugins = ["tests.runs"]


def repair_this_jax():
    """Set the flag that repairs a JAX whose CPU backend computes wrong numbers, before the backend starts.

    The module is loaded by its path: jaxtyping's hook checks what is imported from `purecnn` after it alone.
    """
    path = Path(__file__).parent.parent / "purecnn" / "backend.py"
    spec = importlib.util.spec_from_file_location("backend_for_conftest", path)
    backend = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(backend)
    if flags := backend.repair_flag(version("jaxlib"), os.environ.get("XLA_FLAGS", "")):
        os.environ["XLA_FLAGS"] = flags


repair_this_jax()

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
gc.set_threshold(20_000)  # what JAX traces lives long: looking through it was a twentieth of the time

settings.register_profile(
    "quick",
    max_examples=10,
    deadline=None,  # the first example compiles
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=500, derandomize=False)
settings.load_profile("quick")


@pytest.fixture
def a_users_jax():
    """What a user's Python does: no strictness beyond JAX's own."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(scope="session", autouse=True)
def products_as_the_oracles_have_them():
    """A GPU would run float32 products in TF32, and a TPU in bfloat16."""
    if jax.default_backend() != "cpu":
        jax.config.update("jax_default_matmul_precision", "highest")


@pytest.fixture(scope="session", autouse=True)
def programs_compiled_once(tmp_path_factory):
    """The command keeps compiled programs in one folder for all tests of this session, never in the user's own."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    os.environ["PURECNN_CACHE"] = str(shared / "cache")


@pytest.fixture(autouse=True)
def the_same_draws_in_any_order(request):
    """A module's `RNG` starts anew for each test: which tests of its module ran before in a worker is chance."""
    rng = getattr(request.module, "RNG", None)
    if rng is not None:
        rng.bit_generator.state = np.random.default_rng(0).bit_generator.state


@pytest.fixture
def x64():
    """Float64 inside one test; elsewhere the user's default, float32, is what is tested."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def little_compilation():
    """For files whose programs take longer to compile than to run, also in processes of their own."""
    with pytest.MonkeyPatch.context() as patch, unoptimised():
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        yield


@pytest.fixture
def users_errors():
    """jaxtyping off, as for a user: what is wrong with an argument is then said by purecnn itself."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def forbidden(monkeypatch):
    """`forbidden(*paths)`: folders and files that may not be opened, also by root, whom permissions do not stop."""
    closed: set[str] = set()

    def guarded(function):
        def call(path, *args, **options):
            if str(path) in closed:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return function(path, *args, **options)

        return call

    monkeypatch.setattr(os, "scandir", guarded(os.scandir))
    monkeypatch.setattr(builtins, "open", guarded(open))
    return lambda *paths: closed.update(map(str, paths))
