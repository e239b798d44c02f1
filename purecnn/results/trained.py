"""A trained net, from the folder of its run or from a file of weights alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from purecnn.chain import Chain, Params
from purecnn.data.guards import fetch_hint
from purecnn.train.classifying import AT_ONCE, outputs, probabilities
from purecnn.train.metadata import ModelMetadata
from purecnn.train.nets import load_net
from purecnn.train.run_folder import has_config


@dataclass(frozen=True, eq=False)
class Trained:
    """A net with its parameters, state and metadata."""

    metadata: ModelMetadata
    net: Chain
    params: list[Params]
    state: list[Params]


def require_run(folder: Path) -> None:
    """Raise ValueError if `folder` is not the folder of a run."""
    if not has_config(folder):
        lost = "; put it back, as of a folder that was copied whole" if (folder / "best.safetensors").is_file() else ""
        raise ValueError(f"{folder}: got no config.yaml, expected the folder of a run{lost or fetch_hint(folder)}")


def load_trained(path: Path | str, *, last: bool = False) -> Trained:
    """`path` is a run folder, of which the best weights are taken or the `last` ones, or a file of weights.

    Raises FileNotFoundError, or ValueError naming the file and what is wrong with it.
    """
    return Trained(*load_net(path, last=last))


def make_classifier(trained: Trained) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """images (N, H, W, C) -> outputs, probabilities: for any N, by programs for at most AT_ONCE images.

    Fewer than in a call before are padded to as many, so that no other program is compiled for the last ones of a set.
    """
    batch = 1

    @jax.jit
    def classify(params, state, images):
        y = outputs(trained.net, trained.metadata, params, state, images)
        return y, probabilities(trained.metadata, y)

    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal batch
        batch, found = max(batch, min(len(images), AT_ONCE)), []
        for start in range(0, len(images), batch):
            part = np.asarray(images[start : start + batch])
            padded = np.concatenate([part, np.zeros((batch - len(part), *part.shape[1:]), part.dtype)])
            found.append([np.asarray(each)[: len(part)] for each in classify(trained.params, trained.state, padded)])
        y, p = (np.concatenate(each) for each in zip(*found, strict=True))
        return y, p

    return run
