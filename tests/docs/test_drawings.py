"""The drawings in the book are those that their script makes, and each is shown somewhere."""

import re
import subprocess
import sys

import pytest

from tests.docs.pages import DOCS, PAGES

FOLDER = DOCS / "drawings"
NAMES = sorted(path.name for path in FOLDER.glob("*.svg"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawings")
    subprocess.run([sys.executable, FOLDER / "draw.py", folder], cwd=DOCS.parent, check=True)
    return folder


def words(path):
    """Every text of a drawing, in order: matplotlib writes each as a comment in front of its outlines."""
    return re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_script_draws_what_the_book_shows(drawn):
    assert sorted(path.name for path in drawn.glob("*.svg")) == NAMES
    for name in NAMES:
        assert words(drawn / name) == words(FOLDER / name), name
        assert len(words(FOLDER / name)) > 5


def test_drawings_are_small_and_shown():
    shown = {link for page in PAGES for link in re.findall(r"drawings/(\w+\.svg)", page.read_text(encoding="utf-8"))}
    assert shown == set(NAMES)
    assert all((FOLDER / name).stat().st_size < 60_000 for name in NAMES)
