"""What is in a folder of images before any is decoded: classes, splits, litter, names."""

import os
import shutil
import unicodedata
from functools import partial

import numpy as np
import pytest

from purecnn.data import readers
from purecnn.train.config import Config
from purecnn.train.run_folder import write_config
from tests.data.making import write_folder

read = partial(readers.read, val_share=0.0)  # nothing held out to validate: tests/data/test_holdout.py


def test_the_held_out_images_stay_held_out_when_others_come_and_go(tmp_path):
    write_folder(tmp_path, each=20)

    def test_images():
        return {image.tobytes() for image in read("folder", str(tmp_path)).test.images}

    before = test_images()
    assert before == test_images()
    (tmp_path / "cat" / "3.png").unlink()
    shutil.copy(tmp_path / "dog" / "4.png", tmp_path / "dog" / "new.png")
    assert len(before & test_images()) >= len(before) - 2


@pytest.mark.parametrize("second", ["test", "val"])
def test_train_and_test_folders_are_taken_as_they_are(tmp_path, second):
    train = write_folder(tmp_path / "train", each=3)
    test = write_folder(tmp_path / second, each=1)
    data = read("folder", str(tmp_path))
    np.testing.assert_array_equal(data.train.images, list(train.values()))
    np.testing.assert_array_equal(data.test.images, list(test.values()))
    np.testing.assert_array_equal(data.test.labels, [0, 1, 2])


def test_litter_and_hidden_files_are_passed_over(tmp_path):
    write_folder(tmp_path)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / "cat" / name).write_text("litter")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "labels.csv").write_text("beside the classes")
    for name in ("__MACOSX", "cat/@eaDir", "cat/__MACOSX/deep"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "0.png").write_text("litter")
    assert len(read("folder", str(tmp_path)).train) == 12


@pytest.mark.parametrize("splits", [("",), ("train",), ("train", "test")])
def test_runs_that_lie_beside_the_images_are_passed_over(tmp_path, splits):
    """`cd pets; purecnn train --data folder --data-dir .` makes them, and pictures in them, where the images are."""
    root = tmp_path / "pets"
    for split in splits:
        write_folder(root / split)
    before = readers.read("folder", str(root))
    for run in ("runs/lenet-folder-1", "runs/mlp-folder-1", "out"):
        (root / run).mkdir(parents=True)
        write_config(root / run, Config(data="folder", data_dir=str(root)))
        shutil.copy(root / splits[0] / "cat/0.png", root / run / "curves.png")
        (root / run / "best.safetensors").write_bytes(b"weights")
    after = readers.read("folder", str(root))
    assert after.classes == before.classes == ("cat", "dog", "owl")
    assert {name: split.checksum() for name, split in after.splits().items()} == {
        name: split.checksum() for name, split in before.splits().items()
    }
    (root / splits[0] / "cat" / "config.yaml").write_text("colour: red")  # it is still a class
    assert readers.read("folder", str(root), skip_unreadable=True).classes == before.classes


def test_images_in_folders_below_count_as_the_class_and_are_held_out_by_their_paths(tmp_path):
    made = write_folder(tmp_path, each=10)
    flat = read("folder", str(tmp_path))
    for path in list(made):
        deep = path.parent / "deep" / "er" if path.stem in "0123" else path.parent
        deep.mkdir(parents=True, exist_ok=True)
        path.rename(deep / path.name)
    data = read("folder", str(tmp_path))
    assert data.classes == flat.classes
    assert sorted(map(bytes, [*data.train.images, *data.test.images])) == sorted(p.tobytes() for p in made.values())
    names = [*data.train.names, *data.test.names]
    assert "cat/deep/er/0.png" in names
    labels = [*data.train.labels, *data.test.labels]
    assert [data.classes[label] for label in labels] == [name.split("/")[0] for name in names]


def test_a_suffix_decides_nothing(tmp_path):
    made = write_folder(tmp_path, suffix=".jpg", side=(16, 16))
    names = ("a", "b.jfif", "c.dat", "d.JPEG", "e.png")
    for name in ("cat", "dog", "owl"):
        for old, new in zip(sorted((tmp_path / name).iterdir()), names, strict=True):
            old.rename(tmp_path / name / new)
    data = read("folder", str(tmp_path))
    assert len(data.train) + len(data.test) == len(made)


def test_composed_and_decomposed_names_are_one_class(tmp_path):
    for form, suffix in (("NFC", ".png"), ("NFD", ".bmp")):
        write_folder(
            tmp_path / "train", classes=(unicodedata.normalize(form, "Käfer"), "家族 👨\u200d👩"), suffix=suffix
        )
    write_folder(tmp_path / "test", classes=(unicodedata.normalize("NFD", "Käfer"), os.fsdecode(b"caf\xe9")), each=2)
    with pytest.raises(ValueError, match=r"class caf\\xe9 is not among those"):
        read("folder", str(tmp_path))
    os.rename(os.fsencode(tmp_path) + b"/test/caf\xe9", tmp_path / "test" / "家族 👨\u200d👩")
    data = read("folder", str(tmp_path))
    assert data.classes == ("Käfer", "家族 👨\u200d👩")
    np.testing.assert_array_equal(np.bincount(data.train.labels), [10, 10])
    np.testing.assert_array_equal(data.test.labels, [0, 0, 1, 1])


def test_splits_in_the_folders_of_classes_are_a_warning(tmp_path):
    for name in ("cat", "dog"):
        write_folder(tmp_path / name, classes=("train", "val"))
    with pytest.warns(UserWarning, match=r"cat: its folders train and val are taken as one, expected .*/train/cat and"):
        assert read("folder", str(tmp_path)).classes == ("cat", "dog")


LAYOUTS = {
    "an archive": (
        lambda root: (shutil.rmtree(root), root.touch()),
        "root: is a file; --data-dir says in which folder",
    ),
    "nothing there": (lambda root: shutil.rmtree(root), "there is no such folder"),
    "one class": (lambda root: [shutil.rmtree(root / name) for name in ("dog", "owl")], "got 1 folder, expected one"),
    "one level too high": (
        lambda root: (write_folder(root / "pets"), [shutil.rmtree(root / name) for name in ("cat", "dog", "owl")]),
        r"got 1 folder, expected one for every class, at least 2; did you mean .*root/pets\?",
    ),
    "three levels too high": (
        lambda root: (
            [shutil.rmtree(root / name) for name in ("cat", "dog", "owl")],
            [write_folder(root / "archive" / "data" / name) for name in ("train", "test")],
        ),
        r"got 1 folder, expected one for every class, at least 2; did you mean .*root/archive/data\?",
    ),
    "a split without folders": (
        lambda root: [(root / "cat").rename(root / "train"), *(shutil.rmtree(root / name) for name in ("dog", "owl"))],
        "; train alone has images: add a folder for another class, or --labels names a table of images that lie in no",
    ),
    "a link in a circle": (
        lambda root: (
            [shutil.rmtree(root / name) for name in ("cat", "dog", "owl")],
            (root / "loop").symlink_to(root),
        ),
        "got 1 folder, expected one for every class, at least 2$",
    ),
    "no folders": (
        lambda root: (
            [shutil.rmtree(root / name) for name in ("dog", "owl")]
            + [shutil.move(root / "cat" / "0.png", root), shutil.rmtree(root / "cat")]
        ),
        "got 0 folders, .*; --labels names a table of images that lie in no folders",
    ),
    "val without folders": (
        lambda root: (
            write_folder(root / "train"),
            write_folder(root / "val"),
            shutil.copy(root / "cat/0.png", root / "val"),
        ),
        "val: got images beside train that are in no folder of a class, .*; --data-dir .*/train leaves them out$",
    ),
    "empty class": (lambda root: (root / "yak").mkdir(), "yak: got no images, expected at least one"),
    "boxes beside images": (
        lambda root: ((root / "cat").rename(root / "images"), (root / "Labels").mkdir()),
        "Labels: got no images, .*; a set for detection or segmentation has no folders of classes",
    ),
    "lonely image": (lambda root: [(root / "owl" / f"{n}.png").unlink() for n in range(4)], "owl: got one image"),
    "train beside classes": (
        lambda root: (root / "train").mkdir(),
        "got train beside cat, dog, owl; expected train, .* --data-dir .*train takes train alone",
    ),
    "val alone": (lambda root: (root / "val").mkdir(), "got only val, expected train beside them"),
    "two of a kind": (
        lambda root: [(root / name).mkdir() for name in ("train", "val", "Valid")],
        "got Valid and val, expected one folder of val images",
    ),
    "nothing to test with": (
        lambda root: (write_folder(root / "train"), (root / "test").mkdir()),
        "test: got no folder of a class, expected some of .*; --data-dir .*/train leaves it out",
    ),
    "splits by names of their own": (
        lambda root: (
            [shutil.rmtree(root / name) for name in ("cat", "dog", "owl")],
            [write_folder(root / name) for name in ("seg_train", "test2017")],
        ),
        "got seg_train, test2017, which look like splits; expected train, .*; --data-dir .*/seg_train takes it alone",
    ),
    "classes one folder below": (
        lambda root: (
            [shutil.rmtree(root / name) for name in ("cat", "dog", "owl")],
            write_folder(root / "pictures"),
            (root / "meta").mkdir(),
        ),
        r"meta: got no images, .*; did you mean --data-dir .*/pictures\?",
    ),
    "a name with a bell": (
        lambda root: (root / "c\a").mkdir(),
        r"c\\x07: expected a class name without control",
    ),
    "other classes": (
        lambda root: (write_folder(root / "train"), write_folder(root / "test", classes=("cat", "dog", "yak"))),
        "class yak is not among those of the training images: ",
    ),
}


def test_images_beside_the_classes_are_counted(tmp_path):
    write_folder(tmp_path)
    shutil.copy(tmp_path / "cat/0.png", tmp_path / "loose.png")
    (tmp_path / "notes.txt").touch()
    assert read("folder", str(tmp_path)).notes[0] == f"1 image of {tmp_path} left out, in no folder of a class"


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_folder_laid_out_wrongly_is_refused(tmp_path, kind):
    root = tmp_path / "root"
    write_folder(root)
    change, reason = LAYOUTS[kind]
    change(root)
    with pytest.raises(ValueError, match=reason) as caught:
        read("folder", str(root))
    assert str(caught.value).startswith(str(root))


def test_the_name_of_the_set_is_fit_for_a_title(tmp_path):
    write_folder(tmp_path / "my [bold]$pets$")
    assert read("folder", str(tmp_path / "my [bold]$pets$")).name == "my _bold__pets_"


def test_what_may_not_be_opened_is_named_and_may_be_skipped(tmp_path, forbidden):
    """A folder, a picture, and a file without a suffix, which may be one."""
    write_folder(tmp_path, each=6)
    (tmp_path / "cat" / "deep").mkdir()
    (tmp_path / "dog" / "plain").touch()
    closed = [tmp_path / "cat" / "deep", tmp_path / "dog" / "0.png", tmp_path / "dog" / "plain"]
    forbidden(*closed)
    with pytest.raises(ValueError, match="cat/deep: Permission denied; --skip-unreadable leaves out"):
        read("folder", str(tmp_path))
    data = read("folder", str(tmp_path), skip_unreadable=True)
    assert sorted(data.skipped) == [f"{path}: Permission denied" for path in closed]
    assert len(data.train) + len(data.test) == 17
    forbidden(tmp_path / "dog")
    with pytest.raises(ValueError, match=r"dog: got no images, expected at least one .*; .*dog: Permission denied$"):
        read("folder", str(tmp_path), skip_unreadable=True)
