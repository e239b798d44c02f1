"""A finished run to look at, made once for all tests that need one, and the figures that a test draws."""

import shutil

import pytest

from tests.commands.running import compiled_quickly, here, pictures_left_blank


@pytest.fixture(scope="module")
def runs_compiled_quickly():
    """For files of which no test compares speed, nor bits with a run elsewhere."""
    with compiled_quickly(), pictures_left_blank():
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of a run of lenet on the digits: two epochs, so that it errs often. Not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    options = ("--augmentation", "none", "--epochs", 2, "--seed", 5, "--run-dir", "run")
    done = here("train", *options, cwd=folder, quick=True)
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture
def run_copy(finished, tmp_path):
    """The same, to be changed."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved, for a look at what is in them."""
    from matplotlib.figure import Figure  # here, so that the tests of the rules do not wait for it

    figures, save = [], Figure.savefig

    def keep(figure, *args, **options):
        figures.append(figure)
        return save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures
