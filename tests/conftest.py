"""Strict JAX for every test: no silent promotion of dtypes or ranks. Warnings are errors (pyproject.toml)."""

import os

import jax
import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.runs"]

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

settings.register_profile(
    "quick",
    max_examples=20,
    deadline=None,  # the first example compiles
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=500, derandomize=False)
settings.load_profile("quick")


@pytest.fixture(scope="session", autouse=True)
def programs_compiled_once(tmp_path_factory):
    """The command keeps compiled programs in one folder for all tests of this session, never in the user's own."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    os.environ["PURECNN_CACHE"] = str(shared / "cache")


@pytest.fixture
def x64():
    """Float64 inside one test; elsewhere the user's default, float32, is what is tested."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def users_errors():
    """jaxtyping off, as for a user: what is wrong with an argument is then said by purecnn itself."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
