"""Reports as one HTML page: the terminal's table, then for each finding a picture of where the cotangent is wrong, with
the equation that it should have followed. `rich` writes the page, which needs nothing beside itself."""

import io
from collections.abc import Iterator, Sequence

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from verify.report import output
from verify.report.finding import Finding
from verify.report.report import Report

WIDTH = 260  # characters: the table with every check's name in it
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>verify</title>
<style>{stylesheet} body {{ color: {foreground}; background: {background} }} pre {{ font: 14px/1.25 monospace }}</style>
</head>
<body><pre>{code}</pre></body>
</html>
"""


def as_html(reports: Sequence[Report]) -> str:
    """The page, as text."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(output.table(reports), f"{sum(r.ok for r in reports)} of {len(reports)} right")
    for r in sorted(reports, key=lambda r: r.ok):  # what is wrong comes first
        console.print(Text(f"\n{r.rule}: {r.verdict}", style="bold"))
        console.print(*(_findings(r) if r.failures else [Text(str(r))]))
    return console.export_html(code_format=PAGE)


def _findings(r: Report) -> Iterator[RenderableType]:
    for f in r.failures[:8]:
        yield Text(str(f))
        beside = [Panel(_picture(f), title=f"where {f.argument} is wrong")] if f.heat else []
        if r.equation:
            beside.append(Panel(Text(r.equation), title="the rule says", width=100))
        yield Columns(beside)


def _picture(f: Finding) -> RenderableType:
    return Group(*(Text.assemble(*(("  ", _colour(value)) for value in row)) for row in f.heat))


def _colour(value: float) -> str:
    """Right elements are grey, so that one wrong element is seen among many; the worse an element, the redder."""
    pale = round(190 * (1 - value))
    return "on #dddddd" if value <= 0 else f"on #{200 + pale // 4:02x}{pale:02x}{pale:02x}"
