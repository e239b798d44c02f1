"""The bar while many files are read."""

import io

import pytest
from rich.console import Console

from purecnn.data import waiting


@pytest.mark.parametrize(("terminal", "total", "says"), [(True, 600, True), (True, 20, False), (False, 600, False)])
def test_many_files_are_told_of_on_a_terminal(monkeypatch, terminal, total, says):
    console = Console(force_terminal=terminal, record=True, width=80, file=io.StringIO())
    monkeypatch.setattr(waiting, "Console", lambda stderr: console)
    assert list(waiting.shown(iter(range(total)), "decoding", total)) == list(range(total))
    assert ("decoding" in console.export_text()) == says
