import asyncio
import gc
import json
import os
import re
import shutil
import warnings

import jax
import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from purecnn import models
from purecnn.cli import main
from purecnn.train.run_folder import read_config, read_metrics, read_test
from purecnn.train.stopping import best_line
from purecnn.train.weights import load_weights
from tests.commands.running import FILES, PICTURES, QUICK, here, purecnn

OWN_CACHE = ("--cache-dir", "cache")  # where no other test has put programs


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """LeNet, two epochs, into a named folder."""
    folder = tmp_path_factory.mktemp("trained")
    options = ("--augmentation", "none", "--epochs", 2, "--seed", 5, "--run-dir", "run")
    return folder, purecnn("train", *options, *OWN_CACHE, cwd=folder)


def test_a_run_fills_its_folder_and_says_where_it_is(trained):
    folder, done = trained
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert set(os.listdir(folder / "run")) == FILES
    *_, results = done.stdout.split("results in ")
    *_, end = done.stdout.splitlines()
    assert re.fullmatch(
        r"test accuracy \S+% with the best weights; best: epoch \d, val \S+%; last: epoch 2, val .*", end
    )
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
    assert (first["step"], last["step"]) == (41, 82)
    assert last["train_loss"] < first["train_loss"]
    assert last["val_accuracy"] > 0.5
    assert last["val_loss"] < first["val_loss"]
    assert not [name for name in last if "test" in name]
    assert 0 < first["seconds"] < last["seconds"]
    assert min(last["images_per_second"], last["compile_seconds"]) > 0


def test_the_weights_load_into_the_model_and_predict_what_was_measured(trained):
    from purecnn.data.digits import read_digits

    net, test = models.lenet(10), read_digits().test
    like = {
        "params": jax.eval_shape(lambda: net.init(jax.random.key(0), (8, 8, 1))),
        "state": net.init_state((8, 8, 1)),
    }
    saved = load_weights(trained[0] / "run" / "best.safetensors", like)
    guesses = jax.jit(net.apply)(saved["params"], test.images).argmax(axis=1)
    found = read_test(trained[0] / "run")
    assert float((np.asarray(guesses) == test.labels).mean()) == found["test_accuracy"]
    assert (found["images"], found["epoch"]) == (360, best_line(read_metrics(trained[0] / "run"))["epoch"])


def test_its_config_runs_again_with_programs_from_disk_to_the_same_bits_as_lines_for_scripts(trained):
    folder, first = trained
    assert "being there from a run before" not in first.stdout
    done = here("train", "--config", "run/config.yaml", "--json-lines", "--run-dir", "again", *OWN_CACHE, cwd=folder)
    assert done.returncode == 0, done.stderr
    for name in ("weights.safetensors", "best.safetensors"):
        assert (folder / "run" / name).read_bytes() == (folder / "again" / name).read_bytes()
    *lines, last = map(json.loads, done.stdout.splitlines())
    assert lines == read_metrics(folder / "again")
    test = read_test(folder / "run")
    told = {"test_loss": test["test_loss"], "test_accuracy": test["test_accuracy"]}
    told |= {"run_dir": "again", "steps": 82, "interrupted": False, "best_epoch": best_line(lines)["epoch"]}
    assert last == told
    assert lines[0]["compile_seconds"] < read_metrics(folder / "run")[0]["compile_seconds"]
    assert read_config(folder / "again") == read_config(folder / "run")


def test_options_win_over_the_file_and_the_whole_config_can_be_seen_first(trained):
    done = here("train", "--config", "run/config.yaml", "--epochs", 7, "--print-config", cwd=trained[0])
    assert done.returncode == 0, done.stderr
    fields = yaml.safe_load(done.stdout)
    assert (fields["epochs"], fields["seed"], fields["loss"]) == (7, 5, "softmax_cross_entropy")


def test_a_finished_run_resumed_stays_as_it_is(trained):
    folder, _ = trained
    before = {name: (folder / "run" / name).read_bytes() for name in FILES - PICTURES - {"checkpoints"}}
    # As a cluster starts it again and again: what was filled in is the same.
    done = here("train", "--run-dir", "run", "--resume", "--precision", "auto", *OWN_CACHE, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "resuming after step 82 of 82\n" in done.stdout
    assert "nothing is left to train: all epochs are done; more epochs go on with it\n" in done.stdout
    assert "being there from a run before" in done.stdout
    assert {name: (folder / "run" / name).read_bytes() for name in before} == before


def test_best_weights_that_are_gone_are_named(trained):
    folder, _ = trained
    shutil.copytree(folder / "run", folder / "gone")
    (folder / "gone/best.safetensors").unlink()
    done = here("train", "--run-dir", "gone", "--resume", *OWN_CACHE, cwd=folder)
    assert done.returncode == 1
    best = best_line(read_metrics(folder / "run"))["epoch"]
    expected = f"there is no such file, with the weights of epoch {best}; put it back"
    assert done.stderr.splitlines()[-1] == f"purecnn: gone/best.safetensors: {expected}"


def test_resuming_with_other_options_is_refused_with_the_difference(trained):
    done = here("train", "--run-dir", "run", "--resume", "--model", "mlp", cwd=trained[0])
    assert done.returncode == 2
    assert done.stderr == "purecnn: model: got 'mlp', expected 'lenet', as the run in run has it\n"
    done = here("train", "--run-dir", "run", "--resume", "--batch-size", 64, cwd=trained[0])  # not all in one batch
    assert done.returncode == 2
    assert "checkpoints: of another config: batch_size: got 64, expected 32, as when it was saved" in done.stderr
    done = here("train", "--run-dir", "run", "--resume", "--epochs", 1, cwd=trained[0])
    assert done.returncode == 2
    assert done.stderr.startswith("purecnn: epochs: got 1, expected at least 2, which the run has done\n")


def test_a_taken_folder_is_refused_and_left_alone(trained):
    folder, _ = trained
    before = {path: path.read_bytes() for path in (folder / "run").rglob("*") if path.is_file()}
    done = here("train", "--epochs", 1, "--run-dir", "run", cwd=folder)
    assert done.returncode == 2
    how = "resume it with --resume, or name a new folder"
    refusal = f"run_dir: run exists already and is left as it is; {how}"
    assert done.stderr == f"purecnn: {refusal}\n"
    assert {path: path.read_bytes() for path in (folder / "run").rglob("*") if path.is_file()} == before


def test_a_non_finite_loss_ends_the_run_and_keeps_the_last_good_weights(tmp_path):
    absurd = (*QUICK, "--loss", "softmax_cross_entropy", "--learning-rate", "1e38")
    done = here("train", *absurd, "--epochs", 3, "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("purecnn: the loss became ")
    step = int(done.stderr.split(" at step ")[1].split(";")[0])
    assert 1 <= step <= 3 * 41
    saved = load_file(tmp_path / "run" / "weights.safetensors")
    assert saved
    assert all(np.isfinite(array).all() for array in saved.values())


def test_without_a_folder_the_next_number_is_taken_and_until_converged_stops_early(tmp_path):
    (tmp_path / "runs" / "mlp-digits-1").mkdir(parents=True)
    stop = ("--until-converged", "--patience", 1, "--tolerance", 0.9)
    done = here("train", *QUICK, "--epochs", 9, *stop, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "converged: 1 epochs in a row without progress" in done.stdout
    folder = tmp_path / "runs" / "mlp-digits-2"
    assert set(os.listdir(folder)) == FILES
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2
    assert read_config(folder).loss == "squared_error"


@pytest.mark.slow
def test_what_the_page_lists_of_updates_and_schedules_is_taken_together(tmp_path):
    options = ("--optimizer", "adamw", "--learning-rate", 0.003, "--weight-decay", 0.01, "--clip-norm", 1)
    options += ("--schedule", "step", "--warmup-epochs", 0.5, "--accumulate", 3, "--precision", "bfloat16")
    options += ("--loss", "softmax_cross_entropy", "--label-smoothing", 0.1, "--augmentation", "crop+cutout")
    options += ("--early-stopping", "--patience", 1, "--tolerance", 0.9, "--epochs", 4)
    done = purecnn("train", "--model", "mlp", *options, "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, *_, last = read_metrics(tmp_path / "run")
    assert last["train_loss"] < first["train_loss"]
    assert last["epoch"] < 4
    assert "in a row without progress" in done.stdout


def test_a_recipe_is_what_the_command_line_leaves_open(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))  # which the command sets, as it does showwarning
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    options = ("--data-dir", "imagenet", "--epochs", "3", "--print-config")
    assert main(("train", "--recipe", "imagenet", *options)) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    chosen = {name: config[name] for name in ("model", "data_dir", "batch_size", "epochs", "augmentation", "precision")}
    assert list(chosen.values()) == ["resnet50", "imagenet", 1024, 3, "resized_crop+flip", "bfloat16"]
    assert main(("train", "--recipe", "imagenett", *options)) == 2
    assert "imagenet" in capsys.readouterr().err
    (tmp_path / "config.yaml").write_text("epochs: 2\n")
    assert main(("train", "--recipe", "imagenet", "--config", str(tmp_path / "config.yaml"))) == 2
    assert "got a file together with --recipe" in capsys.readouterr().err


def test_of_several_writes_that_fail_at_once_only_one_line_is_said(tmp_path, monkeypatch, caplog):
    """On a full disk the others are tasks whose errors nothing asks for: asyncio logs them, each with its traceback."""

    def fit(*_, **__):
        async def write():
            raise ValueError("RESOURCE_EXHAUSTED: No space left on device")

        async def save():
            writes = [asyncio.create_task(write()) for _ in range(2)]
            await writes[0]

        try:
            asyncio.run(save())
        except ValueError as error:
            reason = str(error)
        gc.collect()
        raise OSError(reason)

    monkeypatch.setattr("purecnn.train.fitting.fit", fit)
    done = here("train", *QUICK, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "purecnn: RESOURCE_EXHAUSTED: No space left on device\n")
    assert not caplog.records
