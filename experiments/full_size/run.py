"""Data sets of full size, in files of the real formats, through the tool: read, train, Ctrl-C, resume, evaluate.

    python -m experiments.full_size.run                    lenet, cifar_cnn and resnet_cifar, an epoch each
    python -m experiments.full_size.run --only resnet_cifar
    python -m experiments.full_size.run --quick --out DIR  the same on small sets, with the two-layer net

The images are generated: a class is a grey of its own under noise, which every net learns. Each command is a process of
its own, forked from one that has imported everything; the one that is interrupted has saved at least once.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from matplotlib.figure import Figure

from experiments.kill_and_resume.run import start
from purecnn.data.readers import read
from tests.data.making import cifar_files, write_mnist

MODELS = {"lenet": "mnist", "cifar_cnn": "cifar10", "resnet_cifar": "cifar10"}
SIZES = {"mnist": (60_000, 10_000), "cifar10": (50_000, 10_000)}
QUICK = {"mlp": "mnist"}, {"mnist": (1280, 200)}
QUICK_EPOCHS = 120  # enough that Ctrl-C, sent once the first checkpoint is there, arrives before the last
OPTIONS = ("--batch-size", "128", "--learning-rate", "0.01", "--augmentation", "none", "--steps-per-dispatch", "8")


def write(folder: Path, data: str, train: int, test: int) -> None:
    if data == "mnist":
        write_mnist(folder, train=train, test=test)
        return
    folder.mkdir()
    for name, content in cifar_files(train=train, test=test)[0].items():
        (folder / name).write_bytes(content)


def command(said: Path, *arguments: str, interrupt_once: Path | None = None) -> tuple[int, list[dict], float]:
    """Exit code, the JSON lines that it printed, and seconds; Ctrl-C once `interrupt_once` is not empty."""
    began, process = time.perf_counter(), start(said, *arguments)
    while interrupt_once is not None and process.is_alive():
        if interrupt_once.exists() and any(interrupt_once.glob("*/crc32.json")):
            os.kill(process.pid or 0, signal.SIGINT)
            break
        time.sleep(0.05)
    process.join()
    lines = said.read_text(encoding="utf-8").splitlines()
    print(*(line[:150] for line in lines if not line.startswith("{")), sep="\n")
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return process.exitcode or 0, found, time.perf_counter() - began


def end_to_end(folder: Path, model: str, data: str, epochs: int) -> dict:
    place, run, said = str(folder / data), folder / f"run-{model}", folder / "said.txt"
    began = time.perf_counter()
    there = read(data, place)
    seconds = time.perf_counter() - began
    images = len(there.train)
    del there
    new = ("train", "--model", model, "--data", data, "--data-dir", place, "--epochs", str(epochs), *OPTIONS)
    new = (*new, "--checkpoint-every", "1", "--json-lines", "--run-dir", str(run))
    code, _, _ = command(said, *new, interrupt_once=run / "checkpoints")
    assert code == 130, f"{model}: got {code} after Ctrl-C, expected 130"
    steps = -(-images // 128) * epochs
    interrupted = max(int(path.parent.name) for path in run.glob("checkpoints/*/crc32.json"))
    assert 0 < interrupted < steps
    code, lines, _ = command(said, "train", "--run-dir", str(run), "--resume", "--json-lines")
    assert (code, lines[-1]["steps"]) == (0, steps), f"{model}: got {code} and {lines[-1:]}, expected {steps} steps"
    code, (evaluated,), evaluating = command(said, "eval", str(run), "--json")
    assert code == 0
    assert evaluated["top1"] == lines[-1]["test_accuracy"]
    return {
        "data": data,
        "images": images,
        "read_seconds": round(seconds, 2),
        "interrupted_after_step": interrupted,
        "steps": steps,
        "images_per_second": round(lines[-2]["images_per_second"]),
        "ms_a_step": round(128e3 / lines[-2]["images_per_second"], 1),
        "train_loss": lines[-2]["train_loss"],
        "test_accuracy": evaluated["top1"],
        "test_images": evaluated["images"],
        "eval_seconds": round(evaluating, 1),
        "hardware": lines[-2]["hardware"],
    }


def draw(path: Path, results: dict[str, dict]) -> None:
    figure = Figure(figsize=(6, 0.8 + 0.5 * len(results)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(list(results), [each["ms_a_step"] for each in results.values()], color="#1f6fb4")
    axes.bar_label(bars, fmt=" %.0f ms", padding=2)
    axes.set_xlabel("a step of 128 images, by the run's own clock")
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(MODELS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results"))
    args = parser.parse_args(arguments)
    import purecnn.commands.eval
    import purecnn.commands.train
    import purecnn.results.report
    import purecnn.train.loop  # noqa: F401

    models, sizes = QUICK if args.quick else (MODELS, SIZES)
    file = args.out / "cpu.json"
    args.out.mkdir(parents=True, exist_ok=True)
    results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("PURECNN_CACHE", str(Path(scratch) / "cache"))
        for model, data in models.items():
            if args.only in (None, model):
                if not (Path(scratch) / data).exists():
                    write(Path(scratch) / data, data, *sizes[data])
                results[model] = end_to_end(Path(scratch), model, data, epochs=QUICK_EPOCHS if args.quick else 1)
                print(model, json.dumps(results[model], indent=1), flush=True)
    file.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    draw(args.out / "cpu.png", results)
    return results


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
