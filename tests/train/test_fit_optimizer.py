"""An optimiser that a program made, `purecnn.train.fit(…, optimizer=…)`, against the same one by its name."""

from typing import Any

import numpy as np
import optax
import pytest

from purecnn.train.config import Config
from purecnn.train.fitting import fit
from purecnn.train.run_folder import read_config
from tests.commands.running import here
from tests.train.test_fitting import NET, QUIET, TRAIN

pytestmark = pytest.mark.usefixtures("a_users_jax", "users_errors", "runs_compiled_quickly")
HOW: dict[str, Any] = QUIET | {"learning_rate": Config().learning_rate, "epochs": 2}


def weights(run):
    return (run.folder / "weights.safetensors").read_bytes()


def test_it_trains_as_the_same_one_by_its_name_and_clips_freezes_and_averages_alike(tmp_path):
    named = {"optimizer": "adam", "schedule": "constant", "weight_decay": 0.0}
    both: dict[str, Any] = {"clip_norm": 0.1, "ema": 0.9, "accumulate": 2, "freeze": "1", **HOW}
    by_name = fit(NET, TRAIN, run_dir=str(tmp_path / "named"), **both, **named)
    own = fit(NET, TRAIN, run_dir=str(tmp_path / "own"), **both, optimizer=optax.adam(Config().learning_rate))
    assert read_config(own.folder).optimizer == "given"
    assert weights(own) == weights(by_name)


def test_a_run_with_it_is_resumed_with_it_and_only_with_it(tmp_path):
    how: dict[str, Any] = {"run_dir": str(tmp_path / "run"), **HOW}
    whole = fit(NET, TRAIN, **how | {"run_dir": str(tmp_path / "whole"), "epochs": 3}, optimizer=optax.lion(1e-3))
    fit(NET, TRAIN, **how, optimizer=optax.lion(1e-3))
    more = how | {"epochs": 3, "resume": True}
    with pytest.raises(ValueError, match="of another config: optimizer: got 'sgd', expected 'given'"):
        fit(NET, TRAIN, **more)
    with pytest.raises(ValueError, match="of another model or other data: opt"):
        fit(NET, TRAIN, **more, optimizer=optax.sgd(1e-3))
    assert weights(fit(NET, TRAIN, **more, optimizer=optax.lion(1e-3))) == weights(whole)


def test_the_command_says_that_a_program_gave_it(tmp_path):
    images, labels = TRAIN
    np.savez(tmp_path / "mine.npz", images=images, labels=labels)
    how: dict[str, Any] = HOW | {"epochs": 1, "run_dir": str(tmp_path / "run")}
    fit("mlp", tmp_path / "mine.npz", **how, optimizer=optax.sgd(0.1))
    done = here("train", "--run-dir", how["run_dir"], "--resume", "--epochs", "2", cwd=tmp_path)
    assert done.returncode == 2
    assert "optimizer: a program gave the run's own; purecnn.train.fit(…, optimizer=…) takes it again" in done.stderr
    refused = here("train", "--optimizer", "given", cwd=tmp_path).stderr
    assert "Expected one of (" in refused
    assert refused.count("given") == 1  # what came


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": optax.adam}, r"expected one of sgd, nesterov, .*, or an optimiser of optax; call it: adam\(…\)"),
        ({"optimizer": optax.MultiSteps(optax.sgd(0.1), 2)}, r"; its gradient_transformation\(\) is one"),
        ({"optimizer": 0.1}, "optimizer: got 0.1, expected one of sgd, nesterov, .*, or an optimiser of optax$"),
        ({"optimizer": optax.contrib.reduce_on_plateau()}, "^optimizer: TypeError: .* missing .* argument: 'value'"),
        ({"optimizer": optax.sgd(0.1), "learning_rate": 0.3}, "learning_rate: got 0.3, which changes nothing without"),
        ({"config": Config(optimizer="given")}, "^optimizer: a program gave the run's own"),
    ],
)
def test_mistakes_are_named(tmp_path, options, message):
    with pytest.raises((ValueError, TypeError, UserWarning), match=message):
        fit(NET, TRAIN, run_dir=str(tmp_path / "run"), **HOW | options)
    assert not (tmp_path / "run").exists()
