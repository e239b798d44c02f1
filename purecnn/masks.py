"""Where the second list (`Chain.backward`) has a ReLU's mask from.

ReLU's backward rule reads y, and of y only where it is above 0 (ReLU6's: and below 6). Two neighbours know that, too:

*A max-pool behind it*, y' = pool(y). Every y' is an entry of y, and the pool sends its cotangent to that one alone. So
the mask is that of y', of which there are fewer,

    x̄ = relu̅(pool̅(ȳ')) = pool̅(ȳ' [y' > 0])

and the pool can have it from the start: it notes no winner where y' is 0. ReLU then has nothing left to do, and a
compiled step does not keep its y.

*A batch norm in front of it*, in training. Batch norm's y, ReLU's x, is above 0 where ReLU's y is. A compiled step
computes it again, an operation for each entry, in the two passes over batch norm's x that its backward rule makes
anyway; ReLU's y, which it need not read there, is another array.

Counted in programs compiled for an H200 in bfloat16, a step of MobileNetV2 so moves a tenth fewer bytes, of ResNet-50 a
twenty-fifth; AlexNet's a tenth, with two fifths less temporary memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from purecnn.layers.batch_norm import batch_norm
from purecnn.layers.max_pool2d import max_pool2d
from purecnn.layers.relu import relu
from purecnn.layers.relu6 import relu6
from purecnn.signatures import Partial

POOL, NORM = "pool", "norm"  # the neighbour that has the mask


def shared_masks(layers: Sequence[Any], train: bool) -> dict[int, str]:
    """{index of a ReLU: the neighbour that has its mask}."""
    rules, masks = [_rule(layer) for layer in layers], {}
    for i, rule in enumerate(rules):
        options = getattr(layers[i].bwd, "keywords", {})
        if rule not in (relu, relu6) or options.get("slope_at_zero"):
            continue
        if rule is relu and rules[i + 1 : i + 2] == [max_pool2d] and _ties(layers[i + 1]) in ("first", "last"):
            masks[i] = POOL
        elif train and i and rules[i - 1] is batch_norm:
            masks[i] = NORM
    return masks


def fwd_behind_relu(pool: Any) -> Callable[..., Any]:
    """`fwd` of a max-pool that has the ReLU's mask."""
    return Partial(pool.fwd.func, *pool.fwd.args, **pool.fwd.keywords, of_relu=True)


def _rule(layer: Any) -> Any:
    """The rule whose pair makes `layer`; None where another's is in place of it."""
    held = [part.args[:1] if isinstance(part, Partial) else () for part in (layer.fwd, layer.bwd)]
    return held[0][0] if held[0] and held[0] == held[1] else None


def _ties(pool: Any) -> str:
    return pool.bwd.keywords.get("ties", "first")
