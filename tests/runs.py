"""A finished run to look at, made once for all tests that need one."""

import shutil

import pytest

from tests.commands.running import purecnn


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of a run of lenet on the digits: two epochs, so that it errs often. Not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    done = purecnn("train", "--epochs", 2, "--seed", 5, "--run-dir", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture
def run_copy(finished, tmp_path):
    """The same, to be changed."""
    return shutil.copytree(finished, tmp_path / "run")
