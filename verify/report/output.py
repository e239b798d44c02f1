"""Reports on the terminal and as JSON. `rich` makes the table prettier where it is installed, and is not needed."""

import json
from collections.abc import Sequence
from typing import Any

from verify.report.report import FAILED, NOT_RUN, PASSED, Report

MARKS = {PASSED: "✓", FAILED: "✗", NOT_RUN: "·"}


def grid(reports: Sequence[Report]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """(check names, [(rule, the state of each check)]): failed if it failed on any call, passed if it ran at all."""
    names = list(dict.fromkeys(o.check for r in reports for o in r.outcomes))
    rows = []
    for r in reports:
        states = []
        for name in names:
            seen = {o.status for o in r.outcomes if o.check == name}
            states.append(FAILED if FAILED in seen else PASSED if PASSED in seen else NOT_RUN)
        rows.append((f"{r.rule}({r.call})", states))
    return names, rows


def as_text(reports: Sequence[Report]) -> str:
    """A table of all rules, then the full report of each that is not right."""
    names, rows = grid(reports)
    width = min(60, max(len(rule) for rule, _ in rows)) if rows else 0
    lines = [f"{n + 1:2d} {name}" for n, name in enumerate(names)]
    lines.append(" " * (width + 1) + " ".join(f"{n + 1:2d}" for n in range(len(names))))
    for (rule, states), report in zip(rows, reports, strict=True):
        marks = " ".join(f" {MARKS[s]}" for s in states)
        lines.append(f"{rule[:width]:<{width}} {marks}  {report.verdict}  {report.seconds:.1f} s")
    lines += [f"\n{report}" for report in reports if not report.ok]
    return "\n".join(lines)


def show(reports: Sequence[Report]) -> None:
    """Print a table of all rules, and the full report of each that is not right."""
    try:
        from rich.console import Console
    except ImportError:
        print(as_text(reports))
        return
    console = Console()
    if console.width < 40 + 10 * len(grid(reports)[0]):  # the table would break every word
        print(as_text(reports))
        return
    console.print(table(reports))
    for report in reports:
        if not report.ok:
            console.print(f"\n{report}", markup=False, highlight=False)


def table(reports: Sequence[Report]) -> Any:
    """The same table for `rich` to print."""
    from rich.table import Table

    names, rows = grid(reports)
    table = Table(title="verify", title_justify="left")
    table.add_column("rule", overflow="fold")
    for name in names:
        table.add_column(name, justify="center", overflow="fold")
    table.add_column("verdict")
    table.add_column("s", justify="right")
    colours = {PASSED: "green", FAILED: "red", NOT_RUN: "dim"}
    for (rule, states), r in zip(rows, reports, strict=True):
        marks = [f"[{colours[s]}]{MARKS[s]}[/]" for s in states]
        table.add_row(rule.replace("[", r"\["), *marks, r.verdict, f"{r.seconds:.1f}")
    return table


def as_json(reports: Sequence[Report]) -> str:
    """Everything the reports hold; numbers that JSON lacks (NaN, infinities) as text."""
    return json.dumps({"reports": [_plain(r.as_dict()) for r in reports]}, indent=1, allow_nan=False)


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value
