"""A comprehension takes no name that its function has from the function around it.

Python 3.12 to 3.14 inline list, set and dict comprehensions, and lose such a name on the way: "cannot access free
variable" (python/cpython#121377). Python 3.11, which the lock is for, keeps a scope for each, and so can find them.
"""

import symtable
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INLINED = {"listcomp", "setcomp", "dictcomp"}

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 12), reason="inlined already: no scopes that could be compared")


def lost_names(source: str) -> list[str]:
    """`function: name` for each name of an enclosing function that a comprehension takes from the function it is in."""
    return list(_lost(symtable.symtable(source, "source", "exec")))


def _lost(table):
    free = set(table.get_frees()) if isinstance(table, symtable.Function) else set()
    for child in table.get_children():
        if child.get_name() in INLINED:
            yield from (f"{table.get_name()}: {name}" for name in sorted(free & set(child.get_locals())))
        yield from _lost(child)


@pytest.mark.parametrize("folder", ["purecnn", "verify", "tests", "experiments", "docs"])
def test_no_comprehension_takes_a_name_of_an_enclosing_function(folder):
    files = list((ROOT / folder).rglob("*.py"))
    assert len(files) > 3
    assert not {str(file): lost for file in files if (lost := lost_names(file.read_text(encoding="utf-8")))}


def test_a_name_that_would_be_lost_is_found():
    function = "def f(row):\n    def g(rows):\n        first = next(row(r) for r in rows)\n"
    assert lost_names(function + "        return first, [row for row in rows]\n") == ["g: row"]
    assert lost_names(function + "        return first, [other for other in rows]\n") == []
