"""What a pullback holds from the forward pass."""

import math

import jax
from jax.extend import core


def residual_bytes(pull, *args):
    """Bytes of the arrays that the pullback of `pull(*args)`, an (outputs, pullback) of `jax.vjp`, holds.

    Each array counts once, by its name in the trace; `args`, which may be shapes, and outputs do not count, for the
    neighbours keep them anyway, nor do constants.
    """

    def held(*args):
        y, pullback = pull(*args)
        return jax.tree.leaves(pullback), y

    traced, (leaves, _) = jax.make_jaxpr(held, return_shape=True)(*args)
    jaxpr = traced.jaxpr
    known = names([*jaxpr.invars, *jaxpr.constvars, *jaxpr.outvars[len(leaves) :]])
    kept = names(jaxpr.outvars[: len(leaves)]) - known
    return sum(math.prod(name.aval.shape) * name.aval.dtype.itemsize for name in kept)


def names(variables):
    return {v for v in variables if not isinstance(v, core.Literal)}
