"""A disk that fills up in the middle of a run: does the run say so, and resume to the same weights once there is room?

    python -m experiments.kill_and_resume.full_disk                 8 disks; a minute
    python -m experiments.kill_and_resume.full_disk --disks 3

Each disk is a file system in memory of another size, in a mount namespace of this program's own (`unshare`): it needs
no rights and is gone at the end. The run saves often; where the disk is full depends on its size.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from experiments.kill_and_resume.run import RUN, SAME, metrics_without_clock, start

OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")
ROOM = "size=256m"


def possible() -> bool:
    """Whether this system lets a program mount something for itself."""
    if shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        mount = [*OWN_MOUNTS, "mount", "-t", "tmpfs", "none", folder]
        return subprocess.run(mount, capture_output=True, check=False).returncode == 0


def train(said: Path, *arguments: str) -> tuple[int | None, str]:
    process = start(said, *arguments)
    process.join()
    return process.exitcode, said.read_text(encoding="utf-8")


def remount(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{size}", str(disk)], check=True)


def faults(code: int | None, said: str) -> list[str]:
    """What is wrong with how a run on a full disk ends."""
    complaints = [line for line in said.splitlines() if line.startswith("purecnn: ")]
    found = [] if code == 1 else [f"exit code {code}"]
    if len(complaints) != 1 or not said.endswith(complaints[0] + "\n") or "Traceback" in said:
        found.append(f"not one line at the end: {said[-600:]}")
    if not any("No space left on device" in line for line in complaints):
        found.append(f"does not say why: {complaints}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--disks", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results") / "full_disk.json")
    parser.add_argument("--mounted", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not args.mounted:  # again, with mounts of its own
        again = [*OWN_MOUNTS, sys.executable, "-m", "experiments.kill_and_resume.full_disk", *sys.argv[1:], "--mounted"]
        return subprocess.run(again, check=False).returncode
    import matplotlib.figure  # noqa: F401

    import purecnn.commands.train
    import purecnn.results.report
    import purecnn.train.loop  # noqa: F401

    run = (*RUN, "--checkpoint-every", "0", "--steps-per-dispatch", "9")
    ended, wrong = Counter(), []
    with tempfile.TemporaryDirectory() as scratch:
        folder, said = Path(scratch), Path(scratch) / "said.txt"
        os.environ["PURECNN_CACHE"] = str(folder / "cache")
        undisturbed = folder / "undisturbed"
        code, words = train(said, *run, "--run-dir", str(undisturbed))
        assert code == 0, words
        wanted = {name: (undisturbed / name).read_bytes() for name in SAME}
        whole = sum(path.stat().st_blocks * 512 for path in undisturbed.rglob("*")) // 1024
        sizes = random.Random(args.seed)
        for number in range(args.disks):
            disk = folder / f"disk{number}"
            disk.mkdir()
            kibibytes = round(whole * (0.02 + (number + sizes.random()) / args.disks * 0.9))
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "none", str(disk)], check=True)
            code, words = train(said, *run, "--run-dir", str(disk / "run"))
            found = faults(code, words)
            complaint = words.rsplit("purecnn: ", 1)[-1]
            where = "checkpoints" if "checkpoints" in complaint else complaint.strip().rsplit("/", 1)[-1].strip("'\"")
            sealed = sorted(int(path.parent.name) for path in disk.glob("run/checkpoints/*/crc32.json"))
            remount(disk, ROOM)
            code, words = train(said, *run, "--run-dir", str(disk / "run"), "--resume")
            if code != 0:
                found.append(f"resuming ends with {code}: {words[-300:]}")
            elif sealed and f"resuming after step {sealed[-1]} of" not in words:
                found.append(f"does not resume from {sealed[-1]}: {words[:600]}")
            if not found:
                same = all((disk / "run" / name).read_bytes() == data for name, data in wanted.items())
                same &= metrics_without_clock(disk / "run") == metrics_without_clock(undisturbed)
                found += [] if same else ["not the same weights"]
            subprocess.run(["umount", str(disk)], check=True)
            ended[where] += 1
            wrong += [f"{kibibytes} KiB: {fault}" for fault in found]
            print(f"{kibibytes:>5} KiB: full at {where}, {len(sealed)} checkpoints whole", *found, flush=True)
    result = {"disks": args.disks, "kibibytes_of_the_whole_run": whole, "full_at": dict(ended), "wrong": wrong}
    print(json.dumps(result, indent=2))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
