"""The benchmark's table, on the terminal and as Markdown with a plot."""

from collections.abc import Iterable, Mapping, Sequence
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


def print_table(head: Sequence[str], rows: Iterable[str], out: Path | None) -> None:
    """Print a Markdown table row by row as it is measured; write it to `out` when it is whole."""
    print(*head, sep="\n")
    lines = list(head)
    for row in rows:
        lines.append(row)
        print(row, flush=True)
    if out:
        out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def as_data(results: Results) -> dict:
    return {row: {way: asdict(t) for way, t in ways.items()} for row, ways in results.items()}


def memory_line(name: str, held: Mapping[str, Mapping[str, int]]) -> str:
    parts = []
    for kind in ("residuals", "temporaries"):
        ours, theirs = held["purecnn"][kind], held["autodiff"][kind]
        parts.append(f"{kind} {ours / 1e6:.1f} MB, {ours / theirs:.2f}× autodiff's {theirs / 1e6:.1f} MB")
    return f"{name + ' memory':32} {'; '.join(parts)}"


def write(
    folder: Path,
    results: Results,
    memory: Mapping[str, Mapping[str, Mapping[str, int]]],
    best_ms: Mapping[str, float],
    where: str,
) -> None:
    """table.md and ratios.png in `folder`; `best_ms` is what a row would take at the rate of a large matrix product."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(way for ways in results.values() for way in ways))
    head = ["", *(f"{n}, ms" for n in names), "× autodiff", "× torch", "first call, × autodiff's", "share of peak"]
    lines = [f"Measured on {where}.", "", f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for row, ways in results.items():
        times = [f"{ways[n].median_ms:.1f}" if n in ways else "" for n in names]
        torch = against_torch(ways)
        first = ways["purecnn"].first_s / ways["autodiff"].first_s
        share = best_ms[row] / ways["purecnn"].median_ms
        ratios = [f"{ways['purecnn'].ratio:.2f}", f"{torch:.2f}" if torch else "", f"{first:.2f}"]
        ratios.append(f"{share:.0%}" if share else "")
        lines.append(f"| {' | '.join([row, *times, *ratios])} |")
    lines += ["", *(f"- {memory_line(name, held)}" for name, held in memory.items())]
    (folder / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _plot(folder / "ratios.png", results)


def _plot(path: Path, results: Results) -> None:
    import matplotlib.figure

    rows = list(results)[::-1]
    figure = matplotlib.figure.Figure(figsize=(8, 1 + 0.34 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    heights = range(len(rows))
    axes.barh(
        [p + 0.2 for p in heights], [results[r]["purecnn"].ratio for r in rows], 0.38, label="over autodiff's time"
    )
    torch = [against_torch(results[r]) or 0 for r in rows]
    if any(torch):
        axes.barh([p - 0.2 for p in heights], torch, 0.38, label="over PyTorch's, its faster layout")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(list(heights), rows)
    axes.set_xlabel("purecnn's time, as a share (less is better)")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)
