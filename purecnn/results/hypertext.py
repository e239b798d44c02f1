"""An HTML page in one file: pictures are written into it, and nothing in it asks for anything outside of it."""

from __future__ import annotations

import base64
import io
import unicodedata
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

SMALL = 64  # pixels: below, an image is shown larger than it is, by squares and not blurred
STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5f6570; --line: #d9dce1; --paper: #ffffff; --bar: #cfe0f3 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e7ea; --soft: #9aa1ac; --line: #33373e; --paper: #0c0d0f; --bar: #23405f }
  img.chart { filter: invert(1) hue-rotate(180deg) contrast(0.93) }
}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--line) }
p { margin: .25rem 0 1rem }
.soft, figcaption { color: var(--soft); font-size: .85rem }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr)); gap: .75rem; margin: 1rem 0 }
dl div { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .75rem }
dt { color: var(--soft); font-size: .8rem }
dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
img.chart { display: block; max-width: 100%; height: auto; margin: 0 auto }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr)); gap: 1rem .75rem }
figure { margin: 0 }
figure img { width: 100%; height: auto; border-radius: .25rem }
img.small { image-rendering: pixelated }
figcaption { line-height: 1.3; overflow-wrap: anywhere }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; min-width: 60% }
th, td { text-align: right; padding: .2rem .75rem; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere;
  min-width: 7rem; max-width: 22rem }
summary { cursor: pointer; margin: .75rem 0; color: var(--soft) }
td.share { background: linear-gradient(to right, var(--bar) var(--part), transparent var(--part)) no-repeat }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; font-size: .85rem;
  line-height: 1.4 }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """The whole file. `parts` are HTML already; `title` is text."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join([f"<h1>{escape(title)}</h1>", *parts])
        + "\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    return "\n".join([f"<section>\n<h2>{escape(title)}</h2>", *parts, "</section>"])


def text(words: str) -> str:
    return f'<p class="soft">{escape(words)}</p>'


def facts(values: dict[str, str]) -> str:
    """Short values in boxes, each under its name."""
    boxes = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in values.items())
    return f"<dl>{''.join(boxes)}</dl>"


def chart(path: Path, what: str) -> str:
    """A PNG, dark on white; it is inverted where the page is dark. `what` is said to who cannot see it."""
    return f'<img class="chart" alt="{escape(what)}" src="{_url(path.read_bytes())}">'


def gallery(images: Iterable[tuple[np.ndarray, tuple[str, ...]]]) -> str:
    """Images side by side, uint8 (H, W) or (H, W, 3), each over its lines of words."""
    figures = []
    for pixels, lines in images:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        below = f"<figcaption>{'<br>'.join(map(escape, lines))}</figcaption>" if lines else ""
        kind = "small" if max(pixels.shape) < SMALL else "large"
        image = f'<img class="{kind}" alt="{escape(", ".join(lines))}" src="{_url(file.getvalue())}">'
        figures.append(f"<figure>{image}{below}</figure>")
    return f'<div class="gallery">{"".join(figures)}</div>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str | float | None]]) -> str:
    """Text cells as they are; a number is a share from 0 to 1, written in per cent over a bar; None is none."""
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def folded(title: str, *parts: str) -> str:
    """What is seen when its title is clicked on."""
    return "\n".join([f"<details>\n<summary>{escape(title)}</summary>", *parts, "</details>"])


def verbatim(words: str) -> str:
    return f"<pre>{escape(words)}</pre>"


def isolated(name: str) -> str:
    """A name within a line: one that is written from right to left does not turn what stands beside it."""
    leftwards = any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in name)
    return f"\N{FIRST STRONG ISOLATE}{name}\N{POP DIRECTIONAL ISOLATE}" if leftwards else name


def _url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _cell(value: str | float | None) -> str:
    if value is not None and not isinstance(value, str):
        return f'<td class="share" style="--part: {value:.1%}">{value:.2%}</td>'
    return f"<td>{'none' if value is None else escape(value)}</td>"
