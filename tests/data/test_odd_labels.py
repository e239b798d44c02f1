"""Tables of labels that can be read, and whose cells are hardly the names of classes."""

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
