"""Training: the lecture's descent, one jitted step for any optimiser, the loop around it and the folder it fills."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from purecnn.train.fitting import fit as fit

__all__ = ["fit"]


def __getattr__(name: str) -> Any:
    """`fit` when it is asked for: optax, orbax, matplotlib and the like take their time."""
    if name == "fit":
        return importlib.import_module("purecnn.train.fitting").fit
    raise AttributeError(f"module {__name__} has no attribute {name}")
