"""The GPU's half: every net in bfloat16 and float32 (TF32), normal and deterministic, each row in its own process.

XLA reads its flags once a process, and a row that ends its process (out of memory, a fault of a driver) ends no other.
`run.py` calls this where JAX finds a GPU. Results are written after every row; rows of an earlier run on the same
hardware and versions stay, so that the whole can be made in several runs (`--only`).
"""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.benchmark.gpu_row import BUILDERS, DTYPES
from experiments.benchmark.nets import GPU_NETS
from purecnn.backend import describe_hardware

DETERMINISTIC = "--xla_gpu_exclude_nondeterministic_ops=true"
MODES = {"normal": tuple(BUILDERS), "deterministic": ("purecnn", "autodiff")}
LIMIT_S = 900


def run_row(name: str, dtype: str, mode: str, compiled: bool, tiny: bool, only: Sequence[str] = ()) -> dict:
    """What `gpu_row` found, or {"failed": why}. `only`: of the ways, where not all."""
    ways = [way for way in MODES[mode] if (compiled or way != "torch compiled") and (not only or way in only)]
    command = [sys.executable, "-m", "experiments.benchmark.gpu_row", name, dtype, "--ways", *ways]
    flags = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC if mode == 'deterministic' else ''}".strip()
    variables = {**os.environ, "XLA_FLAGS": flags, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    try:
        done = subprocess.run(
            command + ["--tiny"] * tiny, env=variables, capture_output=True, text=True, timeout=LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"took longer than {LIMIT_S} s"}
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        return {"failed": f"exit status {done.returncode}: {last[:300]}"}
    return json.loads(done.stdout.splitlines()[-1])


def ratio(row: dict, way: str, to: str, what: str) -> float | None:
    a, b = (row.get("ways", {}).get(w, {}).get(what) for w in (way, to))
    return a / b if a is not None and b else None


def line(name: str, row: dict) -> str:
    """For the terminal."""
    if "failed" in row:
        return f"{name}: FAILED, {row['failed']}"
    parts = [
        f"{way} FAILED ({found['failed']})" if "failed" in found else f"{way} {found['ms']:.2f} ms"
        for way, found in row["ways"].items()
    ]
    parts += losses_apart(row)
    return f"{name}: {', '.join(parts)}"


def losses_apart(row: dict, tolerance: float = 0.02) -> list[str]:
    """A warning for each way whose losses are not purecnn's: of the first step, and after some updates.

    By more than `tolerance` times the first loss: a loss near 0 has no relative accuracy."""
    ours = row["ways"].get("purecnn", {}).get("losses")
    if ours is None:
        return []
    return [
        f"LOSSES APART: {way} {found['losses']}, purecnn {ours}"
        for way, found in row["ways"].items()
        if "losses" in found
        and any(abs(a - b) > tolerance * ours[0] for a, b in zip(found["losses"], ours, strict=True))
    ]


def table(where: str, rows: dict[str, dict]) -> str:
    columns = [f"{way}, ms" for way in BUILDERS]
    columns += ["× autodiff", "× torch compiled", "× own normal step", "share of peak"]
    columns += ["bytes × autodiff", "temporaries, MB", "temporaries × autodiff", "compilation, s", "autodiff's"]
    lines = [f"Measured on {where}.", "", f"|  | {' | '.join(columns)} |", "|---" + "|---:" * len(columns) + "|"]
    failures = []
    for name, row in rows.items():
        ways = row.get("ways", {})
        ours = ways.get("purecnn", {})
        if "failed" in row:
            failures.append(f"- {name}: {row['failed']}")
        failures += [f"- {name}, {way}: {found['failed']}" for way, found in ways.items() if "failed" in found]
        failures += [f"- {name}: {warning}" for warning in losses_apart(row)] if ways else []
        normal = rows.get(name.replace("deterministic", "normal"), {}).get("ways", {}).get("purecnn", {}).get("ms")
        own = ours["ms"] / normal if "deterministic" in name and normal and "ms" in ours else None
        share = row["flops"] / row["peak_flops"] / ours["ms"] * 1e3 if "ms" in ours else None
        cells = [_cell(ways.get(way, {}).get("ms")) for way in BUILDERS]
        cells += [_cell(ours.get("ratio")), _cell(ratio(row, "purecnn", "torch compiled", "ms")), _cell(own)]
        cells.append("" if share is None else f"{share:.0%}")
        temporaries = ours.get("temporaries")
        cells += [_cell(ratio(row, "purecnn", "autodiff", "bytes"))]
        cells += [_cell(None if temporaries is None else temporaries / 1e6)]
        cells += [_cell(ratio(row, "purecnn", "autodiff", "temporaries")), _cell(ours.get("compile_s"))]
        cells += [_cell(ways.get("autodiff", {}).get("compile_s"))]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *failures]).rstrip() + "\n"


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def versions() -> str:
    found = []
    for library in ("jaxlib", "flax", "torch"):
        try:
            found.append(f"{library} {importlib.metadata.version(library)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {library}")
    return ", ".join(found)


def main(
    only: list[str],
    compiled: bool,
    tiny: bool,
    out: Path | None,
    dtypes: Sequence[str] = tuple(DTYPES),
    modes: Sequence[str] = tuple(MODES),
    ways: Sequence[str] = (),
) -> int:
    """Run the rows whose nets begin with one of `only`; print each, and write gpu.json and gpu.md to `out`. 0 unless
    a row failed. `ways`: those to run, where not all."""
    where = f"{describe_hardware()}, {versions()}{', TINY SIZES' if tiny else ''}"
    print(f"hardware: {where}", flush=True)
    rows: dict[str, dict] = {}
    if out is not None and (out / "gpu.json").exists():
        before = json.loads((out / "gpu.json").read_text(encoding="utf-8"))
        rows = before["rows"] if before["where"] == where else {}
    failed = False
    for net in (net for net in GPU_NETS if not only or any(net.startswith(word) for word in only)):
        for name, dtype, mode in ((f"{net} {dtype} {mode}", dtype, mode) for dtype in dtypes for mode in modes):
            rows[name] = run_row(net, dtype, mode, compiled, tiny, ways)
            failed |= "failed" in rows[name] or "failed" in rows[name]["ways"]["purecnn"]
            print(line(name, rows[name]), flush=True)
            if out is not None:
                out.mkdir(parents=True, exist_ok=True)
                text = json.dumps({"where": where, "rows": rows}, indent=1) + "\n"
                (out / "gpu.json").write_text(text, encoding="utf-8")
                (out / "gpu.md").write_text(table(where, rows), encoding="utf-8")
    return int(failed)
