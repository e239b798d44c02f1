"""300 corrupt inputs through `purecnn data show`: is each refused, in one line, in little memory, with nothing written?

    python -m experiments.hostile_data.run                 every kind with 5 seeds
    python -m experiments.hostile_data.run --seeds 1 --only npz

Each input is read by a process of its own, forked from one that has loaded the libraries, with ROOM bytes of address
space beyond what they take. It is well refused if the exit code is 2, stderr is one line that names the file and is
no traceback, the peak of memory rises by less than PEAK, and no file in or beside the input's folder has changed.
"""

import argparse
import contextlib
import io
import json
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from pathlib import Path

import numpy as np

from tests.data.hostile import KINDS, intact

ROOM, PEAK, SECONDS = 2**30, 2**28, 20


def in_a_process(made, folder, *options):
    """What a process that runs the command on `made` says: exit code, stdout, stderr, bytes its peak rose by."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        said = {"code": None, "out": "", "err": ""}
        try:
            os.chdir(folder)
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, taken + ROOM))
            before = peak()
            out, err = io.StringIO(), io.StringIO()
            from purecnn.cli import main

            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                named = [word for name, value in made.options.items() for word in (f"--{name}", value)]
                code = main(["data", "show", "--data", made.data, "--data-dir", str(made.path), *named, *options])
            said = {"code": code, "out": out.getvalue(), "err": err.getvalue(), "peak": peak() - before}
        except BaseException:
            said["err"] = traceback.format_exc()
        with os.fdopen(writer, "w") as file:
            json.dump(said, file)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    _, status = os.waitpid(child, 0)
    return (
        json.loads(text) if text else {"code": None, "out": "", "err": f"the process died, status {status}", "peak": 0}
    )


def peak():
    """Bytes: the most memory this process has held since it was forked, as the kernel counts it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def listing(root):
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in root.rglob("*")}


def faults(made, said, seconds, before, after):
    err = said["err"]
    found = []
    if said["code"] != 2:
        found.append(f"exit code {said['code']}")
    if "Traceback" in err or err.count("\n") != 1 or not err.startswith("purecnn: "):
        found.append("not one line")
    if made.culprit not in err:
        found.append(f"does not name {made.culprit}")
    if said["out"]:
        found.append("printed something else")
    if said.get("peak", 0) > PEAK:
        found.append(f"took {said['peak']:,} bytes")
    if before != after:
        found.append("changed files")
    if seconds > SECONDS:
        found.append(f"took {seconds:.0f} s")
    return found


def skipping_faults(made, said):
    """With --skip-unreadable."""
    if said["code"] == 2:
        return [] if said["err"].count("\n") == 1 and "Traceback" not in said["err"] else ["not one line, skipping"]
    left_out = [line for line in said["out"].splitlines() if "left out" in line]
    warned = all(line.startswith("purecnn: warning: ") for line in said["err"].splitlines())
    found = [] if said["code"] == 0 and warned and left_out else [f"exit code {said['code']}, skipping"]
    return found + [f"took {said['peak']:,} bytes, skipping"] * (said.get("peak", 0) > PEAK)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="", help="kinds that have this in their name")
    arguments = parser.parse_args()

    # What every process would load; none of it computes, so there are no threads yet that a fork would lose.
    import matplotlib.figure  # noqa: F401
    import tyro  # noqa: F401

    import purecnn.commands.data
    import purecnn.data.cifar
    import purecnn.data.folder
    import purecnn.data.npz
    import purecnn.results.sheet  # noqa: F401

    with tempfile.TemporaryDirectory() as root:
        said = {made.data: in_a_process(made, Path(root)) for made in intact(Path(root))}
    assert all(each["code"] == 0 for each in said.values()), said

    lines, well, total, skipped = [f"intact data sets are read: {', '.join(said)}"], 0, 0, 0
    highest = slowest = 0.0
    for kind, make in ((kind, make) for kind, make in KINDS.items() if arguments.only in kind):
        refused, complaints = 0, defaultdict(int)
        for seed in range(arguments.seeds):
            with tempfile.TemporaryDirectory() as root:
                root = Path(root)
                made = make(root / "data", np.random.default_rng(seed))
                before, started = listing(root), time.perf_counter()
                said = in_a_process(made, root)
                seconds = time.perf_counter() - started
                found = faults(made, said, seconds, before, listing(root))
                if made.data == "folder":
                    skipping = in_a_process(made, root, "--skip-unreadable")
                    found += skipping_faults(made, skipping)
                    skipped += skipping["code"] == 0
                    highest = max(highest, skipping.get("peak", 0))
                highest, slowest = max(highest, said.get("peak", 0)), max(slowest, seconds)
                refused += not found
                complaints["; ".join(found) + (": " + said["err"][-300:] if found else "")] += 1
                example = said["err"].strip().replace(str(root), "…")
        total, well = total + arguments.seeds, well + refused
        lines.append(f"{refused}/{arguments.seeds}  {kind:<45} {example[:150]}")
        lines += [f"       {count}× {what}" for what, count in complaints.items() if what]
        print(lines[-1], flush=True)
    lines += [
        "",
        f"{well} of {total} corrupt inputs refused in one line that names the file",
        f"with --skip-unreadable, {skipped} of the folders are read without the corrupt file",
        f"highest rise of memory {highest / 2**20:.0f} MiB, longest {slowest:.1f} s, no file written",
    ]  # fmt: skip
    print("\n".join(lines[-3:]))
    if not arguments.only:
        results = Path(__file__).parent / "results"
        results.mkdir(exist_ok=True)
        (results / "refused.txt").write_text("\n".join(lines) + "\n")
    return 0 if well == total else 1


if __name__ == "__main__":
    sys.exit(main())
