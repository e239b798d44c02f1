"""Starting from the weights of a file: what is taken, what starts anew, and pixels normalised as for that net."""

import dataclasses
import functools
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from purecnn.models import mlp, resnet_cifar
from purecnn.results.evaluation import evaluate
from purecnn.results.trained import load_trained
from purecnn.train.classifying import normalize
from purecnn.train.config import Config
from purecnn.train.loop import prepare
from purecnn.train.metadata import ModelMetadata, read_model_metadata
from purecnn.train.nets import load_net, make_net
from purecnn.train.run_folder import read_metrics, read_test
from purecnn.train.weights import save_weights
from tests.commands.running import here

DIGITS = tuple(map(str, range(10)))
METADATA = ModelMetadata("mlp", "squared_error", "others", DIGITS, (8, 8, 1), (0.25,), (0.5,))


def write(path, metadata=METADATA):
    """Weights of the two-layer net, drawn from another seed than any run's."""
    net = mlp(len(metadata.classes))
    params = jax.jit(lambda: net.init(jax.random.key(99), metadata.input_shape))()
    save_weights(path, {"params": params, "state": net.init_state(metadata.input_shape)}, metadata.header())
    return params


@functools.cache
def plain():
    """A run begun at random."""
    return prepare(Config(model="mlp"))


def start(file):
    plan = prepare(Config(model="mlp", init_weights=str(file)))
    return plan.metadata, plan.start.params, plan.data.notes[-1]


@pytest.mark.parametrize("classes", [DIGITS, tuple("abcdefghij"), ("cat", "dog")])
def test_every_layer_is_taken_and_the_last_one_only_for_the_same_classes(tmp_path, classes):
    there = write(tmp_path / "there.safetensors", dataclasses.replace(METADATA, classes=classes))
    metadata, params, note = start(tmp_path / "there.safetensors")
    fresh = plain().start.params
    assert (metadata.classes, metadata.data) == (DIGITS, "digits")
    assert (metadata.pixel_mean, metadata.pixel_std) == ((0.25,), (0.5,))
    first, last = [i for i, each in enumerate(params) if each]
    np.testing.assert_array_equal(params[first]["w"], there[first]["w"])
    np.testing.assert_array_equal(params[last]["w"], (there if classes == DIGITS else fresh)[last]["w"])
    assert not np.array_equal(there[first]["w"], fresh[first]["w"])
    others = "" if classes == DIGITS else f", but for the last layer ({last} dense): the classes are others"
    assert note == f"begins with the weights of {tmp_path / 'there.safetensors'}{others}"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (
            dataclasses.replace(METADATA, input_shape=(9, 8, 1)),
            r"params\.1\.w: got \(72, \d+\), expected \(64, \d+\); ",
        ),
        (dataclasses.replace(METADATA, model="lenet"), r"params\.0\.b: missing; weights of another model\?"),
        (None, "there is no such file, nor a run that has weights"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path, metadata, message):
    if metadata:
        write(tmp_path / "there.safetensors", metadata)
    with pytest.raises(ValueError, match=f"init_weights: .*there.safetensors.*{message}|init_weights: .*{message}"):
        start(tmp_path / "there.safetensors")


def test_a_name_of_published_weights_says_what_reads_them():
    with pytest.raises(
        ValueError, match=r"resnet18: there is no such file, .*; none are downloaded: purecnn import-weig"
    ):
        start("resnet18")


def test_weights_of_what_was_called_resnet_are_those_of_resnet_cifar(tmp_path):
    net, metadata = resnet_cifar(2), dataclasses.replace(METADATA, model="resnet", classes=("cat", "dog"))
    trees = jax.eval_shape(lambda: (net.init(jax.random.key(0), (8, 8, 1)), net.init_state((8, 8, 1))))
    params, state = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), trees)
    save_weights(tmp_path / "old.safetensors", {"params": params, "state": state}, metadata.header())
    found, net, *_ = load_net(tmp_path / "old.safetensors")
    assert found.model == net.name == "resnet_cifar"


def test_what_is_loaded_shows_no_arrays(tmp_path):
    write(tmp_path / "there.safetensors")
    loaded = purecnn.load(tmp_path / "there.safetensors")
    assert repr(loaded).startswith("Loaded(mlp: params of ")
    assert "Array" not in repr(loaded)
    assert repr(loaded).count("\n") == 0


@pytest.mark.usefixtures("users_errors")
def test_what_is_no_run_to_load_is_named(tmp_path):
    with pytest.raises(TypeError, match=r"^run: got int, expected the folder of a run, or a file of weights$"):
        purecnn.load(3)
    with pytest.raises(FileNotFoundError, match=r"none: there is no such file, nor a run$"):
        purecnn.load(tmp_path / "none")


def test_another_model_is_refused(tmp_path):
    write(tmp_path / "there.safetensors")
    with pytest.raises(
        ValueError, match=r"^init_weights: .*: got weights of mlp, expected of lenet; --model mlp is theirs$"
    ):
        prepare(Config(init_weights=str(tmp_path / "there.safetensors")))


def test_of_a_net_that_a_program_made_it_is_said_what_takes_it_again():
    with pytest.raises(ValueError, match=r"model: got ':mine', a net that a program made; purecnn\.load\(RUN, net="):
        make_net(":mine", 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path, bad):
    params = write(tmp_path / "there.safetensors")
    params[1]["w"] = params[1]["w"].at[2, 3].set(bad)
    net = mlp()
    save_weights(
        tmp_path / "bad.safetensors", {"params": params, "state": net.init_state((8, 8, 1))}, METADATA.header()
    )
    with pytest.raises(ValueError, match=r"bad\.safetensors: params\.1\.w: got values that are not finite"):
        load_net(tmp_path / "bad.safetensors")


def test_pixels_are_seen_less_their_mean_over_their_deviation():
    x = jnp.full((1, 2, 2, 3), 0.5)
    colours = dataclasses.replace(METADATA, pixel_mean=(0.5, 0.25, 0.0), pixel_std=(1.0, 0.25, 2.0))
    np.testing.assert_array_equal(normalize(colours, x)[0, 0, 0], [0, 1, 0.25])
    assert normalize(ModelMetadata("mlp", "", "", DIGITS, (2, 2, 3)), x) is x  # nothing to compile, nothing to round


def test_a_run_begun_from_weights_says_so_keeps_their_pixels_and_goes_on_from_a_run(tmp_path):
    write(tmp_path / "there.safetensors")
    options = ("--model", "mlp", "--augmentation", "none", "--epochs", 2)
    done = here("train", *options, "--init-weights", "there.safetensors", "--run-dir", "run", cwd=tmp_path, quick=True)
    assert done.returncode == 0, done.stderr
    assert read_model_metadata(tmp_path / "run" / "weights.safetensors").pixel_mean == (0.25,)
    # The loop's own measure, on pixels as the net sees them, is that of `purecnn eval`.
    test = plain().data.test
    first = read_metrics(tmp_path / "run")
    assert evaluate(load_trained(tmp_path / "run"), test).accuracy() == read_test(tmp_path / "run")["test_accuracy"]
    done = here("train", *options, "--init-weights", "run", "--run-dir", "more", cwd=tmp_path, quick=True)
    assert done.returncode == 0, done.stderr
    assert read_metrics(tmp_path / "more")[0]["train_loss"] < first[0]["train_loss"]
    # What was saved has the weights and the pixels in it: the file is needed only where nothing was.
    (tmp_path / "there.safetensors").unlink()
    done = here("train", "--run-dir", "run", "--resume", cwd=tmp_path, quick=True)
    assert done.returncode == 0, done.stderr
    assert "resuming after step 82 of 82" in done.stdout
    assert "begins with" not in done.stdout
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    done = here("train", "--run-dir", "run", "--resume", cwd=tmp_path, quick=True)
    assert done.returncode == 2
    assert done.stderr.startswith("purecnn: run/checkpoints: there is no such folder to resume from")
    (tmp_path / "run" / "metrics.jsonl").unlink()
    done = here("train", "--run-dir", "run", "--resume", cwd=tmp_path, quick=True)
    assert done.returncode == 2
    assert done.stderr.startswith("purecnn: init_weights: ")


@pytest.mark.parametrize(("missing", "last", "words"), [
    ("best.safetensors", False, "there is no best.safetensors: these are the weights after the last epoch"),
    ("best.safetensors", True, ""),
    ("metrics.jsonl", False, ""),
])  # fmt: skip
def test_a_run_without_its_best_weights_is_a_warning(tmp_path, recwarn, missing, last, words):
    for name in ("best.safetensors", "weights.safetensors"):
        write(tmp_path / name)
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n')
    (tmp_path / missing).unlink()
    load_net(tmp_path, last=last)
    assert [str(one.message).partition(": ")[2] for one in recwarn] == [words] * bool(words)


def test_damaged_weights_of_a_run_say_which_others_there_are(tmp_path):
    write(tmp_path / "weights.safetensors")
    (tmp_path / "best.safetensors").write_bytes((tmp_path / "weights.safetensors").read_bytes()[:-9])
    with pytest.raises(
        ValueError,
        match=r"best\.safetensors: got .* a safetensors file; .*weights\.safetensors has those of the last epoch$",
    ):
        load_net(tmp_path)
    load_net(tmp_path, last=True)
