"""Tables whose names of files are not quite those on the disk."""

import unicodedata
from pathlib import Path

import pytest

from purecnn.data.named_files import as_on_disk, called_like


@pytest.fixture
def root(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("IMG_1.jpg", "a/7.PNG", "a/8.png", "a/8.JPEG", "notes.txt", "Käfer.png"):
        (tmp_path / unicodedata.normalize("NFD", name)).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("named", "there"),
    [
        ("IMG_1.jpg", "IMG_1.jpg"),
        ("IMG_1.JPG", "IMG_1.jpg"),
        ("img_1", "IMG_1.jpg"),
        ("a/7", "a/7.PNG"),
        ("a/7.png", "a/7.PNG"),
        ("a/8.jpeg", "a/8.JPEG"),
        (unicodedata.normalize("NFC", "Käfer.png"), unicodedata.normalize("NFD", "Käfer.png")),
        ("notes", "notes"),
        ("gone.png", "gone.png"),
        ("b/gone.png", "b/gone.png"),
    ],
)
def test_the_only_file_that_is_called_so_counts(root, named, there):
    assert as_on_disk({named: 1}, root) == {there: 1}


def test_several_files_and_two_classes_of_one_are_refused(root):
    with pytest.raises(ValueError, match=r"a/8: there are a/8\.JPEG and a/8\.png, expected one, or its suffix in the"):
        as_on_disk({"a/8": 1}, root)
    (root / "A.png").touch()
    assert as_on_disk({"A": 1, "A.PNG": 1}, root) == {"A.png": 1}
    with pytest.raises(ValueError, match=r"A\.png: got two lines of the table that name it, with two classes"):
        as_on_disk({"A": 1, "A.PNG": 2}, root)


@pytest.mark.parametrize("name", ["7", "07.png", "x/7.png", "/home/me/7.png", "https://x.org/7.PNG"])
def test_what_may_be_meant_is_found_by_its_last_part(name):
    assert called_like(name, [Path("b/8.png"), Path("b/0007.png")]) == Path("b/0007.png")
