"""Reports as one HTML page that needs nothing beside itself: a grid of rules and checks, and for each failure a
picture of where the cotangent is wrong, with the equation it should have followed."""

import html
import re
from collections.abc import Sequence

from verify.report.finding import Finding
from verify.report.output import MARKS, grid
from verify.report.report import FAILED, NOT_RUN, PASSED, Report

STYLE = """
:root{--ink:#1c2330;--faint:#667085;--line:#d9dee7;--paper:#fff;--good:#e3f4e8;--goodink:#17693a;
--bad:#fbe4e1;--badink:#a5281b;--none:#f2f4f7}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ef;--faint:#98a2b3;--line:#344054;--paper:#14181f;
--good:#12351f;--goodink:#7bd89b;--bad:#43160f;--badink:#ff9d8f;--none:#1d232d}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;max-width:76rem;
padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{margin:.3rem 0}
.faint{color:var(--faint)}.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;margin-top:1rem}
th,td{border:1px solid var(--line);padding:.3rem .55rem;text-align:center}
th{font-weight:600;background:var(--none);vertical-align:bottom}
th.check span{writing-mode:vertical-rl;transform:rotate(180deg)}
td.rule{text-align:left;font-family:ui-monospace,monospace;font-size:.85rem}
td.passed{background:var(--good);color:var(--goodink)}td.failed{background:var(--bad);color:var(--badink);font-weight:700}
td.none{color:var(--faint)}
.finding{display:flex;gap:1.5rem;flex-wrap:wrap;border:1px solid var(--line);border-left:4px solid var(--badink);
border-radius:4px;padding:.8rem 1rem;margin:.8rem 0}
.finding>div{min-width:16rem}.words{flex:2}.equation{flex:1}
pre{font:.82rem/1.45 ui-monospace,monospace;white-space:pre-wrap;margin:.3rem 0;background:var(--none);padding:.6rem;
border-radius:4px}
svg{display:block;border:1px solid var(--line)}
"""
CLASSES = {PASSED: "passed", FAILED: "failed", NOT_RUN: "none"}


def as_html(reports: Sequence[Report], title: str = "verify") -> str:
    """The page, as text."""
    right = sum(r.ok for r in reports)
    body = [f"<h1>{html.escape(title)}</h1>", f"<p>{right} of {len(reports)} right</p>", _table(reports)]
    body += [_details(r) for r in reports if not r.ok]
    body += ["<h2>What ran</h2>", *(f"<pre>{html.escape(str(r))}</pre>" for r in reports if r.ok)]
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    return (
        f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body>{"".join(body)}</body></html>\n'
    )


def _table(reports: Sequence[Report]) -> str:
    names, rows = grid(reports)
    head = "".join(f"<th>{html.escape(n)}</th>" for n in ("rule", "dtype", "verdict", "seconds"))
    head += "".join(f'<th class="check"><span>{html.escape(n)}</span></th>' for n in names)
    lines = []
    for (rule, states), r in zip(rows, reports, strict=True):
        cells = []
        for name, state in zip(names, states, strict=True):
            why = next((o.reason for o in r.outcomes if o.check == name and o.reason), "")
            title = html.escape(why if state == NOT_RUN else state, quote=True)
            cells.append(f'<td class="{CLASSES[state]}" title="{title}">{MARKS[state]}</td>')
        verdict = "passed" if r.ok else "failed" if r.failures else "none"
        dtype = re.search(r"b?f\d+", r.call)
        first = f'<td class="rule">{html.escape(rule)}</td><td>{dtype[0] if dtype else ""}</td>'
        first += f'<td class="{verdict}">{r.verdict}</td><td>{r.seconds:.1f}</td>'
        lines.append(f"<tr>{first}{''.join(cells)}</tr>")
    return f'<div class="scroll"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def _details(r: Report) -> str:
    heading = f"<h2>{html.escape(r.rule)}: {r.verdict}</h2>"
    if not r.failures:
        return f"{heading}<p>{html.escape(r.because)}</p>"
    return heading + "".join(_finding(f, r) for f in r.failures[:8])


def _finding(f: Finding, r: Report) -> str:
    words = f"<div class='words'><pre>{html.escape(str(f))}</pre></div>"
    picture = f"<div><p class='faint'>where {html.escape(f.argument)} is wrong</p>{_heat(f)}</div>" if f.heat else ""
    equation = f"<div class='equation'><p class='faint'>the rule says</p><pre>{html.escape(r.equation)}</pre></div>"
    return f"<div class='finding'>{words}{picture}{equation if r.equation else ''}</div>"


def _heat(f: Finding, cell: int = 12) -> str:
    rows, cols = len(f.heat), len(f.heat[0])
    squares = []
    for i, row in enumerate(f.heat):
        for j, value in enumerate(row):
            # Right elements stay grey, so that one wrong element is seen among many.
            fill = "#8884" if value <= 0 else f"rgb(200 30 20 / {0.25 + 0.75 * value:.2f})"
            squares.append(
                f'<rect x="{j * cell}" y="{i * cell}" width="{cell - 1}" height="{cell - 1}" fill="{fill}"/>'
            )
    size = f'width="{cols * cell}" height="{rows * cell}"'
    return f'<svg {size} role="img" aria-label="map of errors">{"".join(squares)}</svg>'
