"""Integer arguments of a call that is run in float64.

With 64-bit numbers on, a literal index is an int64: a function that joins one to an int32 of its arguments, as in
`dynamic_update_slice(cache, rows, (position, 0))`, refuses it. There the argument is an int64, too.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from verify.running import WIDE, widened
from verify.settings import unfiltered

NARROW = (np.int32, np.uint32)


def as_literals(tested: Any, options: Mapping[str, Any], arrays: list[Any]) -> list[Any]:
    """The arrays, those of integers as wide as literals are where the function insists on it."""
    key = ("integers", repr(sorted(options.items())))
    if key not in tested.compiled:
        tested.compiled[key] = _insists(tested, options, arrays)
    return _wide(arrays) if tested.compiled[key] else arrays


def _insists(tested: Any, options: Mapping[str, Any], arrays: list[Any]) -> bool:
    if not any(a.dtype in NARROW for a in arrays):
        return False
    refused = []
    for given in (arrays, _wide(arrays)):
        try:
            with widened(WIDE), unfiltered():
                jax.eval_shape(tested.flat(tested.rule, options), *given)
            refused.append(False)
        except Exception:
            refused.append(True)
    return refused == [True, False]


def _wide(arrays: list[Any]) -> list[Any]:
    return [a.astype(np.int64) if a.dtype in NARROW else a for a in arrays]
