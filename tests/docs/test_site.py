"""The site builds without a warning, every link in it leads somewhere, and the reference knows every public name."""

import html
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import purecnn
import verify
from tests.docs.pages import ROOT


class Links(HTMLParser):
    """The ids of a page and where it points."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.targets = {""}, set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.ids.add(value)
            elif name in ("href", "src") and value:
                self.targets.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    found = {path: Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(found) > 80
    return found


def broken(page: Path, links: Links, pages: dict[Path, Links]):
    """The targets of `page` that are not there, or have no such place in them."""
    for target in links.targets:
        parts = urlsplit(target)
        if parts.scheme:
            continue
        path = page if not parts.path else (page.parent / unquote(parts.path)).resolve()
        if not path.is_file() or (path in pages and unquote(parts.fragment) not in pages[path].ids):
            yield target


def test_every_link_leads_somewhere(pages):
    missing = {str(page): found for page, links in pages.items() if (found := list(broken(page, links, pages)))}
    assert not missing


def test_a_broken_link_is_noticed(pages):
    page = next(path for path in pages if path.name == "exercises.html")
    assert not list(broken(page, Links('<a href="index.html"><a href="#convolution"><a href="https://a.b">'), pages))
    wrong = ["nothing.html", "#nothing", "index.html#nothing"]
    assert set(broken(page, Links("".join(f'<a href="{target}">' for target in wrong)), pages)) == set(wrong)


def test_nothing_is_loaded_from_elsewhere(pages):
    loaded = re.compile(r'<(?:script|img|link)[^>]+(?:src|href)="?(https?://[^" >]+)')
    assert not {url for page in pages for url in loaded.findall(page.read_text(encoding="utf-8"))}


def test_the_reference_has_every_public_name(pages):
    ids = {name for page, links in pages.items() if page.parent.name == "reference" for name in links.ids}
    modules = {"models", "initializers"}
    names = {f"purecnn.{name}" for name in purecnn.__all__ if name not in modules}
    names |= {f"{getattr(purecnn.models, name).__module__}.{name}" for name in purecnn.models.__all__}
    names |= {f"verify.{name}" for name in verify.__all__}
    names = (names - {"purecnn.conv1d"}) | {"purecnn.conv1d.conv1d"}  # its module has the same name
    assert len(names) > 60
    assert not names - ids


def test_the_reference_says_what_the_docstring_says(site):
    text = html.unescape(re.sub(r"<[^>]+>", "", (site / "reference" / "rules.html").read_text(encoding="utf-8")))
    for rule in (purecnn.conv2d, purecnn.max_pool2d_bwd, purecnn.squared_error):
        assert rule.__doc__.splitlines()[0].split("`")[0] in text


def test_search_finds_the_book_and_no_source_files(site):
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    found = {entry["location"].split("#")[0] for entry in index["docs"]}
    assert {"kernels/winograd.html", "reference/rules.html", "notebooks/train_your_own_net.html"} <= found
    assert all(page.endswith("/index.html") for page in found if page.startswith("repository/"))  # READMEs


def test_a_printed_table_keeps_its_lines(site):
    text = (site / "notebooks" / "train_your_own_net.html").read_text(encoding="utf-8")
    assert text.count('<pre class="table"') == 1  # the summary of the net


def test_no_formula_is_left_as_latex(site):
    """Outside code: neither a dollar or a bracket of the formula finder, nor a command."""
    shown = {
        path: re.sub(r"<(pre|code|script|style)\b.*?</\1>", "", path.read_text(encoding="utf-8"), flags=re.S)
        for path in site.rglob("*.html")
    }
    assert sum(text.count("<math ") for text in shown.values()) > 500
    left = re.compile(r"\$\S[^<>]*\$|\\[()\[\]]|\\[a-z]+|arithmatex")
    assert all(left.search(text) for text in ("a $x_i$ b", r"\(x\)", r"x \cdot y"))
    assert not {path.name: found[0] for path, text in shown.items() if (found := left.search(text))}


def test_notebooks_are_pages_with_their_outputs(site):
    text = (site / "notebooks" / "is_my_backward_rule_right.html").read_text(encoding="utf-8")
    assert all(f"rms_norm(f32[4,8], f32[8]): {verdict}" in text for verdict in ("WRONG", "RIGHT"))
    assert "data:image/png" in (site / "notebooks" / "train_your_own_net.html").read_text(encoding="utf-8")
