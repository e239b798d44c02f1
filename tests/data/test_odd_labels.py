"""Tables of labels that can be read, and whose cells are hardly the names of classes."""

import gzip
import os

import pytest

from purecnn.data.labels import read_labels
from purecnn.data.readers import read
from tests.data.making import write_folder


@pytest.mark.parametrize(
    ("labels", "warning"),
    [
        (("0.37", "1.24", "2"), "got classes such as 0.37, expected names: .*; values are not predicted"),
        (
            ("cat", "dog", "cat|dog"),
            r"got several classes in a cell: 'cat\|dog' is a class of its own; an image has one",
        ),
        (("cat dog", "dog", "cat"), "'cat dog' is a class of its own"),
        (("cat", '"dog, cat"', "dog"), "'dog, cat' is a class of its own"),
        (("\"['cat', 'dog']\"", "['dog']"), "is a class of its own"),
        (("cat", "NaN", "dog"), "got the class NaN, as of an image without one; leave such lines out"),
        (("cat", "dog", "#N/A"), "got the class #N/A, as of an image without one"),
    ],
)
def test_values_and_several_classes_in_a_cell_are_a_warning(tmp_path, labels, warning):
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["file,class", *(f"{n}.png,{label}" for n, label in enumerate(labels))]))
    with pytest.warns(UserWarning, match=warning):
        assert len(read_labels(table, tmp_path)) == len(labels)


@pytest.mark.parametrize(
    "labels",
    [
        ("0", "1", "10"),
        ("0.0", "1.0"),
        ("cat", "wild cat", "big cat"),
        ("A/C", "DC"),
        ("(none)", "[UNK]"),
        ("x.5", "1.5"),
        ("nan bread", "none"),
        ("007", "042"),
    ],
)
def test_names_and_whole_numbers_are_classes_without_a_warning(tmp_path, labels):
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["file,class", *(f"{n}.png,{label}" for n, label in enumerate(labels))]))
    assert [label for label, _ in read_labels(table, tmp_path).values()] == list(labels)


def test_files_without_suffix_are_looked_for_in_a_list_of_their_folder(tmp_path, monkeypatch):
    """Where a disk is far away, asking for every file by every suffix takes minutes."""
    made = write_folder(tmp_path / "pets", classes=("a", "b"), each=20)
    rows = [f"{path.relative_to(tmp_path / 'pets').with_suffix('')},{path.parent.name}\n" for path in made]
    (tmp_path / "labels.csv").write_text("id,label\n" + "".join(rows))
    asked, exists = [], os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda path: asked.append(path) or exists(path))
    data = read("folder", str(tmp_path / "pets"), labels=str(tmp_path / "labels.csv"))
    assert sum(len(split) for split in data.splits().values()) == 40
    assert len(asked) < 4 * 40


def test_a_second_column_of_classes_is_a_warning_and_the_same_one_twice_is_refused(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,label,class_name\na.png,0,cat\nb.png,1,dog\n")
    with pytest.warns(UserWarning, match=r"labels\.csv: the column class_name is passed over, label has the classes$"):
        assert [label for label, _ in read_labels(table, tmp_path).values()] == ["0", "1"]
    table.write_text("file,Class,class\na.png,0,cat\n")
    with pytest.raises(ValueError, match=r"labels\.csv: got the column class 2 times, expected it once"):
        read_labels(table, tmp_path)


def test_files_in_other_letters_than_on_the_disk_are_read(tmp_path):
    """As where a table was made on Windows."""
    made = write_folder(tmp_path / "pets", classes=("a", "b"), each=5)
    (tmp_path / "t.csv").write_text(
        "file,class\n" + "".join(f"{p.parent.name}/{p.stem}.PNG,{p.parent.name}\n" for p in made)
    )
    data = read("folder", str(tmp_path / "pets"), labels=str(tmp_path / "t.csv"))
    assert sum(len(split) for split in data.splits().values()) == 10
    assert data.notes == ("held out of every class, by file name: 20 % to test with and 10 % to validate",)


@pytest.mark.parametrize("named", ["7", "/home/me/0007.png", "pets/0007.png", "https://x.org/0007.png"])
def test_files_by_other_names_are_told_what_is_there(tmp_path, named):
    write_folder(tmp_path / "pets", classes=("a",))
    for n, path in enumerate(sorted((tmp_path / "pets" / "a").iterdir())):
        path.rename(tmp_path / "pets" / f"{n + 6:04}.png")
    (tmp_path / "t.csv").write_text(f"file,class\n{named},cat\nother.png,dog\n")
    message = "expected their paths from there, such as 0007.png$|expected paths from there$"
    with pytest.raises(ValueError, match=message):
        read("folder", str(tmp_path / "pets"), labels=str(tmp_path / "t.csv"))


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(ValueError, match=r": is a folder, expected a table of the images, as CSV$"):
        read_labels(tmp_path, tmp_path)


def test_a_list_of_files_and_their_numbers_is_told_what_is_missing(tmp_path):
    """As Caffe and MMClassification have it."""
    (tmp_path / "val.txt").write_text("val/b.JPEG 65\nval/c.JPEG 970\n")
    message = "; it is a line of its own, such as file,class; commas, semicolons or tabs divide the columns$"
    with pytest.raises(ValueError, match=message):
        read_labels(tmp_path / "val.txt", tmp_path)


@pytest.mark.parametrize(
    ("head", "lines", "message"),
    [
        (
            "patient_id",
            ("a,7", "b,7", "a,8"),
            "images of patient_id 7 may be trained on and tested with; a",
        ),
        ("Patient ID,split", ("a,7,train", "b,7,val", "a,8,test"), "images of patient_id 7 are in train and val: the"),
        ("subject,split", ("a,7,train", "b,7,train", "a,8,test"), ""),
        ("subject", ("a,7", "b,8", "a,"), ""),
        ("group", ("a,7", "b,7", "a,7"), ""),
    ],
)
def test_images_of_one_patient_in_several_splits_are_a_warning(tmp_path, recwarn, head, lines, message):
    table = tmp_path / "labels.csv"
    table.write_text(f"file,class,{head}\n" + "".join(f"{n}.png,{line}\n" for n, line in enumerate(lines)))
    assert len(read_labels(table, tmp_path)) == 3
    assert [str(one.message).partition(": ")[2][: len(message)] for one in recwarn] == [message] * bool(message)


def test_a_column_of_folds_is_a_warning(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,class,fold\na.png,cat,0\nb.png,dog,4\n")
    with pytest.warns(UserWarning, match=r"the column fold is passed over, expected a column split of train, val and"):
        read_labels(table, tmp_path)


def test_a_packed_table_is_to_be_unpacked(tmp_path):
    (tmp_path / "labels.csv.gz").write_bytes(gzip.compress(b"file,class\na.png,cat\n"))
    with pytest.raises(ValueError, match=r"got a gzip archive, not CSV; .*; unpack it$"):
        read_labels(tmp_path / "labels.csv.gz", tmp_path)


def test_blank_lines_before_the_columns_are_passed_over_and_counted(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_bytes(b"\r\n\nfile,class\r\na.png,cat\r\nb.png,dog\r\n")
    assert [label for label, _ in read_labels(table, tmp_path).values()] == ["cat", "dog"]
    table.write_bytes(b"\r\n\nfile,class\r\na.png,cat\r\nb.png,\r\n")
    with pytest.raises(ValueError, match=r"line 5: got 'b.png' and ''"):
        read_labels(table, tmp_path)


def test_a_table_that_is_in_the_folder_of_the_images_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "pets")
    (tmp_path / "pets" / "labels.csv").write_text("file,class\n")
    with pytest.raises(
        ValueError, match=r"^labels\.csv: there is no such file; did you mean --labels pets/labels\.csv"
    ):
        read("folder", "pets", labels="labels.csv")
