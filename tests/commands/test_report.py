import json
import re
from html.parser import HTMLParser

from purecnn.cli import main
from tests.commands.running import purecnn


class Looked(HTMLParser):
    """The tags of a page, its words, and what it refers to."""

    def __init__(self, page):
        super().__init__()
        self.opened, self.tags, self.references, self.words = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        if tag not in ("img", "meta", "br"):
            self.opened.append(tag)

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_a_report_is_one_file_with_everything_in_it(run_copy):
    done = purecnn("report", "run", cwd=run_copy.parent)
    assert done.returncode == 0, done.stderr
    text = (run_copy / "report.html").read_text(encoding="utf-8")
    assert done.stdout == f"run/report.html, {len(text.encode()):,} bytes\n"
    looked = Looked(text)
    words = "\n".join(looked.words)
    assert looked.opened == []
    assert looked.references
    assert all(reference.startswith("data:image/png;base64,") for reference in looked.references)
    assert not {"script", "link", "iframe", "object"} & set(looked.tags)
    assert not re.search(r"url\(|@import|https?:", text)
    test = json.loads((run_copy / "test.json").read_text())
    for expected in (f"{test['test_accuracy']:.2%} of 360 test images right", "21,386", "batch_size: 32", "conv2d"):
        assert expected in words
    assert len(looked.references) == 3 + 24 + 6  # charts, worst images, filters
    assert {"worst.png", "filters.png", "gradients.png"} <= {path.name for path in run_copy.iterdir()}


def test_what_is_no_run_is_said_in_one_line(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr() == ("", f"purecnn: {tmp_path}: got no config.yaml, expected the folder of a run\n")
    assert list(tmp_path.iterdir()) == []


def test_a_page_elsewhere_leaves_the_run_as_it_is(finished, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert main(["report", str(finished), "--out", str(tmp_path / "page.html")]) == 0
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'page.html'}, ")
    assert "360 test images right" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_where_the_folder_cannot_be_written_to_it_says_how_to_write_elsewhere(run_copy, capsys):
    (run_copy / "worst.png").unlink()
    (run_copy / "worst.png").mkdir()  # permissions do not stop root
    assert main(["report", str(run_copy)]) == 1
    expected = f"purecnn: {run_copy / 'worst.png'}: Is a directory; --out writes the page elsewhere\n"
    assert capsys.readouterr().err == expected
