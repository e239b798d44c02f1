"""A net and data of one's own, from Python: each way of giving them, and what is kept of them."""

import functools
import io
import signal
import sys
from collections.abc import Iterable

import jax
import numpy as np
import pytest
from rich.console import Console

import purecnn
from purecnn import models, nn
from purecnn.data.digits import read_digits
from purecnn.data.readers import read
from purecnn.results.evaluation import evaluate
from purecnn.results.trained import load_trained
from purecnn.train.config import Config
from purecnn.train.fitting import as_dataset, fit
from purecnn.train.run_folder import read_config, read_metrics
from purecnn.train.stopping import Diverged
from tests.train.test_notebook import kernel

pytestmark = pytest.mark.usefixtures("a_users_jax", "runs_compiled_quickly")
NET = purecnn.Chain("own", (nn.flatten(), nn.dense(16), nn.relu(), nn.dense(10)))
QUIET = {"console": Console(quiet=True), "augmentation": "none", "learning_rate": 0.1}
DIGITS = read_digits()
TRAIN = (DIGITS.train.images[:320], DIGITS.train.labels[:320])
TEST = (DIGITS.test.images, DIGITS.test.labels)


def batches(size=32):
    return [(TRAIN[0][i : i + size], TRAIN[1][i : i + size]) for i in range(0, len(TRAIN[0]), size)]


@pytest.fixture(scope="module")
def streamed(runs_compiled_quickly, tmp_path_factory):
    """Three epochs of batches, with images that validate."""
    folder = tmp_path_factory.mktemp("streamed") / "run"
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return fit(NET, batches(), val=TEST, test=TEST, epochs=3, run_dir=str(folder), checkpoint_every=0.0, **QUIET)


def test_batches_train_a_net_and_its_run_is_one_like_any_other(streamed):
    lines = read_metrics(streamed.folder)
    assert streamed.steps == 30
    assert lines[-1]["val_accuracy"] > 0.5 > lines[0]["train_accuracy"]
    assert (
        streamed.test["test_accuracy"] == streamed.best["val_accuracy"] == max(line["val_accuracy"] for line in lines)
    )
    assert (read_config(streamed.folder).model, read_config(streamed.folder).batch_size) == (":own", 32)
    with pytest.raises(ValueError, match="data: got 'given' "):
        read(read_config(streamed.folder).data)


def test_what_a_program_made_is_given_again_to_load_it(streamed):
    with pytest.raises(
        ValueError, match=r"best.safetensors: model: got ':own', a net that a program made; purecnn.load"
    ):
        purecnn.load(streamed.folder)
    net, params, state, metadata = purecnn.load(streamed.folder, net=NET)
    guesses = jax.jit(net.apply)(params, TEST[0], state=state).argmax(axis=1)
    assert float((np.asarray(guesses) == TEST[1]).mean()) == streamed.test["test_accuracy"]
    assert (metadata.classes, metadata.input_shape) == (tuple("0123456789"), (8, 8, 1))


def test_a_run_on_batches_goes_on_with_more_epochs_to_where_it_would_be(streamed, tmp_path, monkeypatch):
    stopped = tmp_path / "stopped"
    how = {"val": TEST, "test": TEST, "run_dir": str(stopped), "checkpoint_every": 0.0, **QUIET}
    said = io.StringIO()
    interrupting = {
        "on_epoch": lambda line: signal.raise_signal(signal.SIGINT),
        "console": Console(file=said, width=200),
    }
    with monkeypatch.context() as patched:
        kernel(patched, [])  # in a notebook, where no command says what an interrupted run is worth
        first = fit(NET, batches(), epochs=3, resume=True, **(how | interrupting))
    assert first.interrupted
    assert f"there is no run to resume in {stopped}: a new one begins\n" in said.getvalue()
    assert f"interrupted after step {first.steps}, which is saved; resume=True goes on with it\n" in said.getvalue()
    assert 10 <= first.steps < 30
    assert not (stopped / "test.json").exists()
    done = fit(NET, batches(), epochs=3, resume=True, **how)
    assert (done.interrupted, done.steps) == (False, 30)
    for name in ("weights.safetensors", "best.safetensors"):
        assert (stopped / name).read_bytes() == (streamed.folder / name).read_bytes()


def test_arrays_hold_out_what_validates_and_a_shipped_net_keeps_its_name(tmp_path):
    done = fit(models.mlp(10), TRAIN, epochs=1, run_dir=str(tmp_path / "run"), **QUIET)
    assert done.data.notes == (
        "held out of the training images to validate: 10 % of every class, the same in every run",
    )
    assert (read_config(done.folder).model, done.test) == ("mlp", None)
    assert evaluate(load_trained(done.folder), done.data.val).accuracy() == done.best["val_accuracy"]


def test_a_function_that_can_be_imported_is_kept_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "my_nets.py").write_text(
        "import purecnn\nfrom purecnn import nn\n\n"
        "def small(classes):\n    return purecnn.Chain('small', (nn.flatten(), nn.dense(classes)))\n\n"
        "def none(classes):\n    return classes\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    done = fit("my_nets:small", TRAIN, epochs=1, classes=tuple("abcdefghij"), run_dir="run", **QUIET)
    assert read_config(done.folder).model == "my_nets:small"
    assert purecnn.load("run").net.name == "small"
    import my_nets

    assert read_config(fit(my_nets.small, TRAIN, epochs=1, run_dir="other", **QUIET).folder).model == "my_nets:small"
    for model, message in {
        "my_nets:none": "my_nets:none gave int, expected a purecnn.Chain",
        "my_nets:nothing": "got 'my_nets:nothing': module 'my_nets' has no attribute 'nothing'",
        "no_nets:small": "got 'no_nets:small': No module named 'no_nets'; it is looked for in the working",
    }.items():
        with pytest.raises(ValueError, match=f"^model: {message}"):
            fit(model, TRAIN, **QUIET)


@pytest.mark.parametrize(
    ("net", "data", "options", "message"),
    [
        (NET, TRAIN, {"classes": ("a", "b")}, "net: got 10 outputs, expected 2, one for each class"),
        (models.mlp, batches(), {}, "classes: got none, expected their names"),
        (
            NET,
            batches(),
            {"early_stopping": True},
            "early_stopping: got True, expected false without images to validate",
        ),
        (NET, (TRAIN[0], TRAIN[1] - 1), {}, "data: labels: got -1, expected the numbers of classes"),
        (NET, TRAIN, {"val": (TEST[0], TEST[1] + 5)}, "data: val: got labels 5 to 14, expected 0 to 9"),
        (
            NET,
            TRAIN,
            {"val": (TEST[0][:, 1:], TEST[1])},
            r"data: val: got images of shape \(7, 8, 1\), expected \(8, 8, 1\)",
        ),
        (
            NET,
            batches(),
            {"test": (TEST[0].repeat(3, 3), TEST[1])},
            r"data: test: got images of shape \(8, 8, 3\), exp",
        ),
        (
            NET,
            TRAIN,
            {"test": (np.full_like(TEST[0], np.nan, float), TEST[1])},
            "data: test: images: got values from nan",
        ),
        (NET, [(TRAIN[0][:4], TRAIN[1][:4] + 10)], {"epochs": 1}, "data: got labels 11 to 19, expected 0 to 9"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, net, data, options, message):
    with pytest.raises(ValueError, match=message):
        fit(net, data, run_dir=str(tmp_path / "run"), **options, **QUIET)


def test_a_batch_that_is_not_finite_is_to_blame_and_not_the_learning_rate(tmp_path):
    images, labels = batches()[1]
    bad = [batches()[0], (np.where(images > 0.9, np.inf, images).astype(np.float32), labels)]
    with pytest.raises(Diverged, match=r"at step 2; its images hold values that are not finite$"):
        fit(NET, [(image.astype(np.float32), label) for image, label in bad], run_dir=str(tmp_path / "run"), **QUIET)


@pytest.mark.parametrize(
    ("net", "name"),
    [
        (lambda classes: NET, ":lambda"),
        (functools.partial(lambda net, classes: net, NET), ":net"),
        (purecnn.Chain("my/own: net", NET.layers), ":my_own_ net"),
        (purecnn.Chain("", NET.layers), ":net"),
    ],
)
def test_nets_of_any_name_are_kept_and_their_folders_have_names_for_any_disk(tmp_path, monkeypatch, net, name):
    monkeypatch.chdir(tmp_path)
    run = fit(net, TRAIN, epochs=1, **QUIET)
    assert read_config(run.folder).model == name
    assert run.folder.name == f"{name[1:].replace(' ', '-')}-given-1"
    assert purecnn.load(run.folder, net=NET).metadata.model == name


def test_paths_names_and_data_sets_are_data(tmp_path):
    images, labels = (TRAIN[0] * 15).astype(np.uint8), TRAIN[1]
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    config = Config()
    assert len(as_dataset(tmp_path / "a.npz", None, None, config).splits()) == 3
    given = as_dataset(str(tmp_path / "a.npz"), TRAIN, None, config)
    np.testing.assert_array_equal(given.val.images, TRAIN[0])
    undivided = read("npz", str(tmp_path / "a.npz"), val_share=0.0)
    assert len(given.train) == len(undivided.train)  # nothing more is held out
    assert as_dataset("digits", None, None, config).name == "digits"
    assert as_dataset(given, None, None, config).train is given.train
    with pytest.raises(TypeError, match=r"data: got int, expected arrays, a path, or batches to iterate over$"):
        as_dataset(3, None, None, config)


def test_splits_may_come_in_a_dict():
    by_split = {"train": batches(), "validation": TEST, "test": TRAIN}
    found = as_dataset(by_split, None, None, Config())
    np.testing.assert_array_equal(found.val.images, TEST[0])
    np.testing.assert_array_equal(found.test.labels, TRAIN[1])
    assert (len(found.train), found.train.batch_size) == (320, 32)
    np.testing.assert_array_equal(as_dataset(by_split, TRAIN, None, Config()).val.images, TRAIN[0])  # given beside
    assert as_dataset({"train": TRAIN}, None, None, Config(val_share=0.0)).splits().keys() == {"train"}


def test_a_set_that_is_asked_for_its_images_by_number_is_refused_with_what_makes_batches_of_it():
    class Own:
        def __len__(self):
            return 3

        def __getitem__(self, number):
            raise AssertionError("nothing is read")

    assert not isinstance(Own(), Iterable)
    with pytest.raises(
        TypeError, match=r"data: got Own, expected .*; torch.utils.data.DataLoader\(data, batch_size=32,"
    ):
        as_dataset(Own(), None, None, Config())


def test_likely_mistakes_in_arrays_are_warnings():
    with pytest.warns(UserWarning, match="data: got floating numbers from 0 to 255, expected"):
        as_dataset((TRAIN[0] * 255, TRAIN[1]), None, None, Config())
    with pytest.warns(UserWarning, match="data: got floating numbers from 0 to 255, expected"):
        as_dataset([(TRAIN[0] * 255, TRAIN[1])], None, None, Config())


@pytest.mark.usefixtures("users_errors")
def test_a_net_of_another_library_is_refused_before_it_is_called(tmp_path):
    module = type("Module", (), {"__module__": "torch.nn", "__call__": print})
    own = type("Own", (module,), {"__module__": "__main__"})()
    with pytest.raises(
        TypeError, match=r"^net: got Own, expected a Chain, .* its name; a net of torch is made anew of"
    ):
        fit(own, TRAIN, run_dir=tmp_path / "run", **QUIET)


def test_three_pairs_of_arrays_train_validate_and_test():
    images, labels = TRAIN
    given = tuple((images[n:], labels[n:]) for n in (0, 5, 9))
    found = as_dataset(given, None, None, Config())
    assert [len(split) for split in (found.train, found.val, found.test)] == [len(images) - n for n in (0, 5, 9)]
