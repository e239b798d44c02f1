"""The book's notebooks, run from their first cell to their last in a kernel of their own.

    python -m tests.docs.notebooks

runs them and writes their outputs into them, as they are committed.
"""

import base64
import io
import os
import re
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

from tests.docs.pages import DOCS, ROOT

NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
WIDEST, COLOURS = 720, 96  # of a picture, pixels and colours: a notebook is committed with its outputs


def executed(path: Path, folder: Path):
    """The notebook with the outputs that its cells give now, run in `folder`. Raises what a cell raises."""
    notebook = nbformat.read(path, as_version=4)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}, record_timing=False)
    env = {**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}
    env.pop("MPLBACKEND", None)  # which a command that ran in this process has set: the kernel has one of its own
    client.execute(env=env)
    notebook.metadata.language_info = {"name": "python"}  # without the version that ran it
    for data in (output["data"] for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output):
        data.pop("text/html", None)
        if "image/png" in data:
            data["image/png"] = small(data["image/png"])
    return notebook


def small(png: str) -> str:
    """A picture of the notebook format, base64, in fewer pixels and colours."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    picture.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(written, format="PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode()


def texts(notebook) -> list[str]:
    """What every cell printed or shows as text, without the digits that vary: "" where it draws a picture."""
    return [steady(output) for cell in notebook.cells for output in cell.get("outputs", [])]


def steady(output) -> str:
    """An output's lines, every number as #, without those about the machine and the time."""
    data = output.get("data", {})
    text = "" if "image/png" in data else output.get("text") or data.get("text/plain", "")
    lines = [re.sub(r"-?[\d,.]*\d(e[-+]?\d+)?", "#", line).rstrip() for line in text.splitlines()]
    machine = ("hardware: ", "compiled in ", "  # s")
    return "\n".join(re.sub("[█░]+", "", line) for line in lines if line and not line.startswith(machine))


def main() -> None:
    for path in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(path, Path(folder)), path)


if __name__ == "__main__":
    main()
