"""`purecnn.train.fit`: what `purecnn train` calls, for your own net and data. `purecnn.load`: the trained net."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, get_args

import jax
import numpy as np
import optax
from rich.console import Console

from purecnn import models
from purecnn.chain import Chain
from purecnn.data.dataset import Dataset, Split
from purecnn.data.given_sets import read_given, require_same_order
from purecnn.data.holdout import warn_of_absent_classes, with_validation
from purecnn.data.layout import NAMES
from purecnn.data.readers import DATA_NAMES, read
from purecnn.data.stream import Stream, class_names, is_pair, open_stream, read_all
from purecnn.data.suspicions import (
    call_hint,
    check_pixels,
    item_hint,
    loaders_hint,
    require_labels,
    warn_of_repeats,
)
from purecnn.train.config import Config, Model, how_to_read
from purecnn.train.devices import together
from purecnn.train.loop import Result, train
from purecnn.train.metadata import require_distinct
from purecnn.train.nets import call_own, make_net
from purecnn.train.optimizers import require_optimizer
from purecnn.train.options import named_as_in_python
from purecnn.train.own_code import of_library
from purecnn.train.plan import channels_to_read, output_shape, prepare
from purecnn.train.progress import RunConsole
from purecnn.train.run_folder import unknown_option
from purecnn.train.step import Augment

PAIRS = {2: ("train", "test"), 3: ("train", "val", "test")}  # splits, by the number of pairs of arrays


@contextmanager
def jax_as_usual() -> Iterator[None]:
    """Inside, none of what a program asks of its own code: optax adds integers to floats, and weights are float32.

    A loss that is not finite is found by `require_finite`, with its step; and what is compiled is compiled first.
    """
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.enable_x64(False),
        jax.debug_nans(False),
        jax.debug_infs(False),
        jax.disable_jit(False),
        jax.transfer_guard("allow"),
    ):
        yield


@named_as_in_python
@jax_as_usual()
def fit(
    net: Chain | Callable[[int], Chain] | str,
    data: Any,
    config: Config | None = None,
    *,
    val: Any = None,
    test: Any = None,
    classes: Iterable[Any] | None = None,
    steps_per_epoch: int | None = None,
    augment: Augment | None = None,
    optimizer: str | optax.GradientTransformation | None = None,
    resume: bool = False,
    console: Console | None = None,
    on_epoch: Callable[[dict[str, Any]], None] = lambda line: None,
    **options: Any,
) -> Result:
    """Train `net` on `data` in a new run folder, for eval, predict, export, report and `purecnn.load`.

    `net`: a Chain; a function from the number of classes to one; the name of a model, or "module:function".
    `data`: a folder of images or an .npz file, by its path; a Dataset; (images, labels), arrays or tensors; or anything
    that gives batches of these, or dicts of both, whenever it is iterated: a DataLoader, tf.data, grain, a Hugging Face
    set; or a dict of such by split, {"train": …, "val": …, "test": …}, or a tuple of arrays to train and to test with,
    ((images, labels), (images, labels)), as Keras has them; of three, those between validate. `steps_per_epoch` is for
    what does not say its length. Images are uint8 or floating, as the net is to see them.
    `val` and `test` are the like, read into memory; without `val`, arrays hold out `val_share`, and of batches the last
    weights are the best. `config` and `options` are those of the command: epochs=10, learning_rate=0.1, run_dir="run".
    `optimizer` may be one of optax's own, which then has its learning rate and weight decay in it.
    A resumed run takes from an iterable what is left of its epoch, in the order in which that gives it.

    Raises what `purecnn.train.plan.prepare` and `purecnn.train.loop.train` raise. Ctrl-C saves and returns.
    """
    if unknown := unknown_option(options):
        raise TypeError(f"fit: {unknown}")
    if not isinstance(config, Config | None):
        pair = "; images and labels are one argument, (images, labels), and options have names: epochs=10"
        raise TypeError(f"config: got {type(config).__name__}, expected a purecnn.train.config.Config{pair}")
    if isinstance(optimizer, str):
        options["optimizer"], optimizer = optimizer, None
    elif optimizer is not None:
        require_optimizer(optimizer)
        options["optimizer"] = "given"
    config = dataclasses.replace(config or Config(), **options)
    if resume and config.run_dir is None:
        raise ValueError("run_dir: got none, expected the folder of the run to resume")
    classes = None if classes is None else _named(classes)
    how: dict[str, Any] = {"steps_per_epoch": steps_per_epoch, "classes": classes or ()}
    found = together(partial(as_dataset, data, val, test, config, **how))
    if isinstance(found.train, Stream):
        if (asked := options.get("batch_size", found.train.batch_size)) != found.train.batch_size:
            message = (
                f"batch_size: got {asked}, which changes nothing: the batches have {found.train.batch_size} images"
            )
            warnings.warn(message, stacklevel=4)
        # One batch a dispatch: images wait for no others, and memory holds a few batches.
        config = dataclasses.replace(config, batch_size=found.train.batch_size, steps_per_dispatch=1)
    config = dataclasses.replace(config, **_where(data, config))
    named, built = _resolved_net(net, found, classes)
    config = dataclasses.replace(config, model=named)
    names, shape = classes or found.classes, output_shape(built, found)
    require_same_order(names, found.classes)
    names = names or tuple(str(n) for n in range(shape[-1] if shape else 1))
    if shape != (len(names),):
        got = "×".join(map(str, shape))
        raise ValueError(f"net: got {got} outputs, expected {len(names)}, one for each class")
    found = dataclasses.replace(found, classes=names)
    for name, split in found.splits().items():
        _require_fit(name, split, found)
    if len(names) < 2:
        raise ValueError(f"classes: got only {''.join(names)}, expected at least 2")
    if val is not None or not isinstance(data, str | Path):  # of others the reader has warned
        warn_of_absent_classes(found)
        warn_of_repeats(found)
    own: dict[str, Any] = {"net": built, "data": found, "augment": augment, "optimizer": optimizer}
    plan = together(partial(prepare, config, **own, resume=resume))
    return train(plan, console or RunConsole(), resume=resume, on_epoch=on_epoch)


def _named(classes: Any) -> tuple[str, ...]:
    """Names of classes, as text. Raises TypeError for what is no list of them, and ValueError for one given twice."""
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        raise TypeError(f"classes: got {classes!r}, expected a name for each, as in ['cat', 'dog']")
    names = tuple(map(str, classes))
    require_distinct(names)
    return names


def _require_fit(name: str, split: Split | Stream, data: Dataset) -> None:
    """Raise ValueError for images unlike those to train on, and labels without a class, not at the run's end."""
    shape, expected = split.images.shape[1:], data.train.images.shape[1:]
    if shape != expected:
        raise ValueError(f"data: {name}: got images of shape {shape}, expected {expected}, as those to train on")
    low, high = (0, 0) if isinstance(split, Stream) else (int(split.labels.min()), int(split.labels.max()))
    require_labels(f"data: {name}", low, high, len(data.classes))


def as_dataset(
    data: Any, val: Any, test: Any, config: Config, *, steps_per_epoch: int | None = None, classes: Sequence[str] = ()
) -> Dataset:
    """What `fit` takes, as three splits. Classes are () where the data do not name them; `classes` then do."""
    if isinstance(data, Mapping) and "train" in data:  # a DatasetDict, or loaders by split
        splits = {NAMES[name]: each for name, each in data.items() if name in NAMES}
        val, test = (splits.get(name) if given is None else given for name, given in (("val", val), ("test", test)))
        return as_dataset(splits["train"], val, test, config, steps_per_epoch=steps_per_epoch, classes=classes)
    if isinstance(data, tuple) and len(data) in PAIRS and all(map(is_pair, data)):  # as Keras' load_data gives them
        return as_dataset(dict(zip(PAIRS[len(data)], data, strict=True)), val, test, config, classes=classes)
    if isinstance(data, Dataset):
        found = data
    elif isinstance(data, str | Path):
        how: dict[str, Any] = how_to_read(config) | ({} if val is None else {"val_share": 0.0})
        kind, place = (str(data), config.data_dir) if str(data) in DATA_NAMES else (_kind(data), str(data))
        found = read(kind, place, **how, **channels_to_read(config, kind))
    elif hasattr(data, "columns") and hasattr(data, "to_dict"):  # a table of pandas or polars
        columns: Any = {str(name): list(data[name]) for name in data.columns}  # type: ignore[reportAttributeAccessIssue]
        return as_dataset(columns, val, test, config, classes=classes)
    elif isinstance(data, Mapping | tuple | Split) or is_pair(data):
        found = Dataset("arrays", read_all(data), None, ())
        check_pixels(found.train.images, "data")
    elif isinstance(data, Iterable):
        found = Dataset("batches", open_stream(data, config.batch_size, steps_per_epoch), None, class_names(data))  # type: ignore[arg-type]
    else:
        more = loaders_hint(data) or (item_hint(data) if hasattr(data, "__getitem__") else call_hint(data))
        raise TypeError(f"data: got {type(data).__name__}, expected arrays, a path, or batches to iterate over{more}")
    more = {
        name: read_given(name, each, found, classes)
        for name, each in (("val", val), ("test", test))
        if each is not None
    }
    for name, split in more.items():
        check_pixels(split.images, f"data: {name}")
    found = dataclasses.replace(found, **more)
    return found if isinstance(found.train, Stream) else with_validation(found, config.val_share)


def _kind(path: str | Path) -> str:
    return "npz" if Path(path).suffix == ".npz" else "folder"


def _where(data: Any, config: Config) -> dict[str, Any]:
    """What the config says of the data: where eval and report find them, or that a program gave them."""
    if not isinstance(data, str | Path):
        return {"data": "given", "data_dir": None}
    if str(data) in DATA_NAMES:
        return {"data": str(data), "data_dir": config.data_dir}
    return {"data": _kind(data), "data_dir": str(data)}


def _resolved_net(net: Any, data: Dataset, classes: Sequence[str] | None) -> tuple[str, Chain]:
    """The name under which the run keeps it, MODULE:FUNCTION where it can be imported, and the net itself."""
    if isinstance(net, Chain):
        return (net.name if _is_ours(net, data) else _name_of_given(net.name)), net
    count = len(classes) if classes is not None else len(data.classes)
    if not count and isinstance(data.train, Split):
        count = 1 + int(data.train.labels.max())
    if not count:
        raise ValueError("classes: got none, expected their names: the data do not say how many there are")
    if isinstance(net, str):
        return net, make_net(net, count)
    if not callable(net) or (of_library(net) and not isinstance(net, type)):
        expected = f"a Chain, a function that makes one, or its name{of_library(net)}"
        raise TypeError(f"net: got {type(net).__name__}, expected {expected}")
    name, module = getattr(net, "__name__", "net"), getattr(net, "__module__", "__main__")
    if name in get_args(Model) and getattr(models, name) is net:
        return name, make_net(name, count)
    importable = module != "__main__" and name.isidentifier() and getattr(net, "__qualname__", "") == name
    built = call_own(net, count, f"net: {name}")
    return (f"{module}:{name}" if importable else _name_of_given(name.strip("<>"))), built


def _name_of_given(name: str) -> str:
    """Of a net that a program made, in the config: letters, figures and what joins them."""
    return ":" + (re.sub(r"[^\w. -]", "_", name) or "net")


def _is_ours(net: Chain, data: Dataset) -> bool:
    """Whether a net is a model of purecnn's as it comes, so that its name says all."""
    shape = data.train.images.shape[1:]
    known = net.name in get_args(Model)
    outputs = int(np.prod(output_shape(net, data)))
    return known and str(net.summary(shape)) == str(make_net(net.name, outputs).summary(shape))
