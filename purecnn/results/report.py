"""Everything about one run on one page, report.html, to be read, kept or sent without the run."""

from __future__ import annotations

import dataclasses
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

import purecnn
from purecnn.data.dataset import Dataset, Split
from purecnn.results import hypertext
from purecnn.results.evaluation import Evaluation, evaluate, load_data
from purecnn.results.pictures import draw_filters, draw_gradients, draw_worst, first_kernels, kernel_images, to_pixels
from purecnn.results.trained import Trained, load_trained, require_run
from purecnn.train.plots import draw_confusion, draw_curves
from purecnn.train.run_folder import read_config, read_metrics, read_test
from purecnn.train.stopping import best_line
from purecnn.train.weights import write_whole

FEW, SHOWN = 40, 20  # classes that are all shown, and of more the lines of a table


def write_report(
    folder: Path, data: Dataset | None = None, out: Path | None = None, data_dir: str | None = None
) -> Path:
    """Evaluate the run in `folder`, draw what is not drawn yet, and write report.html.

    `data` None: they are read, from `data_dir` where they are no longer where they were.

    With `out`, the page is written there and nothing in `folder`. Raises ValueError or OSError where the folder is not
    that of a run, or its data are no longer there.
    """
    if out is None:
        return _write_report(folder, data, folder, folder / "report.html", data_dir)
    with tempfile.TemporaryDirectory() as drawings:
        return _write_report(folder, data, Path(drawings), out, data_dir)


def _write_report(folder: Path, data: Dataset | None, drawings: Path, out: Path, data_dir: str | None) -> Path:
    require_run(folder)
    trained, metrics = load_trained(folder), read_metrics(folder)
    if not metrics:
        again = "purecnn train --run-dir RUN --resume writes it again"
        raise ValueError(f"{folder / 'metrics.jsonl'}: got no line, expected at least one epoch; {again}")
    config = read_config(folder)
    data = data or load_data(dataclasses.replace(config, data_dir=data_dir or config.data_dir), trained)
    split = "test" if data.test is not None else "val" if data.val is not None else "train"
    result = evaluate(trained, data.split(split))
    name = f"{trained.net.name} on {data.name}"
    title = f"{name}: {result.accuracy():.2%} of {len(result.labels):,} {split} images right"

    if not (drawings / "curves.png").exists():
        draw_curves(drawings / "curves.png", metrics, name)
    if not (drawings / "confusion.png").exists():
        draw_confusion(drawings / "confusion.png", result.labels, result.predictions, data.classes, title)
    draw_worst(drawings / "worst.png", result, data.split(split).images, f"{name}: least sure of the true class")
    draw_gradients(drawings / "gradients.png", metrics, name)
    kernels = first_kernels(trained)
    if kernels is not None:
        draw_filters(drawings / "filters.png", kernels, f"{name}: kernels of the first layer")

    parts = [
        hypertext.facts(_facts(result, split, trained, metrics, read_test(folder))),
        hypertext.text(f"{metrics[-1]['hardware']}. {_versions()}"),
        hypertext.section("Loss and accuracy", hypertext.chart(drawings / "curves.png", "loss and accuracy by epoch")),
        hypertext.section(
            "Gradients",
            hypertext.chart(drawings / "gradients.png", "every layer's gradient norm by epoch"),
        ),
        hypertext.section("By class", *_by_class(result)),
        hypertext.section(
            "Predicted as", *_confused(result), hypertext.chart(drawings / "confusion.png", "the confusion matrix")
        ),
        hypertext.section(
            "Worst images",
            hypertext.text(
                f"The {split} images whose true class got the least probability; after the arrow, what they were "
                "predicted as."
            ),
            hypertext.gallery(_worst(result, data.split(split))),
        ),
    ]
    if kernels is not None:
        parts.append(
            hypertext.section(
                "First layer",
                hypertext.text("Its kernels, each scaled by itself: middle grey is 0."),
                hypertext.gallery((to_pixels(image), ()) for image in kernel_images(kernels)),
            )
        )
    parts += [
        hypertext.section("The net", hypertext.verbatim(str(trained.net.summary(trained.metadata.input_shape)))),
        hypertext.section("Config", hypertext.verbatim((folder / "config.yaml").read_text(encoding="utf-8"))),
    ]
    write_whole(out, hypertext.page(title, parts).encode())
    return out


def _facts(result: Evaluation, split: str, trained: Trained, metrics: list[dict], test: dict | None) -> dict[str, str]:
    last, best = metrics[-1], best_line(metrics)
    losses = {"test loss": test["test_loss"]} if test else {}
    losses |= {"val loss": best["val_loss"]} if "val_loss" in best else {}
    return {
        f"{split} top-1": f"{result.accuracy():.2%}",
        **({} if result.top5 is None else {f"{split} top-5": f"{result.top5:.2%}"}),
        **{name: f"{loss:.4g}" for name, loss in losses.items()},
        "best epoch": f"{best['epoch']:,}",
        "epochs": f"{last['epoch']:,}",
        "parameters": f"{sum(leaf.size for leaf in jax.tree.leaves(trained.params)):,}",
        "images/s": f"{np.median([line['images_per_second'] for line in metrics]):,.0f}",
        "seconds": f"{last['seconds']:,.1f}",
    }


def _worst(result: Evaluation, split: Split) -> Iterator[tuple[np.ndarray, tuple[str, ...]]]:
    classes = list(map(hypertext.isolated, result.classes))
    for i in result.worst():
        label, guess = result.labels[i], result.predictions[i]
        true = f"{classes[label]}: {result.confidence[i]:.1%}"
        said = f"→ {classes[guess]}: {result.probabilities[i, guess]:.1%}"
        name = (str(result.names[i]),) if result.names else ()
        yield to_pixels(split.images[i]), (true, "right" if guess == label else said, *name)


def _by_class(result: Evaluation) -> list[str]:
    """A table of all classes; of many first those that are found least often, and all of them folded."""
    heads, rows = ("class", "images", "precision", "recall"), result.per_class()
    cells = [(row["class"], f"{row['images']:,}", row["precision"], row["recall"]) for row in rows]
    if len(cells) <= FEW:
        return [hypertext.table(heads, cells)]
    worst = sorted((row for row in cells if row[3] is not None), key=lambda row: float(row[3] or 0))[:SHOWN]
    return [
        hypertext.text(f"The {len(worst)} classes with the lowest recall."),
        hypertext.table(heads, worst),
        hypertext.folded(f"All {len(cells):,} classes", hypertext.table(heads, cells)),
    ]


def _confused(result: Evaluation) -> list[str]:
    """Where the matrix is too fine to read, the pairs that are most often confused."""
    pairs = result.confused(SHOWN) if len(result.classes) > FEW else []
    counts = np.bincount(result.labels, minlength=len(result.classes))
    classes = list(map(hypertext.isolated, result.classes))
    rows = [(f"{classes[row]} → {classes[column]}", f"{n:,}", n / counts[row]) for row, column, n in pairs]
    return [hypertext.table(("true → predicted", "images", "share of the class"), rows)] if rows else []


def _versions() -> str:
    return f"Report by purecnn {purecnn.__version__}, JAX {jax.__version__}, Python {platform.python_version()}."
