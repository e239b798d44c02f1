"""Every faulty rule, and every right one beside it."""

from . import activations, contracts, convolutions, losses, pools, products
from .joined import Wrong, joined

RULES: tuple[Wrong, ...] = (
    *convolutions.RULES,
    *pools.RULES,
    *activations.RULES,
    *products.RULES,
    *losses.RULES,
    *contracts.RULES,
)
_RIGHT = (convolutions.RIGHT, *pools.RIGHT, *activations.RIGHT, *products.RIGHT, *losses.RIGHT, *contracts.RIGHT)
RIGHT = tuple((primal.__name__, joined(primal, backward), primal, args) for primal, backward, args in _RIGHT)
