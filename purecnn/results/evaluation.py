"""How good a trained net is: on every image of a split, by class, and where it is worst."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from purecnn.data.dataset import Dataset, Split
from purecnn.data.pipeline import in_files
from purecnn.data.readers import read
from purecnn.results.trained import Trained, make_classifier
from purecnn.train.config import Config, how_to_read


@dataclass(frozen=True)
class Evaluation:
    """The true class of each image (N,), and of each class the net's output and probability (N, K).

    `names` are the images' files, where they have some.
    """

    classes: tuple[str, ...]
    labels: np.ndarray
    outputs: np.ndarray
    probabilities: np.ndarray
    names: Sequence[str] = ()

    @property
    def predictions(self) -> np.ndarray:
        return self.outputs.argmax(axis=1)

    @property
    def confidence(self) -> np.ndarray:
        """The probability given to the true class, (N,)."""
        return self.probabilities[np.arange(len(self.labels)), self.labels]

    @property
    def confusion(self) -> np.ndarray:
        """Counts, (K, K): a row for every true class, a column for what it was predicted as."""
        return confusion_matrix(self.labels, self.predictions, labels=range(len(self.classes)))

    def accuracy(self, top: int = 1) -> float:
        """The share of images whose true class is among the `top` largest outputs; of equal ones the first counts."""
        ranked = np.argsort(-self.outputs, axis=1, kind="stable")[:, :top]
        return float((ranked == self.labels[:, None]).any(axis=1).mean())

    @property
    def top5(self) -> float | None:
        """`accuracy(5)`; None of so few classes that it says nothing."""
        return self.accuracy(5) if len(self.classes) > 5 else None

    def confused(self, count: int) -> list[tuple[int, int, int]]:
        """(true class, predicted class, images) of the pairs that are most often confused, the most frequent first."""
        counts = self.confusion
        np.fill_diagonal(counts, 0)
        order = np.argsort(-counts, axis=None, kind="stable")[:count]
        pairs = (np.unravel_index(int(n), counts.shape) for n in order)
        return [(int(row), int(column), int(counts[row, column])) for row, column in pairs if counts[row, column]]

    def worst(self, count: int = 24) -> np.ndarray:
        """Which images have the least probability in their true class, the very worst first."""
        return np.argsort(self.confidence, kind="stable")[:count]

    def per_class(self) -> list[dict[str, Any]]:
        """Precision: the share of what is predicted as this class that is of it; recall: of this class, what is found.

        None where there is nothing to take a share of.
        """
        measure: Any = precision_recall_fscore_support
        precision, recall, _, count = measure(
            self.labels, self.predictions, labels=range(len(self.classes)), zero_division=np.nan
        )
        columns = zip(self.classes, precision, recall, count, strict=True)
        return [
            {"class": name, "images": int(n), "precision": _number(p), "recall": _number(r)}
            for name, p, r, n in columns
        ]


def load_data(config: Config, trained: Trained, *, others: bool = False) -> Dataset:
    """The data of a run, or `others` of its classes, or of some of them: labels are the run's, whatever their order.

    Others in a folder are brought to the size and the channels of the net.

    Raises ValueError if a class or the images' shape is none that the run was trained on.
    """
    *size, channels = trained.metadata.input_shape
    how: dict[str, Any] = how_to_read(config)
    if config.data == "folder":
        how |= {"white": trained.metadata.white, "channels": channels, "classes": trained.metadata.classes}
        if others:  # as predict brings them to the net
            how |= {"image_size": tuple(size), "background": trained.metadata.background}
    data = with_classes(read(config.data, config.data_dir, **how), trained.metadata.classes)
    for name, got, expected in (
        ("classes", data.classes, trained.metadata.classes),
        ("input_shape", data.train.images.shape[1:], trained.metadata.input_shape),
    ):
        if got != expected:
            numbers = name == "classes" and config.data == "npz" and got == tuple(map(str, range(len(got))))
            hint = "; an array classes in the file names them" if numbers else ""
            raise ValueError(f"data: {name}: got {got}, expected {expected}, as when the run was trained{hint}")
    return data


def with_classes(data: Dataset, classes: tuple[str, ...]) -> Dataset:
    """The same images, their labels as numbers of `classes`; as they are where one of them is not among these."""
    if data.classes == classes or not set(data.classes) <= set(classes):
        return data
    numbers = np.array([classes.index(name) for name in data.classes], np.int32)
    splits: dict[str, Any] = {
        name: dataclasses.replace(split, labels=numbers[split.labels]) for name, split in data.splits().items()
    }
    return dataclasses.replace(data, classes=classes, **splits)


def all_splits(data: Dataset) -> Split:
    """The images of all splits, as one."""
    parts = list(data.splits().values())
    labels, names = np.concatenate([part.labels for part in parts]), tuple(chain(*(part.names for part in parts)))
    if in_files(parts[0]):
        numbers = np.concatenate([part.images.numbers for part in parts])
        return Split(dataclasses.replace(parts[0].images, numbers=numbers), labels, names)
    return Split(np.concatenate([part.images for part in parts]), labels, names)


def evaluate(trained: Trained, split: Split) -> Evaluation:
    outputs, probabilities = make_classifier(trained)(split.images)
    return Evaluation(trained.metadata.classes, split.labels, outputs, probabilities, split.names)


def as_json(result: Evaluation, pictures: Path | None) -> dict[str, Any]:
    """All results of `purecnn eval`, as JSON values."""
    worst = [
        {
            "image": int(i),
            **({"file": result.names[i]} if result.names else {}),
            "class": result.classes[result.labels[i]],
            "probability": float(result.confidence[i]),
            "predicted": result.classes[result.predictions[i]],
            "predicted_probability": float(result.probabilities[i, result.predictions[i]]),
        }
        for i in result.worst()
    ]
    return {
        "images": len(result.labels),
        "accuracy": result.accuracy(),
        "top1": result.accuracy(),
        "top5": result.top5,
        "classes": result.per_class(),
        "confusion": result.confusion.tolist(),
        "worst": worst,
        "worst_png": None if pictures is None else str(pictures),
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
