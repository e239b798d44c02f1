"""Which layers of a chain have the mask of a ReLU next to them, so that its own backward rule has nothing left to do.

    x̄ᵢ = ȳᵢ [yᵢ > 0]        of ReLU6: [0 < yᵢ < 6]

*A max-pool behind it*, y' = pool(y). Every y' is an entry of y, and the pool sends its cotangent to that one alone. So
the mask is that of y', of which there are fewer:

    relu̅(pool̅(ȳ')) = pool̅(ȳ' [y' > 0])

and the pool can have it from the start: it notes no winner where y' is 0. A compiled step then keeps no y.

*A batch norm in front of it*, in training. ReLU's y is above 0 where batch norm's is, and that is computed again, by a
few operations for each entry, in the two passes over x and ȳ that batch norm's backward rule makes anyway. Each then
reads two arrays where, with the mask a pass of its own, three are read and one is written once more. In 16 bits ReLU6's
upper bound is asked of the number before it is rounded, which at 6 may be either side of the kink.

Such layers have the mask as an option of their pair, `within`: the bounds between which y must lie. The residuals of
the ReLU stay in the list, for those who walk it by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from purecnn.layers.batch_norm import batch_norm
from purecnn.layers.max_pool2d import max_pool2d
from purecnn.layers.relu import relu
from purecnn.layers.relu6 import relu6
from purecnn.signatures import Partial

BOUNDS = {relu: (0.0, None), relu6: (0.0, 6.0)}
Pair = tuple[int, tuple[float, float | None]]


@jax.tree_util.register_static
@dataclass(frozen=True)
class Masks:
    """`having`: the layers that have a mask, with its bounds; `spared`: the ReLUs that they have it for."""

    having: tuple[Pair, ...] = ()
    spared: tuple[int, ...] = ()

    def fwd(self, i: int, layer: Any) -> Callable[..., Any]:
        return self._with_mask(i, layer.fwd)

    def bwd(self, i: int, layer: Any) -> Callable[..., Any]:
        if i in self.spared:
            return _identity
        return self._with_mask(i, layer.bwd) if _rule(layer) is batch_norm else layer.bwd

    def _with_mask(self, i: int, function: Any) -> Any:
        bounds = dict(self.having).get(i)
        if bounds is None:
            return function
        return Partial(function.func, *function.args, **function.keywords, within=bounds)


NO_MASKS = Masks()


def shared_masks(layers: Sequence[Any], train: bool) -> Masks:
    """Of a chain's layers, a max-pool before a batch norm where there are both."""
    rules, having, spared = [_rule(layer) for layer in layers], [], []
    for i, rule in enumerate(rules):
        if rule not in BOUNDS or layers[i].bwd.keywords.get("slope_at_zero"):
            continue
        if rules[i + 1 : i + 2] == [max_pool2d] and layers[i + 1].bwd.keywords.get("ties") in (None, "first", "last"):
            neighbour = i + 1
        elif train and i and rules[i - 1] is batch_norm:
            neighbour = i - 1
        else:
            continue
        having.append((neighbour, BOUNDS[rule]))
        spared.append(i)
    return Masks(tuple(having), tuple(spared))


def _identity(residuals, y_bar, train):
    return y_bar, {}


def _rule(layer: Any) -> Any:
    """The rule whose pair makes `layer`; None where another's is in place of it."""
    held = [part.args[:1] if isinstance(part, Partial) else () for part in (layer.fwd, layer.bwd)]
    return held[0][0] if held[0] and held[0] == held[1] else None
