"""A net with the weights of a file: to be asked, or to begin a run from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from purecnn import models
from purecnn.annotations import Array
from purecnn.chain import Chain, Params
from purecnn.train.about import About, read_about
from purecnn.train.config import CHOICES, RENAMED
from purecnn.train.devices import Devices
from purecnn.train.step import TrainState
from purecnn.train.weights import load_weights, name_of


def load_net(path: Path | str) -> tuple[About, Chain, list[Params], list[Params]]:
    """What a file says of itself, the net, its parameters and state; of a run's folder, those of its last epoch.

    Raises FileNotFoundError, or ValueError naming the file and what is wrong with it.
    """
    file = Path(path)
    if file.is_dir():
        file /= "weights.safetensors"
    about = read_about(file)
    about = dataclasses.replace(about, model=RENAMED.get(about.model, about.model))
    if about.model not in CHOICES["model"]:
        raise ValueError(f"{file}: model: got {about.model!r}, expected one of {', '.join(CHOICES['model'])}")
    net = getattr(models, about.model)(len(about.classes))
    key = jax.eval_shape(lambda: jax.random.key(0))
    like = jax.eval_shape(
        lambda key: {"params": net.init(key, about.input_shape), "state": net.init_state(about.input_shape)}, key
    )
    found = load_weights(file, like)
    return about, net, found["params"], found["state"]


def seen(about: About, images: Array) -> Array:
    """Pixels in [0, 1] as the net takes them: (pixel − mean) / std."""
    if (about.pixel_mean, about.pixel_std) == ((0.0,), (1.0,)):
        return images
    mean, std = (jnp.asarray(v, images.dtype)[None, None, None] for v in (about.pixel_mean, about.pixel_std))
    return (images - mean) / std


def begin_from(
    path: str, about: About, start: TrainState, optimizer: optax.GradientTransformation, devices: Devices
) -> tuple[About, TrainState]:
    """`start` with the weights of `path`, a file or a run, and `about` with the mean and deviation of its pixels.

    The last layer with parameters stays as it is where the classes are others. Raises ValueError, naming what differs,
    if the weights are of another model or of images of another size.
    """
    try:
        known, _, params, state = load_net(path)
    except (ValueError, OSError) as error:
        raise ValueError(f"init_weights: {error}") from error
    if known.model != about.model:
        raise ValueError(f"init_weights: {path}: got weights of {known.model}, expected of {about.model}")
    if known.classes != about.classes:
        last = max(i for i, each in enumerate(start.params) if each)
        params[last] = start.params[last]
    found, expected = ({"params": p, "state": s} for p, s in ((params, state), (start.params, start.state)))
    for (place, got), want in zip(jax.tree_util.tree_leaves_with_path(found), jax.tree.leaves(expected), strict=True):
        if got.shape != want.shape:
            raise ValueError(
                f"init_weights: {path}: {name_of(place)}: got {got.shape}, expected {want.shape}; "
                f"its images are {known.input_shape}, these {about.input_shape}"
            )
    params, state = jax.tree.map(lambda leaf: devices.replicate(np.asarray(leaf)), (params, state))
    opt_state = jax.jit(optimizer.init, out_shardings=devices.everywhere)(params)
    pixels = {"pixel_mean": known.pixel_mean, "pixel_std": known.pixel_std}
    return dataclasses.replace(about, **pixels), start._replace(params=params, state=state, opt_state=opt_state)
