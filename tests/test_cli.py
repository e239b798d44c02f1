"""The command as a user runs it: a process of its own, in a folder of its own. Its subcommands: tests/commands/."""

import os
import subprocess
import sys
import warnings

import jax
import pytest

import purecnn as package
from purecnn.cli import main
from tests.commands.running import purecnn
from tests.data.making import write_folder


def test_verify_is_passed_on_with_its_arguments_and_exit_code(tmp_path):
    done = purecnn("verify", "purecnn:relu", "f32[3,4]", "--cases", 0, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ": RIGHT" in done.stdout
    done = purecnn("verify", "no_such_rule", cwd=tmp_path)
    assert done.returncode == 2
    assert "no rule of the suite is called 'no_such_rule'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "--epochs", 0), "epochs: got 0, expected an integer, at least 1"),
        (("train", "--model", "lenett"), "lenett"),
        (("train", "--epohcs", 3), "--epochs INT Passes over the training set"),
        (("train", "--label-smoothing", 0.1, "--model", "mlp"), "label_smoothing: got 0.1, expected 0 with the loss"),
        (("train", "--augmentation", "wrap"), "augmentation: got 'wrap', expected none or some of resized_crop"),
        (("train", "--warmup-epochs", 60), "warmup_epochs: got 60.0, expected fewer than the run's 60"),
        (("train", "--config", "no.yaml"), "purecnn: no.yaml: there is no such file"),
        (("train", "--resume"), "run_dir: got none, expected the folder of the run to resume"),
        (("train", "--resume", "--config", "a", "--run-dir", "b"), "config: got a file together with --resume"),
        (
            ("train", "--resume", "--run-dir", "a", "--quiet"),
            "run_dir: there is no run to resume in a; with options such",
        ),
        (("train", "--lr=0.1"), "purecnn: got the unknown option --lr, did you mean --learning-rate?"),
        (("train", "--data", "folder", "--data-dir=~/none"), "/no/home/none: there is no such folder"),
        (("train", "--model", "alexnet"), "alexnet: layer"),
        (("summary", "--input-shape", 0, 8, 1), "input_shape: got (0, 8, 1), expected three integers"),
        (("summary", "--model", "alexnet", "--input-shape", 8, 8, 3), "alexnet: layer"),
        (("doctor", "twice"), "twice"),
        (("trian",), "got trian, did you mean train?"),
        (("frobnicate",), "expected one of train, "),
        ((), "got no command, expected one of train, "),
    ],
)
@pytest.mark.usefixtures("users_errors")
def test_what_cannot_be_done_is_said_in_words_and_nothing_is_written(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # the command sets it for its process
    monkeypatch.setenv("HOME", "/no/home")
    assert main([str(word) for word in arguments]) == 2
    said = capsys.readouterr()
    assert words in " ".join(said.err.split())
    assert said.out == ""
    assert os.listdir(tmp_path) == []


def test_images_in_another_commands_way_are_told_this_ones(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    os.makedirs("pets/cat")
    assert main(["predict", "run", "--data-dir", "pets"]) == 2
    said = "purecnn: images: got --data-dir, expected files or folders behind RUN, without an option\n"
    assert capsys.readouterr().err == said
    os.mkdir("run")
    assert main(["eval", "run", "pets"]) == 2
    said = "purecnn: data: got pets behind RUN, expected --data folder --data-dir pets\n"
    assert capsys.readouterr().err == said
    assert main(["eval", "--data-dir", "pets", "run"]) == 2  # the run may come last
    assert "behind RUN" not in capsys.readouterr().err


@pytest.mark.parametrize("words", [("train",), ("data", "show"), ("eval", "run")])
def test_a_path_as_data_is_told_its_kind(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    os.makedirs("my pets/cat")
    (tmp_path / "a.npz").write_bytes(b"")
    for given in (["--data", "my pets"], ["--data=my pets"], *([] if "run" in words else [["my pets"]])):
        assert main([*words, *given]) == 2
        said = capsys.readouterr()
        assert said.err == "purecnn: data: got a path, expected its kind: --data folder --data-dir 'my pets'\n"
    assert main([*words, "--data", "a.npz"]) == 2
    assert capsys.readouterr().err == "purecnn: data: got a path, expected its kind: --data npz --data-dir a.npz\n"
    assert main([*words, "--data", "folder", "my pets"]) == 2
    assert "expected its kind: --data folder --data-dir 'my pets'" in capsys.readouterr().err
    if "run" not in words:
        assert main([*words, "digits"]) == 2
        assert capsys.readouterr().err == "purecnn: data: got digits without an option, expected --data digits\n"
        assert main([*words, "--data", "digits", "mlp"]) == 2
        assert capsys.readouterr().err == "purecnn: model: got mlp without an option, expected --model mlp\n"
    os.mkdir("digits")  # the name of a set comes first
    main([*words, "--data", "digits", "--out", "nowhere/a.png", "--epochs", "0"])
    assert "expected its kind" not in capsys.readouterr().err


def test_help_names_the_commands_and_loads_no_data_or_plotting_library(tmp_path):
    code = (
        "import sys\nfrom purecnn.cli import main\nassert main(['--help']) == 0\n"
        "print(sorted({'sklearn', 'matplotlib', 'optax', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout
    assert "summary" in done.stdout
    assert done.stdout.endswith("[]\n")


def test_a_library_of_an_extra_that_is_not_installed_is_named_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setitem(sys.modules, "tyro", None)  # what an import of it does where it is not installed
    assert main(["summary"]) == 2
    said = capsys.readouterr()
    assert said.err == 'purecnn: summary needs tyro, from the extra "train": pip install "purecnn[train]"\n'
    assert said.out == ""


def test_a_module_of_our_own_that_is_not_there_is_no_missing_extra(monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setitem(sys.modules, "purecnn.commands.summary", None)
    with pytest.raises(ModuleNotFoundError, match=r"purecnn\.commands\.summary"):
        main(["summary"])


def test_the_version_is_said(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"purecnn {package.__version__}\n"


def test_what_a_notebook_draws_with_is_no_matter(tmp_path):
    """It tells the commands that it starts, which another Python may run, without what the notebook has."""
    write_folder(tmp_path / "pets")
    options = ("data", "show", "--data", "folder", "--data-dir", "pets")
    done = purecnn(*options, cwd=tmp_path, env=os.environ | {"MPLBACKEND": "no_such_backend"})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "folder.png").is_file()


def test_what_a_users_own_program_forbids_itself_stops_no_command(monkeypatch, capsys):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    before = jax.config.jax_transfer_guard
    try:
        jax.config.update("jax_transfer_guard", "disallow")  # as JAX_TRANSFER_GUARD does
        assert main(["summary"]) == 0
        assert jax.config.jax_transfer_guard == "allow"
    finally:
        jax.config.update("jax_transfer_guard", before)
