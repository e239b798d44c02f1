import pytest

from tests.commands.running import here


@pytest.mark.parametrize(
    ("option", "choices"),
    [("loss", "softmax_cross_entropy, squared_error"), ("recipe", "imagenet")],
)
def test_one_of_several_names_is_asked_for_and_none_is_no_name(tmp_path, monkeypatch, option, choices):
    monkeypatch.setenv("COLUMNS", "200")
    done = here("train", f"--{option}", "mse", cwd=tmp_path)
    assert done.returncode == 2
    assert f"got 'mse', expected one of {choices} " in done.stderr
    shown = here("train", "--help", cwd=tmp_path).stdout
    assert f"--{option} {{{choices.replace(', ', ',')}}}" in shown


def test_images_that_a_program_gave_are_no_choice_of_a_command(tmp_path):
    assert "given" not in here("train", "--data", "none", cwd=tmp_path).stderr


def test_none_is_taken_where_a_config_says_otherwise(tmp_path):
    (tmp_path / "mine.yaml").write_text("loss: squared_error\nmodel: lenet\n")
    for more, loss in ((), "squared_error"), (("--loss", "None"), "softmax_cross_entropy"):
        done = here("train", "--config", "mine.yaml", *more, "--print-config", cwd=tmp_path)
        assert f"loss: {loss}\n" in done.stdout


@pytest.mark.parametrize(
    ("option", "word", "expected", "kind"),
    [
        ("batch-size", "auto", "an integer", "INT"),
        ("image-size", "auto", "an integer", "INT"),
        ("learning-rate", "fast", "a number", "FLOAT"),
        ("clip-norm", "1,0", "a number", "FLOAT"),
    ],
)
def test_of_a_number_the_error_says_what_is_expected(tmp_path, monkeypatch, option, word, expected, kind):
    monkeypatch.setenv("COLUMNS", "200")
    done = here("train", f"--{option}", word, cwd=tmp_path)
    assert done.returncode == 2
    assert f"--{option}: got '{word}', expected {expected} " in done.stderr
    assert f"--{option} {kind} " in here("train", "--help", cwd=tmp_path).stdout
