"""The command as a user runs it: a process of its own, in a folder of its own."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from purecnn import models
from purecnn.cli import main
from purecnn.train.run_folder import read_config
from purecnn.train.weights import load_weights
from verify import canary

FILES = {"config.yaml", "metrics.jsonl", "weights.safetensors", "curves.png", "confusion.png"}


def purecnn(*arguments, cwd, module="purecnn"):
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """LeNet, two epochs, into a named folder."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, purecnn("train", "--epochs", 2, "--seed", 5, "--run-dir", "run", cwd=folder)


def test_a_run_fills_its_folder_and_says_where_it_is(trained):
    folder, done = trained
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert set(os.listdir(folder / "run")) == FILES
    *_, results = done.stdout.split("results in ")
    assert results.startswith("run/\n")
    assert all(name in results for name in FILES)
    for words in ("21,386 parameters", "hardware: ", "compiled in ", "epoch 2/2", " images/s", "test accuracy "):
        assert words in done.stdout
    assert "\x1b" not in done.stdout  # no colours or cursor movements where there is no terminal


def test_the_config_is_whole_and_loads(trained):
    config = read_config(trained[0] / "run")
    assert (config.model, config.epochs, config.seed) == ("lenet", 2, 5)
    assert config.loss == "softmax_cross_entropy"
    assert set(yaml.safe_load((trained[0] / "run" / "config.yaml").read_text())) >= {"optimizer", "batch_size"}


def test_metrics_are_a_line_per_epoch_and_show_learning(trained):
    text = (trained[0] / "run" / "metrics.jsonl").read_text()
    first, last = (json.loads(line) for line in text.splitlines())
    assert (first["epoch"], last["epoch"]) == (1, 2)
    assert (first["step"], last["step"]) == (45, 90)
    assert last["train_loss"] < first["train_loss"]
    assert last["test_accuracy"] > 0.5
    assert 0 < first["seconds"] < last["seconds"]
    assert min(last["images_per_second"], last["compile_seconds"]) > 0


def test_the_weights_load_into_the_model_and_predict_what_was_measured(trained):
    from purecnn.data.digits import read_digits

    net, test = models.lenet(10), read_digits().test
    like = {
        "params": jax.eval_shape(lambda: net.init(jax.random.key(0), (8, 8, 1))),
        "state": net.init_state((8, 8, 1)),
    }
    saved = load_weights(trained[0] / "run" / "weights.safetensors", like)
    guesses = jax.jit(net.apply)(saved["params"], test.images).argmax(axis=1)
    last = json.loads((trained[0] / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert float((np.asarray(guesses) == test.labels).mean()) == last["test_accuracy"]


def test_the_same_seed_gives_the_same_bits(trained):
    folder, _ = trained
    same = purecnn("train", "--epochs", 2, "--seed", 5, "--run-dir", "again", cwd=folder, module="purecnn.cli")
    assert same.returncode == 0, same.stderr
    assert (folder / "run/weights.safetensors").read_bytes() == (folder / "again/weights.safetensors").read_bytes()


def test_a_taken_folder_is_refused_and_left_alone(trained):
    folder, _ = trained
    before = {name: (folder / "run" / name).read_bytes() for name in FILES}
    done = purecnn("train", "--epochs", 1, "--run-dir", "run", cwd=folder)
    assert done.returncode == 2
    assert done.stderr == "purecnn: run_dir: run exists already and is left as it is; name a new folder\n"
    assert {name: (folder / "run" / name).read_bytes() for name in FILES} == before


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_good_weights(tmp_path):
    absurd = ("--model", "mlp", "--loss", "softmax_cross_entropy", "--learning-rate", "1e38")
    done = purecnn("train", *absurd, "--epochs", 3, "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("purecnn: the loss became ")
    step = int(done.stderr.split(" at step ")[1])
    assert 1 <= step <= 3 * 45
    saved = load_file(tmp_path / "run" / "weights.safetensors")
    assert saved
    assert all(np.isfinite(array).all() for array in saved.values())


def test_without_a_folder_the_next_number_is_taken_and_until_converged_stops_early(tmp_path):
    (tmp_path / "runs" / "mlp-digits-1").mkdir(parents=True)
    stop = ("--until-converged", "--patience", 1, "--tolerance", 0.9)
    done = purecnn("train", "--model", "mlp", "--epochs", 9, *stop, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "converged: 1 epochs in a row without progress" in done.stdout
    folder = tmp_path / "runs" / "mlp-digits-2"
    assert set(os.listdir(folder)) == FILES
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2
    assert read_config(folder).loss == "squared_error"


def test_summary_prints_the_lectures_columns(tmp_path):
    done = purecnn("summary", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [word for word in lines[2].split("  ") if word] == [
        "layer", "units", "weights", "biases", "FLOPs", "residual bytes",
    ] or lines[2].split() == ["layer", "units", "weights", "biases", "FLOPs", "residual", "bytes"]  # fmt: skip
    first = next(line for line in lines if line.startswith("conv2d"))
    assert first.split()[1:4] == ["28×28×6", "5×5×1×6", "1×6"]


def test_verify_is_passed_on_with_its_arguments_and_exit_code(tmp_path):
    done = purecnn("verify", "purecnn:relu", "f32[3,4]", "--cases", 0, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ": RIGHT" in done.stdout
    done = purecnn("verify", "no_such_rule", cwd=tmp_path)
    assert done.returncode == 2
    assert "no rule of the suite is called 'no_such_rule'" in done.stderr


def test_doctor_says_what_computes_and_that_it_computes_right(tmp_path):
    done = purecnn("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in (f"JAX {jax.__version__}", "jaxlib ", "devices: ", "XLA_FLAGS: ", "this backend computes right"):
        assert words in done.stdout


def test_doctor_finds_a_sick_backend_and_names_the_repair(monkeypatch, capsys):
    sick = canary.Canary("a product", float("nan"), 0.0, canary.REPAIR)
    monkeypatch.setattr(canary, "canaries", lambda: (sick,))
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "WRONG" in said
    assert "--xla_cpu_experimental_ynn_fusion_type=-reduce" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "--epochs", 0), "epochs: got 0, expected an integer, at least 1"),
        (("train", "--model", "lenett"), "lenett"),
        (("train", "--epoch", 3), "--epochs"),
        (("train", "--batch-size", 5000), "batch_size: got 5000, expected at most 1437"),
        (("train", "--model", "alexnet"), "alexnet: layer"),
        (("summary", "--input-shape", 0, 8, 1), "input_shape: got (0, 8, 1), expected three integers"),
        (("summary", "--model", "alexnet", "--input-shape", 8, 8, 3), "alexnet: layer"),
        (("doctor", "twice"), "twice"),
        (("trian",), "got trian, did you mean train?"),
        (("frobnicate",), "expected one of train, "),
        ((), "got no command, expected one of train, "),
    ],
)
def test_what_cannot_be_done_is_said_without_a_traceback_and_nothing_is_written(tmp_path, arguments, words):
    done = purecnn(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


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
