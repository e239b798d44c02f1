import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from purecnn.data.dataset import Dataset, Split
from purecnn.data.readers import read
from purecnn.models import mlp
from purecnn.results.evaluation import Evaluation, all_splits, as_json, load_data, with_classes
from purecnn.results.trained import Trained
from purecnn.train.config import Config
from purecnn.train.metadata import ModelMetadata
from tests.data.making import write_folder

# Six images of three classes; 2 is never predicted, and image 3 has two outputs that are equal.
OUTPUTS = np.array(
    [[4, 1, 0], [1, 2, 0], [0, 5, 1], [3, 3, 0], [2, 1, 0], [0, 3, 2]], np.float32
)  # predicted: 0 1 1 0 0 1
LABELS = np.array([0, 0, 1, 1, 2, 2], np.int32)
SHARES = np.exp(OUTPUTS) / np.exp(OUTPUTS).sum(axis=1, keepdims=True)
RESULT = Evaluation(("ant", "bee", "cat"), LABELS, OUTPUTS, SHARES)


def test_accuracy_counts_the_first_of_equal_outputs():
    assert RESULT.accuracy() == 2 / 6
    assert RESULT.accuracy(2) == 5 / 6
    assert RESULT.accuracy(3) == RESULT.accuracy(5) == 1
    assert RESULT.accuracy() == (RESULT.predictions == LABELS).mean()


def test_precision_recall_and_confusion_by_hand():
    assert RESULT.per_class() == [
        {"class": "ant", "images": 2, "precision": 1 / 3, "recall": 1 / 2},
        {"class": "bee", "images": 2, "precision": 1 / 3, "recall": 1 / 2},
        {"class": "cat", "images": 2, "precision": None, "recall": 0.0},
    ]
    np.testing.assert_array_equal(RESULT.confusion, [[1, 1, 0], [1, 1, 0], [1, 1, 0]])


def test_top_5_is_told_where_there_are_more_classes():
    outputs = np.eye(6, dtype=np.float32)[[1, 2, 3, 4, 5, 0]]
    result = Evaluation(tuple("abcdef"), np.arange(6), outputs, outputs)
    assert result.top5 == result.accuracy(5) == 4 / 6  # of equal outputs the first count: e and f miss


def test_the_most_confused_pairs_come_first():
    assert RESULT.confused(2) == [(0, 1, 1), (1, 0, 1)]
    assert RESULT.confused(9) == [(0, 1, 1), (1, 0, 1), (2, 0, 1), (2, 1, 1)]
    assert Evaluation(("a", "b"), np.arange(2), np.eye(2), np.eye(2)).confused(3) == []


def test_files_are_named_where_the_images_have_some():
    named = dataclasses.replace(RESULT, names=tuple(f"{n}.png" for n in range(6)))
    assert [line["file"] for line in as_json(named, None)["worst"]][:1] == ["4.png"]
    assert "file" not in as_json(RESULT, None)["worst"][0]


def test_the_worst_have_the_least_probability_in_their_true_class():
    np.testing.assert_allclose(RESULT.confidence, [SHARES[i, k] for i, k in enumerate(LABELS)])
    np.testing.assert_array_equal(RESULT.worst(3), np.argsort(RESULT.confidence)[:3])
    assert RESULT.worst(1)[0] == 4
    assert len(RESULT.worst()) == 6


def test_json_has_it_all_in_plain_numbers():
    found = json.loads(json.dumps(as_json(RESULT, Path("worst.png"))))
    assert (found["images"], found["top1"], found["top5"]) == (6, 2 / 6, None)  # of three classes
    assert found["confusion"] == RESULT.confusion.tolist()
    assert found["worst"][0]["image"] == 4
    assert (found["worst"][0]["class"], found["worst"][0]["predicted"]) == ("cat", "ant")
    assert found["classes"][2]["precision"] is None


def test_labels_are_numbers_of_the_nets_classes_whatever_order_the_data_have_them_in():
    train, test = (
        Split(np.zeros((3, 2, 2, 1), np.uint8), np.array(labels, np.int32)) for labels in ([0, 1, 2], [2, 2, 0])
    )
    data = Dataset("animals", train, test, ("cat", "ant", "bee"))
    found = with_classes(data, ("ant", "bee", "cat", "dog"))
    assert found.classes == ("ant", "bee", "cat", "dog")
    assert (found.train.labels.tolist(), found.test.labels.tolist(), found.val) == ([2, 0, 1], [1, 1, 2], None)
    assert with_classes(data, ("ant", "bee")) is data  # which is then refused
    assert with_classes(data, data.classes) is data


def test_classes_without_names_are_told_what_names_them(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 6, 3), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(20) % 2)
    trained = Trained(ModelMetadata("mlp", "squared_error", "pets", ("cat", "dog"), (6, 6, 3)), mlp(2), [], [])
    with pytest.raises(ValueError, match=r"as when the run was trained; an array classes in the file names them$"):
        load_data(Config(data="npz", data_dir=str(tmp_path / "a.npz")), trained)


def test_all_splits_are_every_file_once_in_memory_and_in_files(tmp_path):
    made = write_folder(tmp_path, each=10)
    in_memory, in_files = (
        all_splits(read("folder", str(tmp_path), image_size=6, streaming=streaming))
        for streaming in ("never", "always")
    )
    assert sorted(in_memory.names) == sorted(path.relative_to(tmp_path).as_posix() for path in made)
    assert tuple(in_files.names) == in_memory.names
    np.testing.assert_array_equal(in_files.labels, in_memory.labels)
    assert [("cat", "dog", "owl")[label] for label in in_memory.labels] == [
        name.split("/")[0] for name in in_memory.names
    ]
    np.testing.assert_array_equal(np.asarray(in_files.images), in_memory.images)


def test_a_runs_own_images_to_test_with_are_found_where_those_to_train_on_are_no_longer_there(tmp_path):
    for part in ("train", "val", "test"):
        write_folder(tmp_path / part, each=2)
    config, data = (
        Config(data="folder", data_dir=str(tmp_path), image_size=6),
        read("folder", str(tmp_path), image_size=6),
    )
    trained = Trained(ModelMetadata("mlp", "squared_error", "pets", data.classes, (6, 6, 3)), mlp(2), [], [])
    before = load_data(config, trained)
    shutil.rmtree(tmp_path / "train")
    after = load_data(config, trained)
    assert (len(before.train), len(after.train), after.classes) == (6, 0, data.classes)
    for name in ("val", "test"):
        np.testing.assert_array_equal(after.split(name).images, before.split(name).images)
        np.testing.assert_array_equal(after.split(name).labels, before.split(name).labels)
