import dataclasses
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml

from purecnn.train.config import Config, resolved
from purecnn.train.run_folder import config_text

pytestmark = pytest.mark.usefixtures("users_errors")


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("model", "lenett", "one of lenet, alexnet, alexnet_one_tower, cifar_cnn, mlp, resnet_cifar, resnet18"),
        ("model", "module.function", "one of lenet, "),
        ("val_share", 0.8, "a number of at least 0 and below 0.8"),
        ("data", "mnits", "one of digits, mnist"),
        ("optimizer", "SGD", "one of sgd, nesterov, adam, adamw, "),
        ("schedule", None, "one of constant, cosine, linear, step"),
        ("loss", "hinge", "one of softmax_cross_entropy, squared_error"),
        ("epochs", 0, "an integer, at least 1"),
        ("epochs", "3", "an integer, at least 1"),
        ("epochs", True, "an integer, at least 1"),
        ("epochs", 2.0, "an integer, at least 1"),
        ("batch_size", -1, "an integer, at least 1"),
        ("learning_rate", 0.0, "a finite number above 0"),
        ("learning_rate", float("inf"), "a finite number above 0"),
        ("learning_rate", float("nan"), "a finite number above 0"),
        ("learning_rate", "fast", "a finite number above 0"),
        ("momentum", 1.0, "a number of at least 0 and below 1"),
        ("weight_decay", -0.1, "a finite number, at least 0"),
        ("patience", 0, "an integer, at least 1"),
        ("tolerance", 1.5, "a number of at least 0 and below 1"),
        ("steps_per_dispatch", 0, "an integer, at least 1"),
        ("seed", -1, "an integer from 0"),
        ("seed", 2**32, "an integer from 0"),
        ("until_converged", "yes", "true or false"),
        ("run_dir", "", "a path or None"),
        ("early_stopping", 1, "true or false"),
        ("deterministic", "on", "true or false"),
        ("clip_norm", 0.0, "a finite number above 0 or None"),
        ("image_size", 0, "an integer, at least 1 or None"),
        ("warmup_epochs", -1.0, "a finite number, at least 0"),
        ("precision", "float16", "one of auto, float32, bfloat16"),
        ("augmentation", "flip+flop", "none or some of"),
        ("augmentation", ["flip", "crop"], "none or some of"),
        ("augmentation", np.ones(2), "none or some of"),
        ("schedule", np.ones(2), "one of constant"),
        ("augmentation", "flip+resized_crop", "resized_crop to be the first"),
        ("crop_area", 0.0, "a number above 0, at most 1"),
        ("streaming", "maybe", "one of auto, always, never, cached"),
        ("checkpoint_every", -1.0, "a finite number, at least 0"),
        ("accumulate", 0, "an integer, at least 1"),
        ("data_dir", "", "a path or None"),
        ("run_dir", 3, "a path or None"),
    ],
)
def test_a_wrong_value_is_refused_with_field_value_and_what_was_expected(field, value, expected):
    with pytest.raises(ValueError, match=field) as caught:
        Config(**{field: value})
    assert str(caught.value).startswith(f"{field}: got {value!r}, expected {expected}")


def test_a_random_key_is_no_seed():
    with pytest.raises(ValueError, match=r"^seed: got Array.*, expected an integer from 0"):
        Config(seed=jax.random.key(0))  # type: ignore[reportArgumentType]


def test_the_loss_of_the_lecture_for_the_net_of_the_lecture():
    assert resolved(Config(model="mlp")).loss == "squared_error"
    assert resolved(Config(model="lenet")).loss == "softmax_cross_entropy"
    chosen = Config(model="mlp", loss="softmax_cross_entropy", precision="float32")
    assert resolved(chosen) == chosen


def test_resolving_changes_nothing_else():
    config = Config(epochs=3, seed=9)
    assert dataclasses.replace(resolved(config), loss=None, precision="auto") == config


@pytest.mark.parametrize(
    ("platform", "capability", "expected"),
    [
        ("cpu", None, "float32"),
        ("tpu", None, "bfloat16"),
        ("gpu", "7.5", "float32"),
        ("gpu", "8.0", "bfloat16"),
        ("gpu", "10.0", "bfloat16"),
        ("gpu", "gfx90a", "float32"),
    ],
)
def test_passes_are_in_bfloat16_where_the_hardware_multiplies_in_it(monkeypatch, platform, capability, expected):
    device = SimpleNamespace(platform=platform, compute_capability=capability)
    monkeypatch.setattr(jax, "devices", lambda: [device])
    assert resolved(Config()).precision == expected
    assert resolved(Config(precision="float32")).precision == "float32"


def test_numbers_of_numpy_and_paths_are_as_they_are_written_in_a_file(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    numbers = {"epochs": np.int64(3), "learning_rate": np.float32(0.5), "seed": jnp.uint32(7), "ema": np.array(0.5)}
    made = Config(**numbers, early_stopping=np.True_, run_dir=Path("a/b"), data_dir="~/pets", labels=Path("~/a.csv"))
    assert made == Config(epochs=3, learning_rate=0.5, seed=7, ema=0.5, early_stopping=True, run_dir="a/b",
                          data_dir="/home/me/pets", labels="/home/me/a.csv")  # fmt: skip
    assert yaml.safe_load(config_text(made))["epochs"] == 3
    assert Config(run_dir="~").run_dir == "~"
