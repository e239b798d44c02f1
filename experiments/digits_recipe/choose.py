"""Which recipe makes the fewest errors on unseen digits? Five folds of the training images; no test image is used.

    python -m experiments.digits_recipe.choose                     every candidate: half an hour on two cores
    python -m experiments.digits_recipe.choose --only lenet

Every candidate is trained on four fifths of the 1,437 training images and evaluated on the last fifth, for each
of the fifths. Saved results of other candidates are kept.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.model_selection import StratifiedKFold

from purecnn import models
from purecnn.backend import describe_hardware, keep_freed_memory
from purecnn.data.augmentation import make_augmentation
from purecnn.data.batches import batch_count, training_batches
from purecnn.data.digits import read_digits
from purecnn.train.config import Config, resolved
from purecnn.train.objectives import OBJECTIVES, smoothed
from purecnn.train.optimizers import make_optimizer
from purecnn.train.step import initial_state, steps_in_one_dispatch, training_step

CANDIDATES = {
    "lenet: the default": {},
    "lenet, 200 epochs": {"epochs": 200},
    "cifar_cnn": {"model": "cifar_cnn"},
    "cifar_cnn, 120 epochs": {"model": "cifar_cnn", "epochs": 120},
    "cifar_cnn, warp+cutout": {"model": "cifar_cnn", "augmentation": "warp+cutout"},
    "cifar_cnn, adamw": {
        "model": "cifar_cnn",
        "optimizer": "adamw",
        "learning_rate": 0.001,
        "weight_decay": 0.01,
    },
    "cifar_cnn, label smoothing 0.1": {"model": "cifar_cnn", "label_smoothing": 0.1},
    "cifar_cnn, seeds from 100": {"model": "cifar_cnn", "seed": 100},
    "cifar_cnn, label smoothing 0.1, seeds from 100": {"model": "cifar_cnn", "label_smoothing": 0.1, "seed": 100},
    "resnet_cifar, rate 0.1": {"model": "resnet_cifar", "learning_rate": 0.1},
}
FOLDS = 5


def wrong_by_fold(config: Config, split) -> list[int]:
    """How many of the held-out images the net of each fold classifies wrongly; fold k has seed + k."""
    config, net = resolved(config), getattr(models, config.model)(10)
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=1).split(split.images, split.labels))
    count = min(len(there) for there, _ in folds)  # of one size, so that one compiled program serves all folds
    optimizer = make_optimizer(config, batch_count(count, config.batch_size))
    objective = smoothed(OBJECTIVES[config.loss or ""], config.label_smoothing)
    step = training_step(net, objective, optimizer, make_augmentation(config.augmentation))
    steps, apply = steps_in_one_dispatch(step), jax.jit(lambda now, x: net.apply(now.params, x, state=now.state))
    wrong = []
    for fold, (there, left_out) in enumerate(folds):
        images, labels = (jnp.asarray(each[there[:count]]) for each in (split.images, split.labels))
        seed = config.seed + fold
        now = initial_state(net, optimizer, split.images.shape[1:], seed)
        for epoch in range(config.epochs):
            now, _ = steps(now, images, labels, training_batches(count, config.batch_size, seed=seed, epoch=epoch))
        guesses = np.asarray(apply(now, split.images[left_out])).argmax(axis=1)
        wrong.append(int((guesses != split.labels[left_out]).sum()))
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="candidates that have this in their name")
    only = parser.parse_args().only
    keep_freed_memory()
    split = read_digits().train
    path = Path(__file__).with_name("results") / "choice.json"
    result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"wrong_by_fold": {}}
    result |= {"hardware": describe_hardware(), "images": len(split)}
    for name, options in CANDIDATES.items():
        if only in name:
            wrong = result["wrong_by_fold"][name] = wrong_by_fold(Config(**options), split)
            print(f"{name:<50} {sum(wrong):>3} of {len(split):,} wrong, by fold {wrong}", flush=True)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
