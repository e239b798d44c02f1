"""The book's pages as what a test needs: blocks of code, what they print, what they quote."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.S | re.M)
# A paragraph that starts with [`purecnn/chain.py`](../../purecnn/chain.py) and ends in a colon, in front of a fence.
QUOTES = re.compile(r"(?:^|\n)\[`[^`]+`\]\(([^)]+\.py)\)(?:[^\n]+\n)*[^\n]*:\n\n$")


@dataclass(frozen=True)
class Block:
    """One fence: its language, its text, and the file whose lines it shows, if the paragraph above starts with one."""

    language: str
    text: str
    source: Path | None


def blocks(page):
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        quoted = QUOTES.search(text[: match.start()][-600:]) if match[2] == "python" else None
        source = None if quoted is None else (page.parent / quoted[1]).resolve()
        found.append(Block(match[2], textwrap.dedent(match[3]), source))
    return found


def name(page):
    return page.relative_to(DOCS).with_suffix("").as_posix()
