import re
import shutil

import numpy as np
import pytest

from purecnn.data.layout import NAMES, split_folders
from purecnn.data.listing import list_folder
from purecnn.data.readers import read
from tests.data.making import write_folder


def counts(data):
    return {name: len(split) for name, split in data.splits().items()}


def pixels(split):
    return sorted(image.tobytes() for image in split.images)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_is_known_by_any_usual_name_in_any_case(tmp_path, name):
    for spelt in (name, name.upper(), name.capitalize()):
        others = [other for other in ("train", "val", "test") if other != NAMES[name]]
        root = tmp_path / spelt
        for folder in (spelt, *others):
            (root / folder / "cat").mkdir(parents=True)
        assert split_folders(root, sorted((spelt, *others))) == {NAMES[name]: spelt} | {o: o for o in others}


def test_three_folders_are_taken_as_they_are(tmp_path):
    made = {name: write_folder(tmp_path / name, each=each) for name, each in (("train", 4), ("Valid", 1), ("TEST", 2))}
    data = read("folder", str(tmp_path))
    for split, name in (("train", "train"), ("val", "Valid"), ("test", "TEST")):
        np.testing.assert_array_equal(data.split(split).images, list(made[name].values()))
    assert data.notes == ()


@pytest.mark.parametrize("second", ["test", "val", "Validation"])
def test_of_two_folders_the_second_tests_and_a_share_of_the_first_validates(tmp_path, second):
    train, test = write_folder(tmp_path / "train", each=20), write_folder(tmp_path / second, each=1)
    data = read("folder", str(tmp_path))
    assert counts(data) == {"train": 54, "val": 6, "test": 3}
    assert pixels(data.test) == sorted(image.tobytes() for image in test.values())
    assert sorted(pixels(data.train) + pixels(data.val)) == sorted(image.tobytes() for image in train.values())
    *more, held = data.notes
    assert held == "held out of every class of train, by file name: 10 % to validate"
    assert more == ([] if second == "test" else [f"of the two folders, {second} is the one to test with"])


def test_train_alone_and_classes_alone_hold_out_both_the_same_by_name(tmp_path):
    made = write_folder(tmp_path / "a" / "Training", each=20)
    shutil.copytree(tmp_path / "a" / "Training", tmp_path / "b")
    one, other = (read("folder", str(tmp_path / name)) for name in "ab")
    assert counts(one) == counts(other) == {"train": 42, "val": 6, "test": 12}
    for split in ("train", "val", "test"):
        assert pixels(one.split(split)) == pixels(other.split(split))
    assert one.notes == ("held out of every class of Training, by file name: 20 % to test with and 10 % to validate",)
    together = [image for split in one.splits().values() for image in pixels(split)]
    assert sorted(together) == sorted(image.tobytes() for image in made.values())


def test_a_class_may_be_called_train(tmp_path):
    write_folder(tmp_path, classes=("car", "plane", "train"))
    assert read("folder", str(tmp_path)).classes == ("car", "plane", "train")


def test_an_unknown_split_is_refused_with_those_that_are_there(tmp_path):
    write_folder(tmp_path, each=2)
    data = read("folder", str(tmp_path))
    assert counts(data) == {"train": 3, "test": 3}  # one of each class is tested with, and one is left
    with pytest.raises(ValueError, match="split: got 'val', expected one of train, test, which "):
        data.split("val")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            ("Cat", "Dog"),
            r"test: got no folder of a class, expected .* images, cat, dog, owl; Cat and cat are two names$",
        ),
        (
            ("Cat", "dog"),
            r"test: class Cat is not among those of the training images: cat, dog, owl; Cat and cat are two",
        ),
        (
            ("cat", "fox"),
            r"class fox is not among .*owl; call it as one of them, leave it out, or add images of it to those$",
        ),
    ],
)
def test_a_class_that_is_not_trained_on_says_what_to_do(tmp_path, second, message):
    write_folder(tmp_path / "train")
    write_folder(tmp_path / "test", classes=second)
    with pytest.raises(ValueError, match=message):
        read("folder", str(tmp_path))


def test_images_beside_the_classes_of_train_are_named_as_that(tmp_path):
    made = write_folder(tmp_path / "train")
    write_folder(tmp_path / "val")
    shutil.copy(next(iter(made)), tmp_path / "train/0.png")
    with pytest.raises(
        ValueError, match=r"train: got images beside the folders of classes, expected each in one of them"
    ):
        read("folder", str(tmp_path))


def test_a_split_without_classes_beside_two_with_them_is_not_told_to_leave_out_both(tmp_path):
    for name in ("train", "valid"):
        write_folder(tmp_path / name)
    (tmp_path / "test").mkdir()
    shutil.copy(tmp_path / "train/cat/0.png", tmp_path / "test")
    with pytest.raises(ValueError, match=r"test: got images beside train .*; moved elsewhere, purecnn predict takes"):
        list_folder(tmp_path)


def test_folds_that_are_taken_as_classes_are_a_warning(tmp_path):
    for n in range(3):
        write_folder(tmp_path / f"fold{n}")
    message = r"every folder has cat, dog, owl in it; fold0 and fold1 are taken as classes, not these"
    with pytest.warns(UserWarning, match=message):
        assert read("folder", str(tmp_path)).classes == ("fold0", "fold1", "fold2")


KINDS = {
    "train-00000-of-00001.parquet": "Parquet is not read, such as .*: purecnn.train.fit takes batches of what",
    "pets-train.tfrecord-00000-of-00001": "TFRecord is not read",
    "data.mdb": "LMDB is not read",
    "data.H5": "HDF5 is not read",
    "shard-0000.tar": "unpack the archive shard-0000.tar",
    "train-images-idx3-ubyte.gz": r"--data mnist \(or fashion-mnist\) reads train-images-idx3-ubyte.gz",
    "cifar-10-binary.tar.gz": "--data cifar10 reads cifar-10-binary.tar.gz",
    "pets.npz": "--data npz --data-dir .*pets.npz reads one file of arrays",
    "labels.csv": "--labels .*labels.csv takes a table, --data-dir the folder of its images$",
}


@pytest.mark.parametrize("name", KINDS)
def test_files_of_other_tools_say_what_to_do(tmp_path, name):
    (tmp_path / "1.0.0").mkdir()
    (tmp_path / "1.0.0" / name).write_bytes(99 * b"x")
    for place in (tmp_path, tmp_path / "1.0.0", tmp_path / "1.0.0" / name):
        with pytest.raises(ValueError, match=f"(got . folder|is a file).*; {KINDS[name]}"):
            read("folder", str(place))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("Images", "masks"),
            "root: got Images, masks, expected a folder for every class; a set for detection or segm",
        ),
        (
            ("annotations", "train2017"),
            "annotations: got no images, .*; a set for detection or segmentation has no fol",
        ),
        (("trainA", "trainB"), "root: got trainA, trainB, which look like splits"),
    ],
)
def test_sets_without_folders_of_classes_are_named_as_that(tmp_path, names, message):
    """Masks beside images, boxes beside the splits of COCO, and two domains: none are classes."""
    for name in names:
        (tmp_path / "root" / name).mkdir(parents=True)
        if name != "annotations":
            shutil.copy(next(iter(write_folder(tmp_path / "made"))), tmp_path / "root" / name)
    with pytest.raises(ValueError, match=message):
        read("folder", str(tmp_path / "root"))


def test_a_folder_that_is_not_the_one_of_the_classes_says_which_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("pets", "my pets"):
        write_folder(tmp_path / name)
    for got, meant in (
        ("pets/cat", "pets, of which cat is one class"),
        ("pets/*", "--data-dir pets"),
        ("petz", "--data-dir pets"),
        ("pets ", "--data-dir pets"),
        ("'my pets'", "--data-dir 'my pets'"),
        (r"my\ pets", "--data-dir 'my pets'"),
    ):
        with pytest.raises(ValueError, match=rf"; did you mean {re.escape(meant)}\?$"):
            read("folder", got)
    with pytest.raises(ValueError, match="there is no such folder; --data-dir says in which"):
        read("folder", "birds")
    shutil.rmtree(tmp_path / "pets")
    for split in ("train", "val"):
        write_folder(tmp_path / "pets" / split)
    for path in (tmp_path / "pets" / "val").rglob("*.png"):
        path.unlink()
    with pytest.raises(ValueError, match=r"val: got no folder of a class with images; put some there, or remove it"):
        read("folder", "pets")


def test_a_table_among_the_images_is_named(tmp_path):
    write_folder(tmp_path / "made", classes=("cat",))
    (tmp_path / "made" / "cat" / "metadata.csv").write_text("file_name,label")
    with pytest.raises(ValueError, match=r"got 0 folders, .*; --labels \S+cat/metadata\.csv may be a table of images "):
        read("folder", str(tmp_path / "made" / "cat"))


def test_a_link_upwards_among_the_classes_is_called_one(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path)
    with pytest.raises(ValueError, match=r"loop: got no images, .*; it is a link to a folder above, remove it$"):
        read("folder", str(tmp_path))


@pytest.mark.parametrize(
    ("suffix", "content", "words"),
    [
        (".dcm", bytes(128) + b"DICM", "; DICOM is not read, such as 0.dcm: purecnn.train.fit takes batches of what"),
        (".nii.gz", b"\x1f\x8b", "; NIfTI is not read, such as 0.nii.gz"),
        (".npy", b"\x93NUMPY", "; npy is not read, such as 0.npy"),
        ("", bytes(128) + b"DICM", "; 0 is DICOM, which is not supported"),
        (".jp2", b"\0\0\0\x0cjP  ", "; 0.jp2 is JPEG 2000, which is not supported"),
        (".xyz", b"?", "; remove it if it is none"),
    ],
)
def test_classes_with_other_files_than_images_are_told_what_these_are(tmp_path, suffix, content, words):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"0{suffix}").write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"expected at least one in the folder of a class{words}")):
        list_folder(tmp_path)


@pytest.mark.parametrize("place", ["fox", "train/fox", "val"])
def test_a_folder_behind_a_dead_link_is_told_and_not_passed_over(tmp_path, place):
    for root in (tmp_path / "train", tmp_path / "test") if place != "fox" else (tmp_path,):
        write_folder(root, each=4)
    (tmp_path / place).symlink_to("not-mounted")
    (tmp_path / "notes.txt").symlink_to("nowhere")  # which is no folder, by its name
    with pytest.raises(ValueError, match=rf"{place}: is a dead link(; --skip-unreadable|$)"):
        read("folder", str(tmp_path))
    if place != "val":
        assert read("folder", str(tmp_path), skip_unreadable=True).classes == ("cat", "dog", "owl")
