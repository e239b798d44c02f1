"""What a run needs before it starts: data, net, optimiser and devices that match each other."""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import jax
import jax.numpy as jnp
import optax

from purecnn.annotations import Array
from purecnn.chain import Chain
from purecnn.data.augmentation import make_augmentation
from purecnn.data.batches import batch_count
from purecnn.data.dataset import Dataset, Split
from purecnn.data.pipeline import fits_on_device, in_files, steps_in_a_block
from purecnn.data.readers import read
from purecnn.train.config import Config, Model, how_to_read, require, resolved
from purecnn.train.devices import Devices, all_devices
from purecnn.train.freezing import frozen_layers
from purecnn.train.metadata import ModelMetadata, read_model_metadata
from purecnn.train.nets import init_from_weights, make_net, weights_file
from purecnn.train.optimizers import make_optimizer, require_updates
from purecnn.train.step import Augment, TrainState, initial_state

ACTIVATIONS = ("softmax", "sigmoid", "tanh", "relu", "relu6", "leaky_relu", "gelu")
MOMENTUM = ("sgd", "nesterov", "rmsprop")  # optimisers that have one
OF_NAMED = ("learning_rate", "weight_decay", "schedule", "warmup_epochs")  # options of optimisers by name


@dataclass(frozen=True)
class Plan:
    """A run that can start: model and data exist and match each other, and nothing is written yet."""

    config: Config
    data: Dataset
    net: Chain
    optimizer: optax.GradientTransformation
    augment: Augment
    devices: Devices
    metadata: ModelMetadata
    start: TrainState
    steps_per_epoch: int

    @property
    def frozen(self) -> frozenset[int]:
        """The layers that are not trained."""
        return frozen_layers(self.config.freeze, self.start.params)

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.config.epochs


def prepare(
    config: Config,
    *,
    net: Chain | None = None,
    data: Dataset | None = None,
    augment: Augment | None = None,
    optimizer: optax.GradientTransformation | None = None,
    resume: bool = False,
) -> Plan:
    """Load and build. Raises ValueError, naming what is wrong, if model, data and devices do not fit each other.

    A set of fewer images than a batch is one batch. `net`, `data`, `augment` and `optimizer` stand in for what
    the config names. With `resume`, a run that has weights of its own does not ask for the file that it began from.
    """
    config, devices = resolved(config), all_devices()
    if data is None:
        data = read(config.data, config.data_dir, **how_to_read(config), **channels_to_read(config, config.data))
    samples = len(data.train)
    if devices.count <= samples < config.batch_size:
        fits = samples - samples % devices.count
        note = f"batches of {fits} images instead of {config.batch_size}: there are {samples} to train on"
        config = dataclasses.replace(config, batch_size=fits)
        data = dataclasses.replace(data, notes=(*data.notes, note))
    batch_size = config.batch_size
    require("batch_size", batch_size, batch_size <= samples, f"at most {samples}, the training images")
    divides = batch_size % devices.count == 0
    require("batch_size", batch_size, divides, f"a multiple of {devices.count}, the devices that share it")
    early, validated = config.early_stopping, data.val is not None
    require("early_stopping", early, not early or validated, "false without images to validate")
    weighs, labelled = config.class_weights, data.train.labels.ndim == 1
    require(
        "class_weights", weighs, weighs == "none" or labelled, "none: batches do not say how many images a class has"
    )
    net = net or make_net(config.model, len(data.classes))
    steps_per_epoch = batch_count(samples, batch_size)
    warn_of_few_updates(config, steps_per_epoch)
    warn_of_idle_options(config)
    own, optimizer = optimizer, make_optimizer(config, steps_per_epoch, optimizer)
    metadata = ModelMetadata(config.model, str(config.loss), data.name, data.classes, data.train.images.shape[1:])
    if data.decoding is not None:
        metadata = dataclasses.replace(metadata, background=data.decoding.background, white=data.decoding.white)
    output_shape(net, data)  # raises where the images are too small for the net
    start = initial_state(net, optimizer, metadata.input_shape, config.seed, devices.everywhere)
    if own is not None:
        require_updates(optimizer, start.params, start.opt_state)
    if config.init_weights is not None:
        own = Path(config.run_dir or "") / "weights.safetensors"
        file = str(own) if resume and config.run_dir and own.is_file() else config.init_weights
        metadata, start, note = init_from_weights(file, metadata, start, optimizer, devices, net)
        if file == config.init_weights and note not in data.notes:  # of its own weights, `begin` says where it resumes
            data = dataclasses.replace(data, notes=(*data.notes, note))
    warn_of_lone_images(config, start)
    warn_of_last_layer(net, config)
    if augment is None:
        data, augment = augmented(data, config)
    else:
        augment = of_same_shape(augment)
    if isinstance(data.train, Split) and not fits_on_device(data.train):
        fits = steps_in_a_block(data.train, batch_size)
        config = dataclasses.replace(config, steps_per_dispatch=min(config.steps_per_dispatch, fits))
    return Plan(config, data, net, optimizer, augment, devices, metadata, start, steps_per_epoch)


def channels_to_read(config: Config, kind: str) -> dict[str, int]:
    """Of a folder, with what `purecnn.data.readers.read` takes: those of the weights that a run begins with, or has.

    What cannot be read there is said where the run begins with it.
    """
    if config.init_weights is None or kind != "folder":
        return {}
    own = Path(config.run_dir or "") / "weights.safetensors"
    with suppress(OSError, ValueError):
        file = own if config.run_dir and own.is_file() else weights_file(Path(config.init_weights))
        channels = read_model_metadata(file).input_shape[-1]
        return {"channels": channels} if channels in (1, 3) else {}
    return {}


def output_shape(net: Chain, data: Dataset) -> tuple[int, ...]:
    """Of what the net says of an image. Raises ValueError, with the images' size, where it cannot take such images."""
    shape = data.train.images.shape[1:]
    try:
        return net.shapes(shape)[-1]
    except ValueError as error:
        others = "" if data.decoding is None else "; image_size brings them to another size"
        raise ValueError(f"{error}; the images are {'×'.join(map(str, shape))}{others}") from error


def of_same_shape(augment: Augment) -> Augment:
    """`augment` of a program's own, which raises ValueError for images of another shape than those that it was given.

    Raises TypeError for what is no function.
    """
    if not callable(augment):
        names = "; augmentation= takes the names of those that there are" if isinstance(augment, str) else ""
        raise TypeError(f"augment: got {type(augment).__name__}, expected a function of a key and images{names}")
    try:
        inspect.signature(augment).bind(None, None)
    except ValueError:  # it does not tell its signature
        pass
    except TypeError as error:
        raise TypeError(f"augment: got a function with {error}, expected one of a key and images") from None

    def checked(key: Array, images: Array) -> Array:
        made = augment(key, images)
        got = getattr(made, "shape", type(made).__name__)
        if got != images.shape:
            raise ValueError(f"augment: returned {got}, expected images of the shape that it was given, {images.shape}")
        if not jnp.issubdtype(made.dtype, jnp.floating):  # pixels in [0, 1] would all become 0
            raise ValueError(
                f"augment: returned {made.dtype}, expected floating pixels, as it was given {images.dtype}"
            )
        return made

    return checked


def augmented(data: Dataset, config: Config) -> tuple[Dataset, Augment]:
    """What is done to training images in the step; of those in files, crops are taken as they are decoded."""
    first, *rest = config.augmentation.split("+")
    if first != "resized_crop" or not in_files(data.train):
        return data, make_augmentation(config.augmentation, config.crop_area)
    images = dataclasses.replace(data.train.images, least_area=config.crop_area, seed=config.seed)
    train = dataclasses.replace(data.train, images=images)
    return dataclasses.replace(data, train=train), make_augmentation("+".join(rest) or "none")


def warn_of_few_updates(config: Config, steps_per_epoch: int) -> None:
    if config.accumulate > steps_per_epoch:
        never = config.accumulate > steps_per_epoch * config.epochs
        what = "the whole run has no update" if never else "not every epoch has an update"
        message = f"accumulate: {config.accumulate} steps are more than the {steps_per_epoch} of an epoch: {what}"
        warnings.warn(message, stacklevel=3)


def warn_of_lone_images(config: Config, start: TrainState) -> None:
    """Of batches of one image where batch normalisation is trained: of one pixel it leaves nothing but its bias."""
    frozen = frozen_layers(config.freeze, start.params)
    measuring = [i for i, each in enumerate(start.state) if jax.tree.leaves(each) and i not in frozen]
    if config.batch_size == 1 and measuring and not config.freeze_statistics:
        what = "batch normalisation measures one image alone, expected at least 2, or freeze_statistics"
        warnings.warn(f"batch_size: got 1: {what}", stacklevel=3)


def warn_of_last_layer(net: Chain, config: Config) -> None:
    """Of a net of one's own whose outputs are no logits, where the loss takes these."""
    last = net.layers[-1].name if net.layers and config.model not in get_args(Model) else ""
    if config.loss == "softmax_cross_entropy" and last in ACTIVATIONS:
        applied = last == "softmax"
        why = "which the loss applies as well" if applied else "and the loss takes numbers of any sign and size"
        warnings.warn(f"net: {net.name} ends with {last}, {why}: leave it out", stacklevel=3)


def warn_of_idle_options(config: Config) -> None:
    """Of options that are not as by default and that nothing in this run reads."""
    crops, named = "resized_crop" in config.augmentation.split("+"), config.optimizer != "given"
    reads = {
        "patience": (config.early_stopping or config.until_converged, "early_stopping or until_converged"),
        "tolerance": (config.early_stopping or config.until_converged, "early_stopping or until_converged"),
        "crop_area": (crops, "resized_crop in augmentation"),
        "momentum": (config.optimizer in MOMENTUM, "the optimizer sgd, nesterov or rmsprop"),
        **dict.fromkeys(OF_NAMED, (named, "an optimizer by its name")),
    }
    for name, (is_read, reader) in reads.items():
        value = getattr(config, name)
        if not is_read and value != getattr(Config(), name):
            warnings.warn(f"{name}: got {value!r}, which changes nothing without {reader}", stacklevel=3)
