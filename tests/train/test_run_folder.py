import os
import shlex
from pathlib import Path

import pytest

import purecnn
from purecnn.results.trained import require_run
from purecnn.train.config import Config
from purecnn.train.run_folder import (
    append_metrics,
    make_run_folder,
    no_run,
    read_config,
    read_metrics,
    read_test,
    require_checkpoints,
    resume_command,
    write_config,
    write_metrics,
)


def test_runs_are_numbered_and_never_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [make_run_folder(Config()) for _ in range(3)]
    assert [str(folder) for folder in folders] == ["runs/lenet-digits-1", "runs/lenet-digits-2", "runs/lenet-digits-3"]
    assert str(make_run_folder(Config(model="mlp"))) == "runs/mlp-digits-1"


def test_a_named_folder_may_be_new_or_empty(tmp_path):
    deep = tmp_path / "a" / "b"
    assert make_run_folder(Config(run_dir=str(deep))) == deep
    assert deep.is_dir()
    assert make_run_folder(Config(run_dir=str(deep))) == deep


def test_a_name_that_is_no_utf_8_is_refused_before_anything_is_trained(tmp_path):
    named = os.fsdecode(os.fsencode(tmp_path / "run-") + b"\xff")
    with pytest.raises(ValueError, match=r"^run_dir: got '.*run-\\udcff', expected a path in UTF-8, as"):
        make_run_folder(Config(run_dir=named))
    assert list(tmp_path.iterdir()) == []


def test_a_name_below_a_file_is_refused_with_that_file(tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(
        ValueError, match=rf"run_dir: got .*, expected a path below folders; {tmp_path}/notes is a file$"
    ):
        make_run_folder(Config(run_dir=str(tmp_path / "notes" / "a" / "run")))


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_there_is_refused_and_left_alone(tmp_path, kind):
    taken = tmp_path / "taken"
    if kind == "folder":
        taken.mkdir()
    path = taken / "metrics.jsonl" if kind == "folder" else taken
    path.write_text("mine")
    with pytest.raises(FileExistsError, match=f"run_dir: {taken} exists already"):
        make_run_folder(Config(run_dir=str(taken)))
    assert path.read_text() == "mine"


def test_the_config_comes_back_without_the_folders_name(tmp_path):
    config = Config(model="mlp", learning_rate=0.125, seed=4, loss="squared_error", run_dir=str(tmp_path))
    write_config(tmp_path, config)
    assert read_config(tmp_path) == Config(model="mlp", learning_rate=0.125, seed=4, loss="squared_error")


def test_what_an_older_run_called_resnet_is_read_as_resnet_cifar(tmp_path):
    (tmp_path / "config.yaml").write_text("model: resnet\n")
    assert read_config(tmp_path) == Config(model="resnet_cifar")


@pytest.mark.usefixtures("users_errors")
def test_a_config_that_was_edited_wrongly_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_text("epochs: none\n")
    with pytest.raises(ValueError, match=r"config\.yaml: epochs: got 'none', expected an integer"):
        read_config(tmp_path)


def test_a_runs_own_config_with_an_unknown_name_may_be_of_a_newer_release(tmp_path):
    write_config(tmp_path, Config())
    with open(tmp_path / "config.yaml", "a") as file:
        file.write("frobnicate: 1")
    with pytest.raises(ValueError, match=rf"'frobnicate'.*; a newer purecnn .* this is {purecnn.__version__}$"):
        read_config(tmp_path)


@pytest.mark.usefixtures("users_errors")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learning-rate: 0.1", "got the unknown name 'learning-rate', did you mean learning_rate"),
        ("frobnicate: 1", "got the unknown name 'frobnicate', expected some of model, data, "),
        ("- epochs", "the file: got .'epochs'., expected lines of NAME: VALUE"),
        ("", "the file: got None"),
        ("epochs: [1", "is not valid YAML: while parsing"),
        ("epochs: 1\nseed: 3\nepochs: 2", "is not valid YAML: epochs is given twice"),
        ("run_dir: ${HOME}/run", r"run_dir: got '\${HOME}/run', expected a path: variables are a shell's; ~ is"),
        ("epochs: \x00", "is not valid YAML"),
        ('data_dir: "C:\\pets"', r"is not valid YAML: .*; a path with \\ is written without quotes, or in single ones"),
    ],
)
def test_a_file_that_is_no_config_is_refused_by_name_and_reason(tmp_path, text, words):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"mine\.yaml: {words}"):
        read_config(path)


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "+.1e-2", "1.0e-3", "0.001"])
def test_a_number_may_be_written_as_everybody_writes_it(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(f"learning_rate: {text}\ndata_dir: 1e\n")
    assert read_config(tmp_path / "mine.yaml") == Config(learning_rate=0.001, data_dir="1e")


def test_none_is_what_help_calls_none_and_a_damaged_line_of_metrics_is_named(tmp_path):
    (tmp_path / "mine.yaml").write_text("image_size: None\n")
    assert read_config(tmp_path / "mine.yaml") == Config()
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n{"epo\n{"epoch": 3}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl: line 2: got '{\"epo', expected a JSON object"):
        read_metrics(tmp_path)


def test_a_last_line_of_metrics_that_was_cut_is_left_out_and_said(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n{"epo')
    with pytest.warns(UserWarning, match=r"metrics\.jsonl: line 2 was not written to its end and is left out"):
        assert read_metrics(tmp_path) == [{"epoch": 1}]


def test_a_damaged_file_of_the_test_is_named(tmp_path):
    (tmp_path / "test.json").write_text("garbage")
    with pytest.raises(
        ValueError, match=r"test\.json: is damaged, expected a JSON object; purecnn train --run-dir RUN --re"
    ):
        read_test(tmp_path)


def test_metrics_written_anew_have_no_line_twice(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n{"epoch": 2}\n{"epo')
    write_metrics(tmp_path, [{"epoch": 1}])
    append_metrics(tmp_path, {"epoch": 2})
    assert read_metrics(tmp_path) == [{"epoch": 1}, {"epoch": 2}]


def test_metrics_are_one_line_each(tmp_path):
    lines = [{"epoch": 1, "train_loss": 0.1}, {"epoch": 2, "train_loss": 1 / 3}]
    for line in lines:
        append_metrics(tmp_path, line)
    assert read_metrics(tmp_path) == lines
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 2


def test_a_run_that_is_not_there_is_said_with_the_one_that_may_be_meant(tmp_path):
    assert no_run(tmp_path / "runs" / "pets") == f"there is no run to resume in {tmp_path}/runs/pets"
    for name in ("pets-1", "cars"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert "did you mean" not in no_run(tmp_path / "runs" / "pets")  # folders, but none of a run
    (tmp_path / "runs" / "pets-1" / "config.yaml").write_text("")
    assert no_run(tmp_path / "runs" / "pest-1").endswith(f"pest-1; did you mean {tmp_path}/runs/pets-1?")


def test_trained_epochs_without_checkpoints_are_not_begun_anew(tmp_path):
    require_checkpoints(tmp_path)
    write_metrics(tmp_path, [])
    require_checkpoints(tmp_path)
    append_metrics(tmp_path, {"epoch": 1})
    with pytest.raises(ValueError, match=f"checkpoints: there is no such .* --init-weights {tmp_path}$"):
        require_checkpoints(tmp_path)
    (tmp_path / "checkpoints").mkdir()  # killed before it saved anything
    require_checkpoints(tmp_path)


def test_the_command_that_resumes_can_be_pasted_into_a_shell():
    assert resume_command(Path("runs/a")) == "purecnn train --run-dir runs/a --resume"
    assert shlex.split(resume_command(Path("my run's"))) == ["purecnn", "train", "--run-dir", "my run's", "--resume"]


def test_what_a_copied_run_lacks_is_named_with_what_brings_it_back(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"metrics\.jsonl: there is no such file; .* --resume writes it again"):
        read_metrics(tmp_path)
    write_metrics(tmp_path, [])
    with pytest.raises(FileExistsError, match=r"left as it is; its config\.yaml is missing, put it back to resume; or"):
        make_run_folder(Config(run_dir=str(tmp_path)))
    (tmp_path / "best.safetensors").touch()
    with pytest.raises(ValueError, match=r"got no config\.yaml, expected the folder of a run; put it back"):
        require_run(tmp_path)
