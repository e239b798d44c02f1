"""Helpers to make corrupt data sets of every kind."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Hostile:
    """What to read as which data set, what the complaint must name, and options of the reader."""

    data: str
    path: Path
    culprit: str
    options: dict[str, str] = field(default_factory=dict)


Kinds = dict[str, Callable[[Path, np.random.Generator], Hostile]]


def cut(data, rng):
    return data[: int(rng.integers(0, len(data) - 1))]


def flip(data, rng, start, stop):
    out = bytearray(data)
    out[int(rng.integers(start, stop))] ^= 1 << int(rng.integers(8))
    return bytes(out)
