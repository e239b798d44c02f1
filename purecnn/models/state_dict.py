"""The arrays of a net in what programs with PyTorch save and wrap: one for files and for Python."""

from __future__ import annotations

import itertools
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

WRAPPERS = ("module.", "_orig_mod.", "model.")  # of DataParallel, torch.compile, Lightning
AVERAGES = ("state_dict_ema", "model_ema", "ema", "params_ema", "teacher")
CHECKPOINTS = (*AVERAGES, "state_dict", "model_state_dict", "model", "net", "student")  # names of a state_dict
TAKEN = ("ema", "teacher", "q", "online")  # words of the one that counts of two nets: MoCo's encoder_q, BYOL's online
LEFT = "momentum"  # and of the one that does not
SCALES = ("layer_scale", "gamma")  # arrays that are no layer's there; a depthwise 1×1 convolution here
COUNTER = "num_batches_tracked"  # one beside every running_mean
SHOWN = 3
TRANSFORMERS = "embedder."  # in the names of all its convolutional nets


def unwrapped(found: Any) -> Mapping[str, Any]:
    """The state_dict of a checkpoint, where it is one, without what wrappers put before every name.

    Raises TypeError for what is no mapping, and ValueError for several nets of which none is known by its name.
    """
    if not isinstance(found, Mapping):
        raise TypeError(f"arrays: got {type(found).__name__}, expected arrays by their names: module.state_dict()")
    inside = [name for name, each in found.items() if _has_weights(each)]  # beside an optimiser's state, or an epoch
    for name in [*CHECKPOINTS, *(inside if len(inside) == 1 else ())]:
        if isinstance(found.get(name), Mapping):
            others = [other for other in CHECKPOINTS if other not in AVERAGES and isinstance(found.get(other), Mapping)]
            if name in AVERAGES and others:
                message = f"the moving average of the weights is taken, {name}; {others[0]} has the last ones"
                warnings.warn(f"arrays: {message}", stacklevel=3)
            return unwrapped(found[name])
    if len(inside) > 1 and not any(str(name).endswith(".weight") for name in found):
        some = ", ".join(map(str, inside[:SHOWN]))
        raise ValueError(
            f"got several nets, {some}, expected one: torch.save(checkpoint[{inside[0]!r}], FILE) keeps it"
        )
    for prefix in WRAPPERS:
        if found and all(str(name).startswith(prefix) for name in found):
            return unwrapped({name.removeprefix(prefix): each for name, each in found.items()})
    return found


def _has_weights(found: Any) -> bool:
    """Whether it is a state_dict, or has one in it."""
    if not isinstance(found, Mapping):
        return False
    return any(str(name).endswith(".weight") or _has_weights(each) for name, each in found.items())


class OfNet(NamedTuple):
    """A net's arrays: its layers' names as they have them, the arrays, and what is beside them under other names."""

    names: tuple[str, ...]
    arrays: Mapping[str, Any]
    beside: list[str]


def of_net(found: Mapping[str, Any], spellings: Iterable[tuple[str, ...]]) -> OfNet:
    """The arrays of the net whose layers have one of these `spellings`, without what stands before every name.

    As of a net that is a part of another: `net.conv1.weight`, `backbone.conv1.weight` with `head.fc.weight` beside.
    Of a net that is there twice, as of a teacher and a student, one is taken, and a warning says which. Raises
    ValueError where their names do not say which one counts.
    """
    known = [
        (sum(f"{prefix}{name}.weight" in found for name in names), prefix, names)
        for names in spellings
        for prefix in (_prefixes(found, names) if names else ())
    ]
    # A part of a net, such as a block, may have the names of some layers of another.
    known = [each for each in known if not each[1] or each[0] > len(each[2]) // 2]
    most = max(count for count, *_ in known)
    (_, prefix, names), *others = [each for each in known if each[0] == most]
    twice = [other for _, other, spelt in others if spelt == names]
    if twice:
        prefix, *twice = _one_first([prefix, *twice])
    own = {
        name: each
        for name, each in found.items()
        if name.startswith(prefix) and not name.startswith(tuple(filter(None, twice)))
    }
    inside = {name[len(prefix) :]: each for name, each in own.items()}
    beside = [
        name for name in found if name not in own and not any(name.removeprefix(other) in inside for other in twice)
    ]
    head = f"{names[-1]}.weight"
    heads = [name for name in beside if f".{name}".endswith(f".{head}")]
    if prefix and head not in inside and len(heads) == 1:
        under = heads[0].removesuffix(head)
        of_head = [name for name in beside if name.startswith(f"{under}{names[-1]}.")]
        inside |= {name.removeprefix(under): found[name] for name in of_head}
        beside = [name for name in beside if name not in of_head]
    return OfNet(names, inside, beside)


def _one_first(prefixes: list[str]) -> list[str]:
    """What stands before the names of two nets that are one, first that of the net which counts."""
    words = {prefix: re.split(r"[._]", prefix) for prefix in prefixes}
    of_word = ([prefix for prefix in prefixes if word in words[prefix]] for word in TAKEN)
    left = [prefix for prefix in prefixes if LEFT not in words[prefix]]
    one = next((some for some in (*of_word, left) if len(some) == 1), None)
    if one is None:
        *most, last = (repr(prefix) for prefix in prefixes)
        keep = f"keep one: {{name: each for name, each in arrays.items() if name.startswith({last})}}"
        raise ValueError(f"got the net twice, its names begin with {', '.join(most)} and {last}; {keep}")
    others = [prefix for prefix in prefixes if prefix != one[0]]
    called = [prefix or "names without a prefix" for prefix in (*one, *others)]
    message = f"the net is there twice: {called[0]} is taken, {', '.join(called[1:])} left out"
    warnings.warn(f"arrays: {message}", stacklevel=4)
    return one + others


def with_head(
    net: OfNet,
    found: Mapping[str, Any],
    wanted: Mapping[str, tuple[int, ...]],
    classes: int | None,
    zeros: Callable[[tuple[int, ...]], Any],
) -> OfNet:
    """`net`, whose last layer is not there by its name: one by another name, as fc.1 or classifier; without any, zeros.

    `found` has all arrays of the file, `wanted` the shapes of a net of 1,000 classes; `zeros` makes arrays. Fully
    connected layers in a row, as fc.0 and fc.2 of MoCo, and those of other sizes or without a bias are none, and left
    out. Where more than the last layer is missing, two may be it, or there are other kernels, nothing is done.
    """
    head = net.names[-1]
    pair = f"{head}.weight", f"{head}.bias"
    if any(name in net.arrays for name in pair) or not wanted.keys() - {*pair} <= net.arrays.keys():
        return net
    loose = {name: each for name, each in net.arrays.items() if name not in wanted and name.rsplit(".")[-1] != COUNTER}
    if any(_rank(each) > 2 for each in loose.values()):
        return net
    features, candidates = wanted[pair[0]][1], loose | {name: found[name] for name in net.beside}
    tables = [name.removesuffix(".weight") for name in candidates if name.endswith(".weight")]
    tables = [name for name in tables if _rank(candidates[f"{name}.weight"]) == 2]
    row = Counter(place for place, _, number in (name.rpartition(".") for name in tables) if number.isdigit())
    tables = [
        name
        for name in tables
        if row[name.rpartition(".")[0]] < 2
        and f"{name}.bias" in candidates
        and candidates[f"{name}.weight"].shape[1] == features
    ]
    if len(tables) == 1:
        own = f"{tables[0]}.weight", f"{tables[0]}.bias"
        warnings.warn(f"arrays: {tables[0]} is taken as the last layer, {head}", stacklevel=3)
        arrays = {name: each for name, each in net.arrays.items() if name not in own}
        arrays |= {name: candidates[one] for name, one in zip(pair, own, strict=True)}
        return OfNet(net.names, arrays, [name for name in net.beside if name not in own])
    if tables:
        return net
    what = f"the last layer, {head}, is not there, and zeros here; predictions say nothing before it is trained"
    warnings.warn(f"arrays: {what}, as by --init-weights", stacklevel=3)
    rows = classes or wanted[pair[1]][0]
    arrays = {name: each for name, each in net.arrays.items() if name not in loose}
    arrays |= {pair[0]: zeros((rows, features)), pair[1]: zeros((rows,))}
    return OfNet(net.names, arrays, [*net.beside, *loose])


def _rank(array: Any) -> int:
    return len(getattr(array, "shape", ()))


def trimmed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without the axes of length 1 at its end."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def counter(array: str) -> str:
    """The name of the counter beside a running mean; "" beside all else."""
    return array.removesuffix("running_mean") + COUNTER if array.endswith(".running_mean") else ""


def _prefixes(found: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    first = f"{names[0]}.weight"
    return ["", *sorted({name.removesuffix(first) for name in found if name.endswith(f".{first}")})]


def warn_of_left_out(beside: list[str]) -> None:
    """Of arrays that are in a checkpoint beside those of the net, as of a loss or a measure."""
    if beside:
        some = ", ".join([*beside[:SHOWN], *["…"] * (len(beside) > SHOWN)])
        warnings.warn(f"arrays: left out what is beside the net: {some}", stacklevel=3)


def other_net(name: str, found: Mapping[str, Any], spellings: Mapping[str, Iterable[tuple[str, ...]]]) -> str:
    """What the arrays are of instead of the net `name`, by the `spellings` of each model, at the end of an error."""
    if any(TRANSFORMERS in array for array in found):
        return "; these are names of Hugging Face's transformers, whose hub has the same nets by timm's names too"
    layers = {array.removesuffix(".weight") for array in found if array.endswith(".weight")}
    for model, each in spellings.items():
        for names in filter(None, each):
            whole = {layer for layer in names if not layer.endswith(SCALES)}
            if layers in (whole, whole - {names[-1]}) and model != name:
                return f"; these are weights of {model}"
    given = ", ".join([*itertools.islice(found, SHOWN), "…"])
    return f"; weights of another model than {name}? ({given})"
