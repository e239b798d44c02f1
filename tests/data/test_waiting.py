"""The bar while many files are read."""

import io

import pytest
from rich.console import Console

from purecnn.data import waiting


@pytest.mark.parametrize(("terminal", "total", "says"), [(True, 600, True), (True, 20, False), (False, 600, False)])
def test_many_files_are_told_of_on_a_terminal(monkeypatch, terminal, total, says):
    console = Console(force_terminal=terminal, record=True, width=80, file=io.StringIO())
    monkeypatch.setattr(waiting, "Console", lambda **how: console if "stderr" in how else Console(**how))
    assert list(waiting.shown(iter(range(total)), "decoding", total)) == list(range(total))
    assert ("decoding" in console.export_text()) == says


def test_the_bar_leaves_room_for_what_ctrl_c_writes(monkeypatch):
    console = Console(force_terminal=True, record=True, width=40, file=io.StringIO())
    monkeypatch.setattr(waiting, "Console", lambda **how: console if "stderr" in how else Console(**how))
    list(waiting.shown(iter(range(600)), "reading headers", 600))
    line = console.export_text().rpartition("reading headers ")[2].strip()  # the last time that it was drawn
    assert "100%" in line
    assert "…" not in line
    assert len("reading headers " + line) <= 40 - len("^C")
