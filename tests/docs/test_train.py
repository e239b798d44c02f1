"""The page about training shows what the commands print, digits aside, and its Python runs."""

import contextlib
import io
import re
import shutil
import warnings

import jax
import pytest

from purecnn.cli import main
from purecnn.data.files import evenly_spaced
from purecnn.data.readers import read
from tests.commands.running import purecnn
from tests.data.making import declaring, write_folder
from tests.docs.pages import DOCS, blocks

PAGE = DOCS / "train.md"
SHOWN = {re.sub(r"[\d,.]*\d", "#", line.strip()) for line in PAGE.read_text(encoding="utf-8").splitlines()}


def not_shown(said):
    """The lines of what was printed that the page does not have, whatever the numbers and the machine."""
    lines = [re.sub(r"[\d,.]*\d", "#", line.strip()) for line in said.splitlines()]
    return [line for line in lines if line not in SHOWN and not line.startswith(("hardware: ", "compiled in "))]


def test_a_run_and_its_evaluation_print_what_the_page_shows(tmp_path, monkeypatch, capsys):
    done = purecnn("train", "--epochs", 3, "--run-dir", "first", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") > 15
    assert not_shown(done.stdout) == []
    refused = purecnn("train", "--run-dir", "first", "--resume", "--model", "mlp", cwd=tmp_path)
    assert not_shown(refused.stderr.replace("first", "third")) == []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # the command sets it for its process
    assert main(["train", "--run-dir", "frist", "--resume"]) == 2
    assert not_shown(capsys.readouterr().err.replace("frist", "thrid").replace("first", "third")) == []
    done = purecnn("eval", "first", cwd=tmp_path)
    head = [
        line for line in done.stdout.splitlines() if "top-" in line or "precision" in line or "worst images" in line
    ]
    assert len(head) == 3
    assert not_shown("\n".join(head).replace("in first/", "in runs/lenet-digits-1/")) == []


def test_files_that_cannot_be_read_are_told_of_as_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # the command sets it for its process
    write_folder(tmp_path / "pets", classes=("cat", "dog", "fox", "owl"), each=12, side=(40, 32))
    show = ["data", "show", "--data", "folder", "--data-dir", "pets", "--image-size", "32"]
    assert main(show) == 0
    assert not_shown(capsys.readouterr().out) == []
    (tmp_path / "pets" / "owl" / "3.png").write_text("no image")
    assert main(show) == 2
    assert not_shown(capsys.readouterr().err) == []
    (tmp_path / "pets" / "cat" / "0.xmp").write_text("<?xml version='1.0'?>")
    assert main([*show, "--skip-unreadable"]) == 0
    said = capsys.readouterr().out
    assert said.count("\n") == 6
    assert not_shown(said) == []
    (tmp_path / "pets" / "cat" / "0.xmp").unlink()
    declaring(tmp_path / "pets" / "owl" / "3.png", 9000, 0)
    assert main(show) == 2
    assert not_shown(capsys.readouterr().err) == []


@pytest.mark.filterwarnings("default")
def test_likely_mistakes_are_warned_of_as_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    write_folder(tmp_path / "pets" / "train", each=12)
    write_folder(tmp_path / "pets" / "test", each=1)
    for number in range(2):
        shutil.copy(
            tmp_path / "pets" / "train" / "cat" / f"{number}.png",
            tmp_path / "pets" / "test" / "cat" / f"{7 + number}.png",
        )
    shutil.copy(tmp_path / "pets" / "train" / "cat" / "3.png", tmp_path / "pets" / "train" / "dog" / "50.png")
    assert main(["data", "show", "--data", "folder", "--data-dir", "pets"]) == 0
    said = capsys.readouterr().err
    assert said.count("purecnn: warning: pets: ") == said.count("\n") == 2
    assert not_shown(said) == []


def test_a_stream_and_a_damaged_image_print_what_the_page_shows(tmp_path):
    write_folder(tmp_path / "photographs", each=200, side=(16, 20), suffix=".jpg")
    images = read("folder", str(tmp_path / "photographs"), image_size=8, streaming="always").train.images
    # An owl that is not read before the run, and whose batch is not the first.
    later = sorted(set(range(len(images))) - set(evenly_spaced(len(images)).tolist()))[-2]
    damaged = images.path(int(images.numbers[later]))
    name = damaged.relative_to(tmp_path / "photographs").as_posix()
    damaged.write_bytes(damaged.read_bytes()[:-50])
    options = ("--data", "folder", "--data-dir", "photographs", "--image-size", 8, "--streaming", "always")
    options = (*options, "--augmentation", "resized_crop+flip", "--batch-size", 8, "--steps-per-dispatch", 1)
    done = purecnn("train", "--model", "mlp", *options, "--epochs", 1, "--run-dir", "photos", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stdout.count("\n") == 5
    # The page's set is larger.
    assert not_shown(done.stdout.replace("mlp on", "small on").replace("kB of pixels", "GB of pixels")) == []
    assert not_shown(done.stderr) == []
    assert name in done.stderr


def test_a_line_that_the_page_lacks_is_noticed():
    assert not_shown("epoch 1/3  loss 9.9  train 1.00%  test 2.00%  3 images/s\n") != []


def test_the_example_in_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = (block.text for block in blocks(PAGE) if block.language == "python" and "fit(" in block.text)
    assert example.count("\n") <= 18
    names, said = {}, io.StringIO()
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"), contextlib.redirect_stdout(said):
        exec(compile(example, "train.md", "exec"), names)
    assert names["logits"].shape == (5, 10)
    assert [(tmp_path / run / "best.safetensors").is_file() for run in ("arrays", "batches")] == [True, True]
    assert said.getvalue().count("epoch 2/2") == 2
