import importlib
import re

import pytest

from purecnn import cli
from purecnn.commands import hints, refuse_misplaced
from tests.commands.running import here

CALLS = {
    ("test", "run"): "got test, did you mean eval?",
    ("infer", "run"): "got infer, did you mean predict?",
    ("train", "-epochs", 5): "got -epochs, expected --epochs",
    ("train", "--batch-size", 8, "-run_dir", "a"): "got -run-dir, expected --run-dir",
    ("export", "run", "-out", "a"): "got -out, expected --out",
    (
        "train",
        "--resume-from",
        "run",
    ): "got the unknown option --resume-from: --run-dir RUN --resume goes on with a run",
    ("train", "--balanced"): "got the unknown option --balanced, did you mean --class-weights?",
    (
        "predict",
        "--model",
        "run",
        "pets",
    ): "got --model, expected RUN, the folder of a run or a file of weights, without",
    ("predict", "run", "pets", "--output=x.csv"): "got --output, expected none: all goes to stdout, with --json for",
    ("eval", "run", "--test"): "got --test, expected --split test",
    ("eval", "--run_dir", "run"): "got --run-dir, expected RUN, the folder of a run",
    (
        "summary",
        "--model",
        "lenet",
        "--image-size",
        32,
    ): "got --image-size, expected --input-shape HEIGHT WIDTH CHANNELS",
    ("report", "run", "--output", "a"): "got --output, expected --out FILE",
    ("train", "--data", r"C:\pets"): r"data: got a path, expected its kind: --data folder --data-dir 'C:\pets'",
    ("train", "data=pets", "epochs=3"): "got data=pets, expected --data pets\n",
    ("train", "imgsz=64"): "got imgsz=64, did you mean --image-size?\n",
    ("train", "device=0"): "got device=0: every device that JAX finds is used",
    ("predict", "model=run", "source=pets"): "got model=run, expected RUN, the folder of a run or a file of weights",
    (
        "train",
        "--data",
        "sets/pets.yaml",
    ): "data: got a path, expected a folder of images, --data folder --data-dir DIR; "
    "--config sets/pets.yaml takes a run's options\n",
    ("train", "--data", "sets/a.csv"): "data: got a path, expected a folder of images and its table: --data folder "
    "--data-dir DIR --labels sets/a.csv\n",
    (
        "train",
        "--data",
        "sets/a.tar.gz",
    ): "data: got a path, expected a folder of images: --data folder --data-dir DIR; unpack the archive a.tar.gz\n",
    (
        "train",
        "--data",
        "sets/a.parquet",
    ): "data: got a path, expected a folder of images: --data folder --data-dir DIR; "
    "Parquet is not read, such as a.parquet: purecnn.train.fit takes batches",
    ("train", "--data", "sets/cifar-10-binary.tar.gz"): "data: got a path, expected a folder of images: --data folder "
    "--data-dir DIR; --data cifar10 reads cifar-10-binary.tar.gz\n",
    ("train", "--data", "sets/a.png"): "data: got a path, expected a folder of images: --data folder --data-dir DIR\n",
    ("train", "--data", "sets/a.jsonl"): "data: got a path, expected a folder of images and its table, as CSV: --data",
    (
        "train",
        "--data",
        "./best.safetensors",
    ): "data: got a path, expected a folder of images: --data folder --data-dir "
    "DIR; --init-weights begins with weights, --model names a net\n",
    ("train", "--data", "./nets.py"): "data: got a path, expected a folder of images: --data folder --data-dir DIR; "
    "--model MODULE:FUNCTION is a net of ./nets.py\n",
    ("train", "https://x.org/pets.zip"): "data: got a path, expected a file or folder of this machine; fetch it first",
    ("train", "--test-size", 0.2): "got the unknown option --test-size: folders train, val and test are taken as they",
    ("train", "--cfg", "a.yaml"): "got the unknown option --cfg: --config takes a file of options\n",
    ("eval", "run", "--confusion"): "got --confusion, expected none: all that is known is printed",
    ("predict", "run", "a.png", "--out-dir", "b"): "got --out-dir, expected none: all goes to stdout",
    ("train", "--data=sets/a.npz"): "data: got a path, expected its kind: --data npz --data-dir sets/a.npz",
}


@pytest.mark.parametrize("call", CALLS)
def test_what_other_tools_call_otherwise_is_one_line_that_says_what_is_meant(tmp_path, call):
    done = here(*call, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"purecnn: {CALLS[call]}")
    assert done.stderr.count("\n") == 1


def test_a_folder_in_the_place_of_a_run_or_a_run_in_that_of_data_is_told(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("model: lenet")
    (tmp_path / "pets").mkdir()
    calls = {
        (
            "train",
            "run",
        ): "data: got a path, expected the data's kind; run is a run: --run-dir run --resume goes on with",
        (
            "train",
            "--resume",
            "run",
        ): "run_dir: got none, expected the folder of the run to resume: --run-dir run --resume",
        (
            "export",
            "run",
            "net.stablehlo",
        ): "out: got net.stablehlo behind RUN, expected --out net.stablehlo\n",
        ("report", "run", "a page.html"): "out: got a page.html behind RUN, expected --out 'a page.html'\n",
        (
            "predict",
            "pets",
        ): "images: got none behind pets, expected files or folders; purecnn predict RUN pets has a net",
    }
    for name in ("epochs=5", "lr=1"):  # which says what is in it, as others call their runs
        done = here("train", "--print-config", "--run-dir", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    for call, said in calls.items():
        done = here(*call, cwd=tmp_path)
        assert (done.returncode, done.stderr.startswith(f"purecnn: {said}")) == (2, True), done.stderr


@pytest.mark.parametrize("words", [("help",), ("help", "export"), ("export", "help"), ("version",)])
def test_help_and_version_are_found_without_dashes(tmp_path, words):
    done = here(*words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search("purecnn [0-9.]+$|purecnn COMMAND|purecnn export", done.stdout)


def test_every_hint_is_of_an_option_that_the_subcommand_does_not_have():
    assert {*hints.SUBCOMMANDS.values()} <= cli.COMMANDS.keys()
    assert hints.SUBCOMMANDS.keys().isdisjoint(cli.COMMANDS)
    for name, known in hints.OPTIONS.items():
        module, options = cli.COMMANDS[name][0].split(":")
        own = hints._names(getattr(importlib.import_module(f"purecnn.commands.{module}"), options))
        assert own.isdisjoint(option.replace("-", "_") for option in known), name


def test_parts_of_a_path_and_many_paths_are_told_what_to_write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("my pets", "pets/cat", "pets/dog"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(ValueError, match=r"^data_dir: got 2 words, expected one: --data-dir 'my pets'$"):
        refuse_misplaced("train", ["--data-dir", "my", "pets", "--epochs", "1"])
    with pytest.raises(ValueError, match=r"^data_dir: got 2 paths, expected one: --data_dir pets has all$"):
        refuse_misplaced("data", ["show", "--data_dir", "pets/cat", "pets/dog"])
    for name, words in (
        ("train", ["--data-dir", "pets", "--run-dir", "x"]),
        ("eval", ["--data-dir", "pets", "my pets"]),
    ):
        refuse_misplaced(name, words)
