"""A notebook becomes a page of the book with its outputs: text as it was printed, pictures within the page.

mkdocs calls the two `on_…` functions. `notebooks/name.ipynb` becomes the page `notebooks/name.md`, where links to the
notebook lead on the site.
"""

import json
import re
from pathlib import Path

from mkdocs.structure.files import File

DOCS = Path(__file__).parent
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def on_files(files, config):
    """Add a page for every notebook."""
    for path in sorted((DOCS / "notebooks").glob("*.ipynb")):
        uri = path.relative_to(DOCS).with_suffix(".md").as_posix()
        files.append(File.generated(config, uri, content=markdown(json.loads(path.read_text("utf-8")))))
    return files


def on_page_markdown(text, page, config, files):
    """Point links to notebooks at their pages."""
    return re.sub(r"(?<=\]\()([^)\s#]*notebooks/\w+)\.ipynb", r"\1.md", text)


def markdown(notebook) -> str:
    """The cells one after the other, each block of code followed by what it gave."""
    return "\n\n".join(part for cell in notebook["cells"] for part in parts(cell)) + "\n"


def parts(cell):
    """A cell's text or code, then each of its outputs, as Markdown."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield fenced("python", source)
    for output in cell["outputs"]:
        data = output.get("data", {})
        if "image/png" in data:
            yield f"![What the code above draws](data:image/png;base64,{''.join(data['image/png'].split())})"
        else:
            text = "".join(output.get("text") or data.get("text/plain") or output.get("traceback", ""))
            yield fenced("output", COLOURS.sub("", text))


def fenced(language: str, text: str) -> str:
    return f"`````{language}\n{text.rstrip()}\n`````"
