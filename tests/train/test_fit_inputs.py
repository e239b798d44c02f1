"""What a program gives to `purecnn.train.fit`, with the mistakes that people make."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import purecnn
from purecnn import nn
from purecnn.train.config import Config
from purecnn.train.fitting import _named, as_dataset, fit
from tests.train.test_fitting import NET, QUIET, TRAIN, batches

pytestmark = pytest.mark.usefixtures("a_users_jax", "users_errors")


class Items:
    """A set with items that cannot be iterated, as torchvision's with samples and Keras' Sequence with batches."""

    __iter__ = None

    def __init__(self, items):
        self.items = items

    def __getitem__(self, number):
        return self.items[number]


def generated():
    yield TRAIN


def test_a_generator_function_is_told_what_to_do_for_every_epoch():
    with pytest.raises(
        TypeError, match=r"got function, .*; list\(generated\(\)\) keeps its batches, a class whose __iter__"
    ):
        as_dataset(generated, None, None, Config())


@pytest.mark.parametrize(
    ("net", "data", "options", "message"),
    [
        (NET, batches(), {"val": []}, "^val: data: got nothing to iterate over"),
        (NET, batches(), {"steps_per_epoch": -1}, "steps_per_epoch: got -1, expected an integer, at least 1"),
        (NET, batches(), {"classes": "abcdefghij"}, "classes: got 'abcdefghij', expected a name for each"),
        (NET, batches(), {"classes": (*"abcdefghi", "a")}, "classes: got 'a' twice"),
        (NET, TRAIN, {"epoch": 3}, "fit: got the unknown name 'epoch', did you mean epochs"),
        (NET, TRAIN, {"lr": 3}, r"fit: got the unknown name 'lr', did you mean learning_rate\?"),
        (NET, TRAIN, {"validation_split": 0.1}, r"'validation_split', did you mean val_share\?"),
        (
            NET,
            TRAIN,
            {"val": 0.2},
            "val: got float, expected .*; val_share says how much of the data is held out",
        ),
        (NET, batches, {}, r"data: got function, expected arrays, .*; call it: batches\(\)"),
        (NET, TRAIN, {"val": batches}, r"val: got function, expected arrays or batches .*; call it: batches\(\)"),
        (NET, TRAIN, {"validation_data": TRAIN}, r"'validation_data': val=\(images, labels\) are those that validate"),
        (NET, TRAIN, {"callbacks": []}, "'callbacks': on_epoch=function is called with the line of every epoch"),
        (NET, TRAIN, {"shuffle": True}, "'shuffle': images are shuffled anew every epoch; batches come in the order"),
        (NET, TRAIN, {"verbose": 0}, r"'verbose': console=rich\.console\.Console\(quiet=True\) prints nothing"),
        (NET, TRAIN, {"on_epoch": None}, "on_epoch: got NoneType, expected a function of the line of an epoch"),
        (NET, TRAIN, {"on_epoch": [print]}, "on_epoch: got list, expected a function"),
        (NET, TRAIN, {"augment": "flip"}, "augment: got str, expected a function of .*; augmentation= takes the names"),
        (
            NET,
            TRAIN,
            {"augment": lambda key, images: images[:, 1:]},
            r"augment: returned \(32, 7, 8, 1\), expected images of .* given, \(32, 8, 8, 1\)",
        ),
        (NET, TRAIN, {"augment": lambda key, images: None}, "augment: returned NoneType, expected images of the shape"),
        (NET, TRAIN, {"augment": lambda _, x: x.astype(np.uint8)}, "augment: returned uint8, expected floating pixels"),
        (NET, (TRAIN[0], TRAIN[1] + 1), {}, "got labels 1 to 10, expected 0 to 9; labels count from 0: labels - 1 mak"),
        (NET, (TRAIN[0], TRAIN[1] + 5), {}, "expected 0 to 9: the net has 10 outputs, one is needed for each class"),
        (
            NET,
            TRAIN,
            {"optimizer": np.arange(3)},
            r"optimizer: got array\(\[0, 1, 2\]\), expected one of sgd, nesterov",
        ),
        (
            NET,
            TRAIN,
            {"class_weights": np.ones(2)},
            r"class_weights: got array\(\[1., 1.\]\), expected one of none, bal",
        ),
        (NET, TRAIN, {"model": np.ones(2)}, r"model: got array\(\[1., 1.\]\), expected one of lenet"),
        (
            NET,
            (TRAIN[0], TRAIN[1] / 7),
            {},
            "labels: got float64.*; an image has one class, and values are not predicted",
        ),
        (
            NET,
            [(TRAIN[0][:320], TRAIN[1][:320] + 1)],
            {"epochs": 1},
            "got labels 1 to 10, expected 0 to 9; labels count from 0: labels - 1 makes them",
        ),
        (NET, TRAIN, {"nothing_like_it": 1}, "'nothing_like_it', expected some of model, data"),
        (
            NET,
            TRAIN[0],
            {"config": TRAIN[1]},
            r"config: got ndarray, expected .*Config; .* one argument, \(images, labels\)",
        ),
        (NET, TRAIN, {"run_dir": None, "resume": True}, "run_dir: got none, expected the folder of the run to resume"),
        (
            NET,
            (TRAIN[0], TRAIN[1].astype(int) + 2**32),
            {},
            "labels: got 4294967305, expected the numbers of classes: 0, 1, …",
        ),
        (NET, (TRAIN[0], TRAIN[1] - 1), {}, "labels: got -1, expected .*: 0, 1, …; images without a label have -1"),
        (NET, (TRAIN[0], TRAIN[1] - 2), {}, "labels: got -2, expected .*: 0, 1, …; classes, labels = np.unique"),
        (NET, (*TRAIN, TRAIN[1]), {}, r"data: got 3 arrays, expected two, \(images, labels\)"),
        (
            NET,
            (TRAIN[0], np.ma.masked_equal(TRAIN[1], 3)),
            {},
            r"data: got \d+ masked values, expected none; leave",
        ),
        (NET, enumerate(batches()), {}, "data: labels: got a tuple of arrays, as enumerate gives, expected integers"),
        (NET, [{"image": TRAIN[0][0], "label": None}], {}, "data: label: got None, expected one for every image"),
        (
            NET,
            [{"image": None, "label": 1}],
            {},
            "data: image: got None, expected one for every image; leave",
        ),
        (
            NET,
            dict(zip(("x_train", "y_train"), TRAIN, strict=True)),
            {},
            r"got x_train, y_train, .*; splits are given as \{'train': \(images, labels\), 'test': …\}$",
        ),
        (
            NET,
            SimpleNamespace(train=1, valid=2),
            {},
            r"; \{'train': data\.train, 'val': data\.valid\} gives those in it",
        ),
        (
            NET,
            SimpleNamespace(train_dataloader=1, val_dataloader=2),
            {},
            r"; \{'train': data\.train_dataloader\(\), 'val': data\.val_dataloader\(\)\} gives",
        ),
        (NET, Items([TRAIN]), {}, r"got Items, .*; its items are batches: \[data\[i\] for i in range\(len\(data\)\)\]"),
        (NET, Items([(TRAIN[0][0], 1)]), {}, r"got Items, .*; torch\.utils\.data\.DataLoader\(data, batch_size"),
        (
            NET,
            TRAIN,
            {"labels": [0, 1]},
            r"labels: got \[0, 1\], expected the path of a table, or None; arrays come with",
        ),
        (NET, [{"image": "a.png", "label": 1}], {}, r"data: images: got a path, expected pixels; .*PIL\.Image\.open"),
        (NET, [{"image": {"bytes": b"x"}, "label": 1}], {}, r"got dict, expected pixels; cast_column\("),
        (
            NET,
            [{"image": Image.new(mode, (8, 8)), "label": 1} for mode in ("L", "RGB")],
            {},
            r"got shapes \(8, 8\) and \(8, 8, 3\), expected one for all; image\.convert\('RGB'\) brings them to one",
        ),
        (
            NET,
            [{"image": Image.new("L", size), "label": 1} for size in ((8, 8), (9, 8))],
            {},
            r"expected one for all; image\.resize\(\(W, H\)\) brings them to one",
        ),
        (
            NET,
            TRAIN,
            {"augment": lambda images: images},
            "augment: got a function with too many .*, expected one of",
        ),
        (
            NET,
            TRAIN,
            {"early_stopping": 5},
            "early_stopping: got 5, expected true or false; patience says after",
        ),
        (NET, TRAIN, {"optimizer": [0] * 99}, r"optimizer: got \[0.{38}….{39}\], expected one of sgd"),
        (NET, TRAIN, {"class_weight": {0: 1}}, r"'class_weight', did you mean class_weights\?"),
        (NET, TRAIN, {"metrics": ["acc"]}, r"'metrics': loss and accuracy are measured, in metrics\.jsonl"),
        (NET, TRAIN, {"exist_ok": True}, "name a new run_dir, or resume=True"),
        (NET, "nowhere", {}, "^nowhere: there is no such folder; data says in which folder the images are$"),
        (NET, "folder", {"data_dir": "nowhere"}, "^nowhere: there is no such folder; data_dir says in which folder"),
        (NET, (TRAIN[0], np.where(TRAIN[1], TRAIN[1], np.nan)), {}, "labels: got float64.*; some are NaN"),
        (NET, (TRAIN[0], TRAIN[1].astype(object)), {}, r"labels: got object.*; labels.astype\(int\) makes them"),
        ("mlp", (TRAIN[0], TRAIN[1] * 0), {}, "classes: got only 0, expected at least 2"),
        ("lenett", TRAIN, {}, "no such model; .* did you mean lenet"),
        (
            purecnn.Chain("own", (nn.conv2d(10, 3),)),
            TRAIN,
            {},
            "net: got 6×6×10 outputs, expected 10, one for each class",
        ),
        (
            NET,
            [batches()[0], (np.uint8(255 * TRAIN[0][:32]), TRAIN[1][:32])],
            {"epochs": 1},
            "got a batch of (uint8|float32), expected (uint8|float32) as the first",
        ),
    ],
)
def test_mistakes_are_named(tmp_path, net, data, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        fit(net, data, **{"run_dir": tmp_path / "run", **options}, **QUIET)


@pytest.mark.slow
def test_a_shipped_net_is_made_by_its_name_for_as_many_classes_as_labels(tmp_path):
    done = fit("mlp", TRAIN, epochs=1, run_dir=str(tmp_path / "run"), **QUIET)
    assert done.data.classes == tuple(map(str, range(10)))
    done = fit(NET, TRAIN, epochs=1, classes=range(10), run_dir=str(tmp_path / "own"), **QUIET)
    assert purecnn.load(done.folder, net=NET).metadata.classes == tuple(map(str, range(10)))


def test_a_table_of_pandas_is_columns_of_images_and_labels():
    class DataFrame(dict):  # what is used of one
        columns = ("picture_id", "image", "label")
        to_dict = None

    column = np.empty(len(TRAIN[1]), object)
    column[:] = list(TRAIN[0])
    table = DataFrame(picture_id=np.arange(len(column)), image=column, label=TRAIN[1])
    found = as_dataset(table, None, None, Config(val_share=0.0))
    np.testing.assert_array_equal(found.train.images, TRAIN[0])
    np.testing.assert_array_equal(
        as_dataset((column, TRAIN[1]), None, None, Config(val_share=0.0)).train.images, TRAIN[0]
    )


def test_a_number_of_classes_is_no_list_of_their_names():
    with pytest.raises(TypeError, match=r"classes: got 10, expected a name for each, as in \['cat', 'dog'\]"):
        _named(10)


def test_a_pair_of_pairs_of_arrays_is_to_train_and_to_test_with_as_keras_has_it():
    config, test = Config(val_share=0.0), (TRAIN[0][:3], TRAIN[1][:3, None])
    found = as_dataset((TRAIN, test), None, None, config)
    assert {name: len(split) for name, split in found.splits().items()} == {"train": len(TRAIN[1]), "test": 3}
    two = [TRAIN, (TRAIN[0][:3], TRAIN[1][:3])]
    assert len(as_dataset(two, None, None, config).train) == 2 * len(TRAIN[1])  # batches
    assert len(as_dataset([*TRAIN], None, None, config).train) == len(TRAIN[1])
