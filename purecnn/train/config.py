"""The options of a run. A run folder has them as config.yaml; the command line is generated from them."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax

from purecnn.backend import multiplies_bfloat16
from purecnn.data.augmentation import make_augmentation
from purecnn.data.dataset import Streaming
from purecnn.data.holdout import TEST_SHARE, VAL_SHARE
from purecnn.data.readers import Data
from purecnn.train.freezing import is_freeze
from purecnn.train.options import FLAGS, TABLE, as_written, shown
from purecnn.train.own_code import model_hint

Model = Literal[
    "lenet",
    "alexnet",
    "alexnet_one_tower",
    "cifar_cnn",
    "mlp",
    "resnet_cifar",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "vgg11",
    "vgg11_bn",
    "vgg16",
    "vgg16_bn",
    "mobilenet_v2",
    "convnext_tiny",
]
RENAMED = {"resnet": "resnet_cifar"}
Optimizer = Literal["sgd", "nesterov", "adam", "adamw", "lamb", "lion", "rmsprop", "adagrad"]
Schedule = Literal["constant", "cosine", "linear", "step"]
Loss = Literal["softmax_cross_entropy", "squared_error"]
Given = Literal["given"]  # by a program, to purecnn.train.fit: no choice on the command line
ClassWeights = Literal["none", "balanced"]
Log = Literal["none", "tensorboard"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Config:
    """What is trained, on what, and how; saved as config.yaml."""

    model: Model | str = "lenet"
    """The net; mlp is the lecture's two-layer sigmoid net. MODULE:FUNCTION is your own: (classes) -> Chain."""
    data: Literal[Data, Given] = "digits"
    """The images; digits are scikit-learn's, 8×8 pixels, and need no download; folder and npz are your own."""
    data_dir: str | None = None
    """The file or folder they are in. None: where `purecnn data fetch` puts them; digits need none."""
    image_size: int | None = None
    """Height and width of a folder's images: resized by the shortest side, cropped to the centre. Only for folders."""
    labels: str | None = None
    """A CSV table of a folder's images, with the columns file and class. None: every class has a folder."""
    skip_unreadable: bool = False
    """Leave out files that cannot be read, and list them. Otherwise the first few end the command."""
    background: str = "auto"
    """Background of transparent images: a colour, or auto: white, and black behind images too light for white."""
    max_megapixels: int = 64
    """Larger images are refused, in millions of pixels; JPEGs are read smaller and may have any size."""
    streaming: Streaming = "auto"
    """Whether a folder's images stay in their files: auto: above 1 GiB of pixels. cached: decode them once, to disk."""
    val_share: float = VAL_SHARE
    """Share of every class held out for validation if the data have no such set. 0: none; the last weights count."""
    epochs: int = 60
    """Passes over the training set, at most."""
    batch_size: int = 32
    """Images per step, over all devices. A smaller training set is one batch."""
    accumulate: int = 1
    """Steps whose gradients are averaged into one update: like a batch that many times larger, in the memory of one."""
    optimizer: Literal[Optimizer, Given] = "sgd"
    """sgd is the lecture's, with momentum; all are optax's."""
    learning_rate: float = 0.02
    """The step size γ, the highest where there is a schedule."""
    momentum: float = 0.9
    """Momentum of sgd, nesterov and rmsprop; sgd with 0 is w ← w − γ ∂L/∂w."""
    weight_decay: float = 0.001
    """Adds this share of every kernel to its gradient (adamw, lamb, lion: to its update); biases are left alone."""
    clip_norm: float | None = None
    """A gradient whose norm over all parameters is larger is scaled down to this norm. None: never."""
    schedule: Schedule = "cosine"
    """How the learning rate changes: cosine and linear fall to 0 at the end; step: a tenth at 1/2 and at 3/4."""
    warmup_epochs: float = 0.0
    """Epochs in which the learning rate rises from 0, before the schedule begins."""
    init_weights: str | None = None
    """A run or a file of weights of the same model to begin with. The last layer is new if the classes are others."""
    ema: float | None = None
    """Decay of a moving average of the weights, such as 0.999: it is what is evaluated and kept. None: no average."""
    loss: Loss | None = None
    """None: squared_error for mlp, as in the lecture, softmax_cross_entropy for the others."""
    freeze: str | None = None
    """Layers that are not trained: all-but-head, or numbers as `purecnn summary` counts them, 0-12,15. None: none."""
    layer_decay: float = 1.0
    """The learning rate of every layer with parameters is this times that of the next: 1 is one rate for all."""
    freeze_statistics: bool = False
    """Batch normalisation keeps the running statistics that it began with, and normalises by them in training too."""
    label_smoothing: float = 0.0
    """Of softmax_cross_entropy in training: this share of every label is spread over all classes."""
    class_weights: ClassWeights = "none"
    """balanced: a class with few images weighs as much as one with many, in the loss while training."""
    augmentation: str = "warp"
    """What is done to training images, anew every time: none, or some of resized_crop, warp, flip, …, joined by +."""
    crop_area: float = 0.08
    """The smallest share of an image that resized_crop takes."""
    mixup: float = 0.0
    """α of mixup: images and labels are mixed in pairs by λ and 1 − λ, with λ from Beta(α, α). 0: off."""
    cutmix: float = 0.0
    """α of cutmix: a rectangle of another image, and that share of its label. With mixup: one of both, at random."""
    precision: Precision = "auto"
    """bfloat16: passes in 16 bits; weights, loss, update, sums stay float32. auto: where hardware multiplies in it."""
    deterministic: bool = False
    """On a GPU, only operations that give the same bits every time, some of them slower; on a CPU all do."""
    until_converged: bool = False
    """Stop before the last epoch once the training loss has settled."""
    early_stopping: bool = False
    """Stop before the last epoch once the validation loss no longer falls. The best weights are used in any case."""
    patience: int = 5
    """Of both: stop after this many epochs without progress."""
    tolerance: float = 0.001
    """Of both: progress is a loss that is lower by more than this share."""
    steps_per_dispatch: int = 64
    """Steps in one dispatch to the device; the result is the same."""
    checkpoint_every: float = 15.0
    """Seconds of work that a killed run loses at most; 0: one dispatch. Saved at the end and on Ctrl-C in any case."""
    seed: int = 0
    """Seed of initial weights, order of images, augmentation and dropout. The test images stay the same."""
    log: Log = "none"
    """tensorboard: the metrics of every epoch as its events too, in the run's folder."""
    run_dir: str | None = None
    """A new folder for the results. None: the next free runs/MODEL-DATA-NUMBER."""

    def __post_init__(self):
        for name, value in vars(self).items():
            object.__setattr__(self, name, as_written(value, is_path=name in PATHS))
        names, hint = ", ".join(get_args(Model)), model_hint(str(self.model), get_args(Model))
        require("model", self.model, is_model(self.model), f"one of {names}, or MODULE:FUNCTION{hint}")
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            known = isinstance(value, str | None) and value in choices  # an array would be compared number by number
            require(name, value, known, "one of " + ", ".join(map(str, choices)))
        for name, (kind, allowed, expected) in NUMBERS.items():
            value = getattr(self, name)
            is_number = isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
            unset = value is None and name in UNSET
            require(
                name, value, unset or (is_number and allowed(value)), expected + (" or None" if name in UNSET else "")
            )
        for name, expected in FLAGS.items():
            require(name, getattr(self, name), isinstance(getattr(self, name), bool), expected)
        for name in PATHS:
            path = getattr(self, name)
            require(name, path, path is None or (isinstance(path, str) and path.strip() != ""), PATHS[name])
        expected = "all-but-head, layers such as 0-12,15, or None"
        require("freeze", self.freeze, self.freeze is None or is_freeze(self.freeze), expected)
        make_augmentation(self.augmentation)  # raises, with the names there are
        smoothing, loss = self.label_smoothing, resolved_loss(self)
        require(
            "label_smoothing", smoothing, not smoothing or loss == "softmax_cross_entropy", f"0 with the loss {loss}"
        )


CHOICES = {
    "data": (*get_args(Data), *get_args(Given)),
    "optimizer": (*get_args(Optimizer), *get_args(Given)),
    "schedule": get_args(Schedule),
    "streaming": get_args(Streaming),
    "loss": (*get_args(Loss), None),
    "class_weights": get_args(ClassWeights),
    "precision": get_args(Precision),
    "log": get_args(Log),
}
COUNT = (int, lambda v: v >= 1, "an integer, at least 1")
SHARE = (int | float, lambda v: 0 <= v < 1, "a number of at least 0 and below 1")
PART = (int | float, lambda v: 0 < v <= 1, "a number above 0, at most 1")
POSITIVE = (int | float, lambda v: v > 0, "a finite number above 0")
NOT_NEGATIVE = (int | float, lambda v: v >= 0, "a finite number, at least 0")
BELOW_TEST = (int | float, lambda v: 0 <= v < 1 - TEST_SHARE, f"a number of at least 0 and below {1 - TEST_SHARE}")
NUMBERS: dict[str, tuple[Any, Any, str]] = {
    "image_size": COUNT,
    "max_megapixels": COUNT,
    "val_share": BELOW_TEST,
    "epochs": COUNT,
    "batch_size": COUNT,
    "accumulate": COUNT,
    "learning_rate": POSITIVE,
    "momentum": SHARE,
    "weight_decay": NOT_NEGATIVE,
    "clip_norm": POSITIVE,
    "ema": SHARE,
    "warmup_epochs": NOT_NEGATIVE,
    "mixup": NOT_NEGATIVE,
    "cutmix": NOT_NEGATIVE,
    "layer_decay": PART,
    "crop_area": PART,
    "label_smoothing": SHARE,
    "patience": COUNT,
    "tolerance": SHARE,
    "steps_per_dispatch": COUNT,
    "checkpoint_every": NOT_NEGATIVE,
    "seed": (int, lambda v: 0 <= v < 2**32, "an integer from 0 to 4294967295"),
}
PATHS = dict.fromkeys(("run_dir", "data_dir", "init_weights"), "a path or None") | {"labels": TABLE}
UNSET = ("image_size", "clip_norm", "ema")  # may be None


# What may change when a run is resumed: how far it goes and how often it saves, not what it computes.
FREE = frozenset({
    "epochs", "until_converged", "early_stopping", "patience", "tolerance",
    "checkpoint_every", "steps_per_dispatch", "data_dir", "labels", "init_weights", "run_dir", "log",
})  # fmt: skip


def is_model(name: Any) -> bool:
    """Whether it is one of purecnn's models, MODULE:FUNCTION, or :NAME, a net that was made by a program."""
    return isinstance(name, str) and (name in get_args(Model) or re.fullmatch(r"[\w.]*:[\w. -]+", name) is not None)


def require(name: str, value: Any, ok: bool, expected: str) -> None:
    if not ok:
        raise ValueError(f"{name}: got {shown(value)}, expected {expected}")


def resolved(config: Config) -> Config:
    """With every default that depends on other fields filled in."""
    return dataclasses.replace(config, loss=resolved_loss(config), precision=resolved_precision(config))


def how_to_read(config: Config) -> dict[str, Any]:
    """What `purecnn.data.readers.read` takes beside the name and the place."""
    files = ("labels", "skip_unreadable", "background", "max_megapixels", "streaming")
    return {name: getattr(config, name) for name in ("image_size", "val_share", *files)}


def resolved_precision(config: Config) -> Precision:
    if config.precision != "auto":
        return config.precision
    return "bfloat16" if multiplies_bfloat16(jax.devices()[0]) else "float32"


def resolved_loss(config: Config) -> Loss:
    return config.loss or ("squared_error" if config.model == "mlp" else "softmax_cross_entropy")
