"""The benchmark's table, on the terminal and as Markdown with a plot."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from experiments.benchmark.measure import Timing

Results = Mapping[str, Mapping[str, Timing]]


def against_torch(ways: Mapping[str, Timing]) -> float | None:
    """purecnn's median over that of torch's faster eager layout."""
    eager = [t.median_ms for way, t in ways.items() if way.startswith("torch") and "compiled" not in way]
    return ways["purecnn"].median_ms / min(eager) if eager else None


def line(row: str, ways: Mapping[str, Timing]) -> str:
    times = ", ".join(f"{way} {t.median_ms:.1f} ms" for way, t in ways.items())
    torch = against_torch(ways)
    beside = f"{ways['purecnn'].ratio:.2f}× autodiff" + (f", {torch:.2f}× torch" if torch else "")
    return f"{row:32} {beside:30} {times}"


def as_data(results: Results) -> dict:
    return {row: {way: asdict(t) for way, t in ways.items()} for row, ways in results.items()}


def write(folder: Path, results: Results, where: str) -> None:
    """table.md and ratios.png in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(way for ways in results.values() for way in ways))
    head = ["", *(f"{n}, ms" for n in names), "× autodiff", "× torch", "first call, × autodiff's"]
    lines = [f"Measured on {where}.", "", f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for row, ways in results.items():
        times = [f"{ways[n].median_ms:.1f}" if n in ways else "" for n in names]
        torch = against_torch(ways)
        first = ways["purecnn"].first_s / ways["autodiff"].first_s
        ratios = [f"{ways['purecnn'].ratio:.2f}", f"{torch:.2f}" if torch else "", f"{first:.2f}"]
        lines.append(f"| {' | '.join([row, *times, *ratios])} |")
    (folder / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _plot(folder / "ratios.png", results)


def _plot(path: Path, results: Results) -> None:
    import matplotlib.figure

    rows = list(results)[::-1]
    figure = matplotlib.figure.Figure(figsize=(8, 1 + 0.34 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(rows))
    axes.barh(
        [p + 0.2 for p in places], [results[r]["purecnn"].ratio for r in rows], 0.38, label="over autodiff's time"
    )
    torch = [against_torch(results[r]) or 0 for r in rows]
    if any(torch):
        axes.barh([p - 0.2 for p in places], torch, 0.38, label="over PyTorch's, its faster layout")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(list(places), rows)
    axes.set_xlabel("purecnn's time, as a share (less is better)")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)
