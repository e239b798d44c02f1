import os
import re
import subprocess
import sys
import warnings

import jax
import pytest

from purecnn import backend

REPAIR = "--xla_cpu_experimental_ynn_fusion_type=-reduce"


@pytest.mark.parametrize("version", ["0.10.2", "0.11.0", "0.11.2", "0.12.0", "0.12.0.1", "0.11.1.dev20260801"])
def test_an_affected_release_gets_the_flag_beside_what_was_there(version):
    assert backend.repair_flag(version, "") == REPAIR
    assert backend.repair_flag(version, "--xla_a=1") == f"--xla_a=1 {REPAIR}"


@pytest.mark.parametrize("version", ["0.8.3", "0.9", "0.9.2", "0.10.1", "0.12.1", "0.13.0", "1.0.0"])
def test_other_releases_are_left_alone_since_xla_aborts_at_unknown_flags(version):
    assert backend.repair_flag(version, "") == ""
    assert backend.repair_flag(version, "--xla_a=1") == "--xla_a=1"


def test_a_setting_that_is_there_already_stays():
    mine = "--xla_cpu_experimental_ynn_fusion_type=reduce --xla_a=1"
    assert backend.repair_flag("0.11.0", mine) == mine


@pytest.fixture
def asked_anew():
    """What a process asks once."""
    once = backend.warn_if_miscompiling, backend.options_of_running_once
    for question in once:
        question.cache_clear()
    yield
    for question in once:
        question.cache_clear()


@pytest.mark.usefixtures("asked_anew")
def test_a_machine_that_computes_right_is_not_warned_of():
    assert not backend.miscompiles()
    backend.warn_if_miscompiling()  # a warning would be an error here


@pytest.mark.usefixtures("asked_anew")
def test_a_miscompiling_cpu_is_warned_of_once_and_with_the_fix(monkeypatch):
    monkeypatch.setattr(jax, "jit", lambda function: lambda e: function(e) * float("nan"))
    with pytest.warns(RuntimeWarning, match=f"wrong numbers on this CPU; set XLA_FLAGS={REPAIR}"):
        backend.warn_if_miscompiling()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backend.warn_if_miscompiling()


@pytest.mark.usefixtures("asked_anew")
def test_another_platform_is_not_even_tried(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(backend, "miscompiles", lambda: pytest.fail("computed"))
    backend.warn_if_miscompiling()


def test_the_hardware_line_names_processor_cores_and_versions():
    line = backend.describe_hardware()
    assert f"JAX {jax.__version__}" in line
    assert " CPU cores, " in line


def test_importing_the_command_starts_no_backend():
    """Otherwise the flag that it sets would come too late."""
    code = "import purecnn.cli, jax; jax.config.update('jax_platforms', 'none_such'); jax.devices()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 1
    assert "none_such" in done.stderr.splitlines()[-1]


@pytest.mark.usefixtures("asked_anew")
def test_less_effort_for_what_runs_once_is_asked_of_a_cpu_that_knows_the_options(monkeypatch):
    known = backend.options_of_running_once()
    assert jax.default_backend() != "cpu" or known["xla_backend_optimization_level"] == 1
    backend.options_of_running_once.cache_clear()
    unknown = {"xla_cpu_no_such_option": True}
    for asked, expected in (({**backend.LESS_EFFORT, **unknown}, known), (unknown, None)):
        monkeypatch.setattr(backend, "LESS_EFFORT", asked)
        assert backend.options_of_running_once() == expected
        backend.options_of_running_once.cache_clear()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert backend.options_of_running_once() is None


@pytest.mark.parametrize(
    ("fault", "why"),
    [(AssertionError(), "it finds none"), (RuntimeError("Unable to initialize backend 'x'\nmore"), "Unable to .*'x'$")],
)
def test_a_platform_that_jax_does_not_find_is_said_in_one_line(monkeypatch, fault, why):
    def devices():
        raise fault

    assert backend.missing_backend() == ""
    monkeypatch.setattr(jax, "devices", devices)
    assert re.match(f"JAX_PLATFORMS: got .*, expected what JAX has a device of: {why}", backend.missing_backend())
