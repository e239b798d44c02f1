"""SIGKILL at random moments of a run, resumed each time: are the final weights those of the undisturbed run?

    python -m experiments.kill_and_resume.run               50 kills; about three minutes
    python -m experiments.kill_and_resume.run --kills 3
    python -m experiments.kill_and_resume.run --stream     images that are decoded while it runs, in random crops

Each life of the run is a process of its own, forked from one that has imported everything, so that the moments fall
into the run and not into Python's imports. The run saves after every step: most of its time it is writing.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

RUN = ("train", "--model", "mlp", "--epochs", "2")
WHOLE = ("--augmentation", "none")
STREAM = ("--data", "folder", "--image-size", "16", "--streaming", "always", "--augmentation", "resized_crop+flip")
SAME = ("weights.safetensors", "best.safetensors")


def write_photographs(root: Path, classes: int = 3, each: int = 600) -> None:
    """JPEGs of several sizes."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for label in range(classes):
        (root / str(label)).mkdir(parents=True)
        for n in range(each):
            coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8))
            height, width = rng.integers(30, 90, 2)
            coarse.resize((int(width), int(height))).save(root / str(label) / f"{n}.jpg")


def life(said: Path, arguments: tuple[str, ...]) -> None:
    """The command, in this process, with what it says in a file."""
    with open(said, "w", buffering=1) as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        from purecnn.cli import main

        sys.exit(main(arguments))


def start(said: Path, *arguments: str) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=life, args=(said, arguments))
    process.start()
    return process


def metrics_without_clock(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    clocks = ("images_per_second", "compile_seconds", "seconds")
    return [{name: value for name, value in line.items() if name not in clocks} for line in lines]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps-per-save", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    out = args.out or Path(__file__).with_name("results") / ("stream_kills.json" if args.stream else "kills.json")
    import matplotlib.figure  # noqa: F401

    import purecnn.commands.train
    import purecnn.data.folder
    import purecnn.data.random_crop
    import purecnn.results.report
    import purecnn.train.loop  # noqa: F401

    run = (*RUN, "--checkpoint-every", "0", "--steps-per-dispatch", str(args.steps_per_save))
    moments = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["PURECNN_CACHE"] = str(folder / "cache")
        if args.stream:
            write_photographs(folder / "photographs")
            run = (*run, *STREAM, "--data-dir", str(folder / "photographs"))
        else:
            run = (*run, *WHOLE)
        for name in ("warm", "undisturbed"):  # the first fills the cache of compiled programs
            began = time.perf_counter()
            process = start(folder / f"{name}.txt", *run, "--run-dir", str(folder / name))
            process.join()
            seconds = time.perf_counter() - began
            if process.exitcode != 0:
                print((folder / f"{name}.txt").read_text())
                return 1
        wanted = {name: (folder / "undisturbed" / name).read_bytes() for name in SAME}
        assert all((folder / "warm" / name).read_bytes() == data for name, data in wanted.items())

        kills, finished, fell_back, wrong, over = [], 0, 0, 0, False
        while len(kills) < args.kills or not over:
            run_dir, said = folder / f"run{finished}", folder / "said.txt"
            process = start(said, *run, "--run-dir", str(run_dir), "--resume")
            process.join(None if len(kills) >= args.kills else moments.uniform(0, 0.3 * seconds))
            over = process.exitcode is not None
            if not over:
                os.kill(process.pid, signal.SIGKILL)
                process.join()
                saved = sorted(path.name for path in run_dir.glob("checkpoints/*")) if run_dir.exists() else []
                kills.append({"run": finished, "checkpoints": saved})
            fell_back += "is damaged" in said.read_text()
            if over:
                same = all((run_dir / name).read_bytes() == data for name, data in wanted.items())
                same &= metrics_without_clock(run_dir) == metrics_without_clock(folder / "undisturbed")
                same &= process.exitcode == 0
                wrong += not same
                finished += 1
                print(f"run {finished}: after {len(kills)} kills in all {'the same' if same else 'NOT THE SAME'}")
    result = {
        "kills": len(kills),
        "while_writing_a_checkpoint": sum(any("tmp" in name for name in kill["checkpoints"]) for kill in kills),
        "fell_back_to_the_one_before": fell_back,
        "before_anything_was_saved": sum(not kill["checkpoints"] for kill in kills),
        "runs_finished": finished,
        "runs_not_the_same": wrong,
        "seconds_of_the_undisturbed_run": round(seconds, 1),
    }
    print(json.dumps(result, indent=2))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
