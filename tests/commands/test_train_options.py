"""Options of `purecnn train` that are none, or not what they look like."""

import dataclasses

import pytest

from purecnn.cli import main
from purecnn.commands.train import Train, defaults
from purecnn.train.config import Config
from purecnn.train.options import CALLED, NOT_HERE, OF_FIT, known_elsewhere
from tests.commands.running import here


def test_a_config_with_an_unknown_name_is_refused_with_the_nearest(tmp_path):
    (tmp_path / "mine.yaml").write_text("epohcs: 3\n")
    done = here("train", "--config", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "purecnn: mine.yaml: got the unknown name 'epohcs', did you mean epochs?\n"


def test_an_unknown_option_is_refused_with_the_nearest(tmp_path):
    done = here("train", "--epohcs", 3, cwd=tmp_path)
    assert done.returncode == 2
    assert "--epohcs" in done.stderr
    assert "Perhaps you meant" in done.stderr
    assert "--epochs" in done.stderr


def test_a_run_that_is_not_there_begins_where_options_say_what_it_is_or_a_cluster_starts_it(tmp_path):
    resume = ["--resume", "--run-dir", str(tmp_path / "run")]
    for words in ([], ["--quiet", "--json-lines"], ["--cache-dir", "x"]):
        with pytest.raises(ValueError, match=r"run_dir: there is no run to resume in .*run; with options such as"):
            defaults([*words, *resume])
    for words in (["--data", "folder"], ["--batch_size", "3"], ["--model=mlp"], ["--coordinator", "first:29500"]):
        assert defaults([*resume, *words]).run == Config()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("epochs: 3\n")
    assert defaults(resume).run == Config(epochs=3, run_dir=str(tmp_path / "run"))


@pytest.mark.parametrize("size", [("32", "32"), ("32x32",), ("32,32",)])
def test_a_size_is_one_number(capsys, size):
    assert main(["train", "--image-size", *size]) == 2
    expected = "expected one number, both height and width"
    assert capsys.readouterr().err == f"purecnn: image_size: got {' '.join(size)}, {expected}\n"


def test_images_that_a_program_gave_are_no_kind_for_the_command(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("model: lenet\ndata: given\n")
    for words in (["--resume", "--run-dir", str(tmp_path)], ["--config", str(tmp_path / "config.yaml")]):
        assert main(["train", *words]) == 2
        assert "purecnn.train.fit(net, data, …) takes them again" in capsys.readouterr().err
    assert defaults(["--config", str(tmp_path / "config.yaml"), "--data", "digits"]).run.data == "digits"


def test_what_other_programs_call_an_option_is_no_name_of_one_here():
    names = {field.name.replace("_", "-") for field in dataclasses.fields(Config)}
    assert set(CALLED.values()) <= names
    assert names.isdisjoint(CALLED)
    assert names.isdisjoint(NOT_HERE | OF_FIT)
    with pytest.raises(ValueError, match="unknown option --num_workers: as many threads decode as there are"):
        defaults(["--num_workers", "4"])
    assert known_elsewhere("num_workers") == known_elsewhere("num_workers", in_shell=True)
    assert known_elsewhere("bs") == ", did you mean batch_size?"
    assert known_elsewhere("bs", in_shell=True) == ", did you mean --batch-size?"
    assert known_elsewhere("callbacks").startswith(": on_epoch")
    assert known_elsewhere("callbacks", in_shell=True) == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--early-stopping", "False"], "early_stopping: got the value 'False', expected --early-stopping or --no-ear"),
        (["--until_converged=1"], "until_converged: got the value '1', expected --until_converged or --no-until_conv"),
        (["--quiet", "yes"], "quiet: got the value 'yes', expected --quiet alone"),
    ],
)
def test_a_flag_takes_no_value(words, expected):
    with pytest.raises(ValueError, match=f"^{expected}"):
        defaults(words)
    assert defaults(["--no-early-stopping", "--quiet"]) == Train()
