"""Copies of training images among those to test with, in a folder whose images stay in their files."""

import shutil
import warnings

import pytest

from purecnn.data import repeated_files
from purecnn.data.readers import read
from purecnn.data.repeated_files import same_bytes
from tests.data.making import write_folder


@pytest.fixture
def pets(tmp_path):
    for name in ("train", "val", "test"):
        write_folder(tmp_path / "pets" / name, each=6)
    return tmp_path / "pets"


def said(pets):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        read("folder", str(pets), image_size=8, streaming="always")
    return [str(each.message) for each in found]


def test_files_of_the_same_names_are_no_copies(pets):
    assert said(pets) == []


def test_copies_are_counted(pets):
    for file in ("cat/1.png", "owl/2.png"):
        shutil.copy(pets / "train" / file, pets / "test" / file)
    assert said(pets) == [
        "pets: 2 of 18 images to test with that were looked at are also among those to train on, such as "
        "test/cat/1.png, which is train/cat/1.png: the accuracy says little of new images"
    ]


@pytest.mark.parametrize("place", ["cat/copy.png", "owl/2.png", "cat/deeper/copy.jpeg"])
def test_copies_by_another_name_or_of_another_class_are_found(pets, place):
    copy = pets / "val" / place
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(pets / "train/cat/1.png", copy)
    (message,) = said(pets)
    assert message.startswith("pets: 1 of 1")
    assert f"such as val/{place}, which is train/cat/1.png: " in message


def test_of_many_training_files_some_are_looked_up_and_all_of_the_same_class_and_name(pets, monkeypatch):
    monkeypatch.setattr(repeated_files, "LOOKED_UP", 2)  # the first and the last
    shutil.move(pets / "train/cat/1.png", pets / "train/cat/10.png")
    shutil.copy(pets / "train/cat/10.png", pets / "test/cat/copy.png")
    assert said(pets) == []
    shutil.copy(pets / "train/cat/0.png", pets / "test/cat/copy.png")
    shutil.copy(pets / "train/owl/2.png", pets / "test/owl/2.png")
    assert said(pets)[0].startswith("pets: 2 of 19 images to test with")


def test_equal_sizes_and_equal_middles_are_not_enough_and_what_is_gone_equals_nothing(tmp_path):
    middle = bytes(2 * repeated_files.PIECE)
    files = {name: tmp_path / name for name in "abcdefg"}
    for name, content in {"a": b"1", "b": b"2", "c": b"1", "d": b"3", "e": b"1"}.items():
        files[name].write_bytes(content + middle + content)
    (tmp_path / "e").write_bytes(b"1" + bytes(range(256)) * 64)
    sought = [files["a"], files["b"], files["f"]]
    assert list(same_bytes(sought, [files[name] for name in "gdce"])) == [(files["a"], files["c"])]
