"""Every block of Python in the book is a part of the file that it names, or it runs and prints what stands below it."""

import contextlib
import io
import re
import textwrap

import jax
import pytest

from tests.docs.pages import PAGES, ROOT, blocks, name
from tests.sampling import slow_but

# The blocks of these are fragments, held by the tests of what they tell of.
TOLD_ELSEWHERE = {"cluster", "drop_in", "speed", "train", "verify"}
LONG = {"exercises", "verify_your_rule"}
LOCKED = re.search(r"^jax==(\S+)", (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8"), re.M)[1]
BOOK = [page for page in PAGES if name(page) not in TOLD_ELSEWHERE]
RUNNABLE = [page for page in BOOK if any(b.language == "python" and b.source is None for b in blocks(page))]
QUOTING = [page for page in BOOK if any(b.source for b in blocks(page))]


@pytest.mark.parametrize("page", QUOTING, ids=name)
def test_quoted_lines_stand_in_the_file_that_is_named(page):
    for block in blocks(page):
        if block.source is not None:
            assert is_part(block.text, block.source.read_text(encoding="utf-8")), f"{block.source}:\n{block.text}"


def is_part(text, whole):
    """Whether the lines of `text` are lines of `whole`, one after the other, however far they are indented there."""
    indents = {re.match(" *", line)[0] for line in whole.splitlines()}
    return any("\n" + textwrap.indent(text, indent) in "\n" + whole for indent in indents)


def test_a_line_that_is_not_in_the_file_is_noticed():
    assert is_part("b = 2\nc = 3\n", "def f():\n    a = 1\n    b = 2\n    c = 3\n")
    assert not is_part("b = 2\nd = 3\n", "def f():\n    a = 1\n    b = 2\n    c = 3\n")
    assert not is_part("= 2\n", "b = 2\n")


@pytest.mark.usefixtures("a_users_jax")
@pytest.mark.parametrize("page", slow_but([page for page in RUNNABLE if name(page) not in LONG], RUNNABLE), ids=name)
def test_blocks_run_one_after_the_other_and_print_what_the_page_says(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    names, printed = {"__name__": "page"}, ""
    for block in blocks(page):
        if block.language == "python" and block.source is None:
            assert printed == "", f"the page does not show what is printed: {printed}"
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(block.text, f"{name(page)}.md", "exec"), names)
            printed = out.getvalue()
        elif block.language == "output":
            assert steady(printed) == steady(block.text), printed
            printed = ""
    assert printed == "", f"the page does not show what is printed: {printed}"


def steady(printed):
    """Lines as they are; of a report of `verify` without the seconds at its end and the last digits of its numbers.

    The pages show what the lock's JAX gives. With another JAX verdicts and causes are compared alone.
    """
    lines = printed.rstrip().splitlines()
    if any(line.startswith("  ran: ") for line in lines):
        lines = [re.sub(r"-?\d+\.\d+(e-\d+)?|\d+e-\d+", "number", line) for line in lines]
        lines = [line for line in lines if line != "  number s"]
        if jax.__version__ != LOCKED:  # another JAX has other words and other last digits: which element is the worst
            lines = [line for line in lines if not line.startswith(" ") or "likely cause:" in line]
    return [line.rstrip() for line in lines]
