import jax
import numpy as np
import pytest
from PIL import Image

import purecnn
from purecnn import nn
from purecnn.data import pipeline
from purecnn.data.augmentation import random_flip
from purecnn.train.config import Config
from purecnn.train.metadata import ModelMetadata
from purecnn.train.plan import prepare, warn_of_idle_options, warn_of_last_layer
from purecnn.train.weights import save_weights

RNG = np.random.default_rng(0)


@pytest.fixture
def root(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(10):
            Image.fromarray(RNG.integers(0, 256, (8, 9, 3), np.uint8)).save(tmp_path / name / f"{i}.png")
    return tmp_path


def plan_of(root, **options):
    usual = {
        "streaming": "always",
        "augmentation": "resized_crop+flip",
        "batch_size": 4,
        "model": "mlp",
        "image_size": 6,
    }
    return prepare(Config(data="folder", data_dir=str(root), **{**usual, **options}))


def test_images_in_files_are_cropped_while_they_are_decoded_and_otherwise_augmented_in_the_step(root):
    plan = plan_of(root, seed=7, crop_area=0.3)
    assert (plan.data.train.images.least_area, plan.data.train.images.seed) == (0.3, 7)
    assert plan.augment is random_flip
    assert plan.data.val is not None
    assert plan.data.val.images.least_area is plan.data.test.images.least_area is None
    assert plan_of(root, augmentation="flip").data.train.images.least_area is None
    in_memory = plan_of(root, streaming="never")
    assert isinstance(in_memory.data.train.images, np.ndarray)
    assert in_memory.augment is not random_flip


def test_a_dispatch_of_images_that_come_block_by_block_is_no_larger_than_a_block(root, monkeypatch):
    monkeypatch.setattr(pipeline, "BLOCK", 3 * 4 * 6 * 6 * 3)
    assert plan_of(root).config.steps_per_dispatch == 3
    assert plan_of(root, steps_per_dispatch=2).config.steps_per_dispatch == 2
    assert plan_of(root, streaming="never").config.steps_per_dispatch == 64


@pytest.mark.parametrize("asked", [15, 32, 1000])
def test_a_set_of_fewer_images_than_a_batch_is_one_batch(root, asked):
    plan = plan_of(root, batch_size=asked)
    assert (plan.config.batch_size, plan.steps_per_epoch) == (14, 1)
    assert plan.data.notes[-1] == f"batches of 14 images instead of {asked}: there are 14 to train on"
    whole = plan_of(root, batch_size=14)
    assert (whole.config.batch_size, [note for note in whole.data.notes if "instead of" in note]) == (14, [])


def test_images_that_are_too_small_for_the_net_are_refused_with_their_size(root):
    with pytest.raises(
        ValueError, match=r"^lenet: layer 5 .*; the images are 2×2×3; image_size brings them to another"
    ):
        prepare(Config(data="folder", data_dir=str(root), image_size=2))
    with pytest.raises(ValueError, match=r"; the images are 8×8×1$"):
        prepare(Config(data="digits", model="alexnet"))


def test_batches_of_one_image_are_a_warning_where_batch_normalisation_measures_them(root, recwarn):
    def said(**options):
        recwarn.clear()
        plan_of(root, augmentation="none", batch_size=1, **options)
        return [str(each.message) for each in recwarn if "batch_size" in str(each.message)]

    assert said(model="resnet_cifar", image_size=8) == [
        "batch_size: got 1: batch normalisation measures one image alone, expected at least 2, or freeze_statistics"
    ]
    assert said(model="resnet_cifar", image_size=8, freeze="all-but-head") == []
    assert said(model="resnet_cifar", image_size=8, freeze_statistics=True) == []
    assert said() == []


def weights_for(path, shape, classes=("cat", "dog")):
    net = purecnn.models.mlp(len(classes))
    trees = {"params": net.init(jax.random.key(0), shape), "state": net.init_state(shape)}
    save_weights(path, trees, ModelMetadata("mlp", "squared_error", "pets", classes, shape).header())
    return str(path)


@pytest.mark.parametrize(("channels", "note"), [(3, "grey images are read as coloured ones"), (1, "held out of every")])
def test_grey_images_are_read_in_the_channels_of_the_weights_that_a_run_begins_with(root, tmp_path, channels, note):
    for path in root.rglob("*.png"):
        Image.open(path).convert("L").save(path)
    weights = weights_for(tmp_path / "w.safetensors", (6, 6, channels))
    plan = plan_of(root, init_weights=weights, streaming="never", augmentation="none")
    assert plan.metadata.input_shape == (6, 6, channels)
    assert plan.data.notes[-2].startswith(note)
    assert plan.data.notes[-1].startswith("begins with the weights of ")


def test_grey_arrays_for_weights_of_coloured_ones_are_told_what_to_do(root, tmp_path):
    weights = weights_for(tmp_path / "w.safetensors", (8, 8, 3), tuple("0123456789"))
    with pytest.raises(
        ValueError, match=r"its images are \(8, 8, 3\), these \(8, 8, 1\); images\.repeat\(3, axis=-1\)"
    ):
        prepare(Config(model="mlp", data="digits", init_weights=weights))


@pytest.mark.parametrize(
    ("options", "reader"),
    [
        ({"patience": 3}, "early_stopping or until_converged"),
        ({"tolerance": 0.1}, "early_stopping or until_converged"),
        ({"crop_area": 0.5}, "resized_crop in augmentation"),
        ({"momentum": 0.5, "optimizer": "adam"}, "the optimizer sgd, nesterov or rmsprop"),
        ({"patience": 3, "until_converged": True}, ""),
        ({"crop_area": 0.5, "augmentation": "resized_crop+flip"}, ""),
        ({"momentum": 0.5, "optimizer": "rmsprop"}, ""),
    ],
)
def test_an_option_that_nothing_reads_is_a_warning(recwarn, options, reader):
    warn_of_idle_options(Config(**({"augmentation": "none"} | options)))
    name, value = next(iter(options.items()))
    expected = [f"{name}: got {value}, which changes nothing without {reader}"] * bool(reader)
    assert [str(one.message) for one in recwarn] == expected


@pytest.mark.parametrize(("last", "warned"), [(nn.sigmoid(), True), (nn.relu(), True), (nn.dense(2), False)])
def test_a_net_that_ends_with_an_activation_is_a_warning(recwarn, last, warned):
    net = purecnn.Chain("own", (nn.flatten(), nn.dense(2), last))
    warn_of_last_layer(net, Config(model=":own", loss="squared_error"))
    warn_of_last_layer(net, Config(model="mlp", loss="softmax_cross_entropy"))  # which is as the lecture has it
    warn_of_last_layer(net, Config(model=":own", loss="softmax_cross_entropy"))
    message = f"net: own ends with {last.name}, and the loss takes numbers of any sign and size: leave it out"
    assert [str(one.message) for one in recwarn] == [message] * warned
