"""The version is the same everywhere. tests/release/smoke.py tests that the installed wheel works."""

import datetime
import re
import tomllib
from pathlib import Path

import yaml

import purecnn
from tests.release.smoke import pinned

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_version_and_date_are_the_same_everywhere():
    releases = re.findall(r"^## \[(\d\S*)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert releases[0] == (purecnn.__version__, str(CITATION["date-released"]))
    assert CITATION["version"] == purecnn.__version__
    assert PROJECT["dynamic"] == ["version"]  # hatchling reads it where Python does


def test_the_citation_has_what_its_format_requires():
    assert {"cff-version", "message", "title", "authors"} <= set(CITATION)
    assert isinstance(CITATION["date-released"], datetime.date)
    assert CITATION["license"] == PROJECT["license"]
    owners = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert all(author["name"] in owners for author in CITATION["authors"])


def test_the_lock_holds_every_dependency_of_the_wheel():
    locked = {line.split("==")[0] for line in pinned((ROOT / "requirements" / "lock.txt").read_text()).splitlines()}
    needed = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["train"]
    assert len(needed) > 10
    assert {re.match(r"[\w.-]+", one)[0] for one in needed} <= locked


def test_the_oldest_versions_that_are_tested_are_those_that_are_allowed():
    """By `make oldest`: what pip finds installed it leaves as it is, if the bound allows that."""
    needed = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["train"]
    bounds = [re.sub(r">=([\w.]+).*", r"==\1", one) for one in needed]
    assert (ROOT / "requirements" / "oldest.txt").read_text().split() == bounds
