"""Links from the book to files of the repository lead somewhere on the site too.

The Markdown links to `../purecnn/…` or `../tests/…`, which reads well where the repository is browsed. For the site
(mkdocs calls the two `on_…` functions) each file that is linked becomes a page `repository/…`: Markdown as it is, its
own links followed, and anything else as text. A folder stands for its README. What leads nowhere stays as it is, so
that `mkdocs build --strict` fails on it.
"""

import os.path
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"(?<=\]\()([^)\s#]+)")
LANGUAGES = {".py": "python", ".json": "json", ".toml": "toml"}
PICTURES = {".png", ".svg"}


def on_files(files, config):
    """Add a page for every file of the repository that the book links to, or that a page so added does."""
    waiting = [Path(page.abs_src_path) for page in files.documentation_pages()]
    while waiting:
        source = waiting.pop()
        if source.suffix != ".md":
            continue
        for target in filter(None, (target_of(source, link) for link in LINK.findall(source.read_text("utf-8")))):
            uri = page_of(target)
            if files.get_file_from_path(uri) is None:
                files.append(page_showing(target, uri, config))
                waiting.append(target)
    return files


def on_page_markdown(markdown, page, config, files):
    """Point every such link to the page that was added for it."""
    uri = page.file.src_uri
    if uri.startswith("repository/") and not uri.endswith("/README.md"):
        page.meta["search"] = {"exclude": True}  # sources and tables of results would hide the book's own pages
    source = ROOT / uri.removeprefix("repository/") if uri.startswith("repository/") else ROOT / "docs" / uri
    if source.suffix != ".md" or not source.is_file():
        return markdown

    def moved(link):
        target = target_of(source, link[0])
        return link[0] if target is None else os.path.relpath(page_of(target), os.path.dirname(uri) or ".")

    return LINK.sub(moved, markdown)


def target_of(source, link):
    """The file of the repository that `link` means, written in `source`; None if there is none."""
    target = Path(os.path.normpath(source.parent / link))
    target = target / "README.md" if (target / "README.md").is_file() else target
    return target if target.is_file() and target.is_relative_to(ROOT) else None


def page_of(target):
    path = target.relative_to(ROOT).as_posix()
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"repository/{path}" + ("" if target.suffix in {".md", *PICTURES} else ".md")


def page_showing(target, uri, config):
    if target.suffix in {".md", *PICTURES}:
        return File.generated(config, uri, abs_src_path=str(target))
    fence, language = "`````", LANGUAGES.get(target.suffix, "text")
    text = f"# `{target.relative_to(ROOT)}`\n\n{fence}{language}\n{target.read_text('utf-8')}{fence}\n"
    return File.generated(config, uri, content=text)
