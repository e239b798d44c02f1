"""A folder of 100,000 photographs, and of a million: how soon is the first batch there, in how much memory, how fast?

    python -m experiments.streams.run            some minutes on two cores, most of them to make a million links
    python -m experiments.streams.run --quick    some hundred images, no figures to keep

The files are links to 300 photographs of 500×375 that are made up: noise of several sizes, 60 KB each as JPEG.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

from purecnn.backend import describe_hardware, keep_freed_memory
from purecnn.data.batches import training_batches
from purecnn.data.dataset import Split
from purecnn.data.files import open_files, usable_cores
from purecnn.data.pipeline import feed, steps_in_a_block
from purecnn.data.random_crop import Crop, random_crop

SIDE, BATCH = 224, 64
HEIGHT, WIDTH = 375, 500


def photograph(rng: np.random.Generator) -> Image.Image:
    """Structure of all sizes, the larger the stronger, as photographs have it."""
    total = np.full((HEIGHT, WIDTH, 3), 128, np.float32)
    for coarse, strength in ((4, 60), (16, 40), (64, 25), (HEIGHT, 12)):
        noise = rng.uniform(-1, 1, (3, coarse, coarse * WIDTH // HEIGHT)).astype(np.float32)
        grown = [np.asarray(Image.fromarray(each).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)) for each in noise]
        total += strength * np.stack(grown, axis=-1)
    return Image.fromarray(total.clip(0, 255).astype(np.uint8))


def write_photographs(folder: Path, count: int) -> list[Path]:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    paths = [folder / f"{n}.jpg" for n in range(count)]
    for path in paths:
        photograph(rng).save(path, quality=90)
    return paths


def link(photographs: list[Path], root: Path, classes: int, each: int) -> None:
    for label in range(classes):
        folder = root / f"class{label:04}"
        folder.mkdir(parents=True)
        for n in range(each):
            os.link(photographs[(label * each + n) % len(photographs)], folder / f"{n:05}.jpg")


WORKER = """
import sys, time
start = float(sys.argv[1])
import json, os, resource
from purecnn.cli import main
import purecnn.train.fitting as fitting
from purecnn.train.run import Run
found, dispatches, step, prepare = {}, [], Run.step, fitting.prepare

def prepared(config, **options):
    found["images"] = len(options["data"].train)
    found["seconds until it is listed"] = round(time.time() - start, 1)
    return prepare(config, **options)

def counted(run, part, began):
    dispatches.append(None)
    if len(dispatches) == 1:
        found["seconds until the first batch"] = round(time.time() - start, 1)
        found["of the processors' time until then"] = round(time.process_time(), 1)
    if len(dispatches) <= 30:
        return step(run, part, began)
    found["peak MB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)
    print(json.dumps(found), flush=True)
    os._exit(0)

fitting.prepare, Run.step = prepared, counted
main(["train", "--quiet", *sys.argv[2:]])
"""


def run_of(root: Path, scratch: Path, side: int, batch: int) -> dict:
    """The command `purecnn train` on the folder, for 30 dispatches: times from its start on, and peak memory."""
    options = ("--model", "experiments.streams.net:small", "--data", "folder", "--data-dir", str(root))
    options += ("--image-size", str(side), "--batch-size", str(batch), "--augmentation", "resized_crop+flip")
    options += ("--streaming", "always", "--steps-per-dispatch", "3")
    options += ("--run-dir", str(scratch / f"run-{root.name}"), "--cache-dir", str(scratch / "compiled"))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WORKER, str(time.time()), *options]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode or not done.stdout:
        raise RuntimeError(done.stdout + done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def rates(root: Path, count: int, rounds: int) -> dict:
    """Images a second: each way in turn, `rounds` times; medians."""
    paths = sorted(root.glob("*/*.jpg"))[:count]
    files = open_files(root, list(map(str, paths)), (SIDE, SIDE, 3))
    split = Split(dataclasses.replace(files, least_area=0.08), np.zeros(len(paths), np.int32))
    cores = usable_cores()
    parts = np.array_split(
        training_batches(len(paths), BATCH, seed=0, epoch=0), -(-len(paths) // BATCH // steps_in_a_block(split, BATCH))
    )
    crop = Crop(0, 0, 0.08)

    def pool(function) -> None:
        with ThreadPoolExecutor(cores) as threads:
            for _ in threads.map(function, range(len(paths))):
                pass

    def decode(n: int) -> None:
        simplejpeg.decode_jpeg(paths[n].read_bytes(), "RGB", min_height=SIDE, min_width=SIDE)

    def halve(n: int) -> None:
        simplejpeg.decode_jpeg(paths[n].read_bytes(), "RGB", min_height=1, min_width=WIDTH // 2, min_factor=2)

    def streamed() -> None:
        for images, _, _ in feed(split, parts, first_step=0):
            images.block_until_ready()

    ways = {
        f"simplejpeg alone, to at least {SIDE}": lambda: pool(decode),
        "simplejpeg alone, to a half": lambda: pool(halve),
        "the same work in a bare thread pool": lambda: pool(lambda n: random_crop(paths[n], (SIDE, SIDE, 3), crop, n)),
        "the stream": streamed,
    }
    wall: dict[str, list[float]] = {way: [] for way in ways}
    cpu: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, work in ways.items():
            began = time.perf_counter(), time.process_time()
            work()
            wall[way].append((time.perf_counter() - began[0]) / len(paths))
            cpu[way].append((time.process_time() - began[1]) / len(paths))
    found: dict = {way: round(1 / statistics.median(each)) for way, each in wall.items()}
    for what, times in (("by the clock", wall), ("by the processor's time, whatever else it did", cpu)):
        found[f"the stream's share of each, {what}"] = {
            way: round(statistics.median(b / a for a, b in zip(times["the stream"], each, strict=True)), 2)
            for way, each in times.items()
            if way != "the stream"
        }
    found["CPU milliseconds an image"] = {way: round(1e3 * statistics.median(each), 3) for way, each in cpu.items()}
    return found | {"cores": cores}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the photographs are, or are to be made and kept")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    classes, each, different, rounds = (4, 20, 5, 1) if args.quick else (1000, 100, 300, 5)
    keep_freed_memory()  # as `purecnn train` does
    side, batch = (32, 8) if args.quick else (SIDE, BATCH)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        root = args.folder or scratch / "photographs"
        if not root.exists():
            photographs = write_photographs(root, different)
            for name, times in (("1", 1), ("10", 10)):
                link(photographs, root / name, classes, times * each)
                print(f"{classes * each * times:,} images are there", flush=True)
        result: dict = {"hardware": describe_hardware()}
        result["rates"] = rates(root / "1", 64 if args.quick else 960, rounds)
        print(json.dumps(result, indent=2), flush=True)
        result["before any program was compiled"] = run_of(root / "1", scratch, side, batch)
        (scratch / "run-1").rename(scratch / "before")
        result["runs"] = []
        for name in ("10",) if args.quick else ("1", "10"):
            result["runs"].append(run_of(root / name, scratch, side, batch))
            print(json.dumps(result["runs"][-1]), flush=True)
    out = args.out or (None if args.quick else Path(__file__).with_name("results") / "streams.json")
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
