import os
import unicodedata

import pytest

from purecnn.data.file_tree import is_litter, readable_name, subfolders, walk


def test_litter_is_what_systems_leave_and_what_is_hidden():
    litter = (".DS_Store", "._a.png", "Thumbs.db", "DESKTOP.INI", "__MACOSX", "@eaDir", "Icon\r", "lost+found")
    assert all(map(is_litter, litter))
    assert not any(map(is_litter, ("a.png", "eaDir", "thumbs", "_a", "MACOSX")))


def test_everything_below_is_found_in_order_through_links_and_without_litter(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for name in ("b/2.png", "b/deep/er/1.png", "a.png", "@eaDir/a.png", "b/.hidden/x.png", "b/__MACOSX/y.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    elsewhere.mkdir()
    (elsewhere / "far.png").touch()
    (root / "c").symlink_to(elsewhere)
    (root / "d.png").symlink_to("nowhere")
    found = [path.relative_to(root).as_posix() for path in walk(root)]
    assert found == ["a.png", "b/2.png", "b/deep/er/1.png", "c/far.png", "d.png"]
    assert subfolders(root) == ["b", "c"]


def test_links_in_circles_end(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "2.png").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in walk(tmp_path)] == ["a/1.png", "c/2.png"]
    assert [path.name for path in walk(tmp_path / "a")] == ["1.png"]  # what is beside a is not in it


def test_a_name_is_composed_unicode_whatever_the_disk_made_of_it():
    assert readable_name(unicodedata.normalize("NFD", "Käfer")) == "Käfer"
    assert readable_name("👨‍👩‍👧 家族") == "👨‍👩‍👧 家族"
    assert readable_name(os.fsdecode(b"caf\xe9")) == "caf\\xe9"


def test_a_link_to_itself_is_a_file_and_stops_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").touch()
    (tmp_path / "self").symlink_to("self")
    assert subfolders(tmp_path) == ["a"]
    assert [path.relative_to(tmp_path).as_posix() for path in walk(tmp_path)] == ["a/1.png", "self"]


def test_a_folder_that_may_not_be_entered_is_an_error_or_a_fault_among_others(tmp_path, forbidden):
    for name in ("a/1.png", "b/deep/2.png", "b/3.png", "c/4.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    forbidden(tmp_path / "b" / "deep", tmp_path / "c")
    with pytest.raises(ValueError, match=r"b/deep: Permission denied$"):
        walk(tmp_path)
    faults = {}
    assert [path.relative_to(tmp_path).as_posix() for path in walk(tmp_path, faults)] == ["a/1.png", "b/3.png"]
    assert faults == {path: f"{path}: Permission denied" for path in (tmp_path / "b" / "deep", tmp_path / "c")}
