"""Words that only insiders understand stay out of names, comments, messages and pages; the field has its own."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Each pattern, and what to write in its place.
PRIVATE = {
    r"as (?:it|they) lies?\b": "in its memory layout",
    r"written[ _]down|must write down": "materialised",
    r"formed in (?:float|the (?:dtype|accumulation))": "accumulates in",
    r"\bscreenful\b": "page",
    r"\bnobod(?:y|ies)": "who or what it is, or the passive",
    r"\b(?:un)?spoil(?:t|ed|s)?\b": "corrupt",
    r"\bwrong rules?\b": "faulty rule",
    r"\broads?\b": "oracle, or way",
    r"\bevened\b": "padded to an even number of channels",
    r"\bminimal filtering": "Winograd F(m, k), transform domain",
    r"what a tap reads|\btaps\b": "kernel offsets",
    r"\btheir cotangents home\b": "accumulate",
    r"\blength of the gradient|gradient'?s length": "gradient norm",
    r"\bthat is no number": "non-finite",
    r"to be gone on with|gone on with": "resume",
    r"\bblindness\b": "detection limit",
    r"\bthin (?:layers?|kernels?|images?|convolutions?)": "few-channel",
    r"\bbegin_from\b|\basked_to_stop\b|\badd_input\b|\bcount_padding\b": "the name of today",
    r"w stands in T": "T is the banded (Toeplitz) kernel",
}
# Names of result files' entries and old names in the changelog are quoted as they were.
QUOTING = {"CHANGELOG.md", "tests/test_words.py", "experiments/verify_false_alarms/README.md"}
RECORDED = re.compile(r"experiments/\w+/results/")
FOLDERS = ("purecnn", "verify", "tests", "experiments", "docs")


def texts():
    for path in [*ROOT.glob("*.md"), *(p for folder in FOLDERS for p in (ROOT / folder).rglob("*"))]:
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in (".py", ".md") and not RECORDED.match(name) and name not in QUOTING:
            yield name, path.read_text(encoding="utf-8")


@pytest.mark.parametrize("pattern", PRIVATE)
def test_the_field_has_a_word_for_it(pattern):
    private = re.compile(pattern, re.I)
    found = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for name, text in texts()
        for written in (text, text.replace("_", " "))  # in a sentence, and in a name
        for match in private.finditer(written)
    ]
    assert not found, f"write: {PRIVATE[pattern]}"


def test_the_patterns_find_what_they_are_for():
    sentences = (
        "read as it lies",
        "XLA must write down",
        "sums are formed in float32",
        "nobody sees it",
        "thin layers",
        "a loss that is no number",
        "the gradient's length",
    )
    assert all(any(re.search(pattern, sentence, re.I) for pattern in PRIVATE) for sentence in sentences)
