"""The arrays of a net in what programs with PyTorch save and wrap: one for files and for Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WRAPPERS = ("module.", "_orig_mod.", "model.")  # of DataParallel, torch.compile, Lightning
CHECKPOINTS = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model")  # names of a state_dict


def unwrapped(found: Any) -> Mapping[str, Any]:
    """The state_dict of a checkpoint, where it is one, without what wrappers put before every name.

    Raises TypeError for what is no mapping.
    """
    if not isinstance(found, Mapping):
        raise TypeError(f"arrays: got {type(found).__name__}, expected arrays by their names: module.state_dict()")
    for name in CHECKPOINTS:  # beside the state of an optimiser, or an epoch
        if isinstance(found.get(name), Mapping):
            return unwrapped(found[name])
    for prefix in WRAPPERS:
        if found and all(str(name).startswith(prefix) for name in found):
            return unwrapped({name.removeprefix(prefix): each for name, each in found.items()})
    return found
