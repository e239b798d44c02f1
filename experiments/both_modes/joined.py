"""A stand-in for `jax.custom_vjp`: the same pair (fwd, bwd) as a hijax primitive, whose jvp is that of the primal.

If it replaces `jax.custom_vjp` before purecnn is imported, every rule becomes such a primitive, also where one backward
rule calls another rule. Needs `jax.experimental.hijax` of JAX 0.12.0.1.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import hijax


class Joined(hijax.HiPrim):
    """One call of the rule `join`, with its static arguments, on arrays of these types."""

    def __init__(self, join: BothModes, static: tuple[Any, ...], types: tuple[Any, ...]):
        self.in_avals = types
        self.out_aval = jax.tree.map(jax.typeof, jax.eval_shape(functools.partial(join.function, *static), *types))
        flat, tree = jax.tree.flatten(types)
        self.params = {
            "join": join,
            "static": static,
            "types": tuple(flat),
            "tree": tree,
        }  # two instances with equal params are one primitive
        super().__init__()

    def expand(self, *args):
        return self.join.function(*self.static, *args)

    def jvp(self, primals, tangents):
        """The primal function's, by `jax.jvp`, along the arguments whose tangent is not zero."""
        leaves, tree = jax.tree.flatten(primals)
        pushed = tree.flatten_up_to(tangents)
        moving = [i for i, t in enumerate(pushed) if not isinstance(t, hijax.Zero)]

        def function(*moved):
            new = list(leaves)
            for i, leaf in zip(moving, moved, strict=True):
                new[i] = leaf
            return self.expand(*jax.tree.unflatten(tree, new))

        return jax.jvp(function, [leaves[i] for i in moving], [pushed[i] for i in moving])

    lin, linearized = hijax.linearize_from_jvp

    def vjp_fwd(self, nonzero, *args):
        return self.join.fwd(*self.static, *args)

    def vjp_bwd_retval(self, residuals, y_bar):
        y_bar = (
            hijax.instantiate_zeros(y_bar)
            if isinstance(y_bar, hijax.Zero)
            else jax.tree.map(hijax.instantiate_zeros, y_bar, is_leaf=lambda leaf: isinstance(leaf, hijax.Zero))
        )
        bars = self.join.bwd(*self.static, residuals, y_bar)

        def like(bar, argument):
            """A cotangent for each leaf; None stands for an argument that has none."""
            if bar is None:
                return jax.tree.map(lambda t: hijax.Zero(t.to_ct_aval()), argument)
            return bar

        return tuple(like(bar, argument) for bar, argument in zip(bars, self.in_avals, strict=True))

    def batch(self, axis, args, dims):
        y = self.join.batched(axis, dims)(*self.static, *args)
        return y, jax.tree.map(lambda _: 0, y)


class BothModes:
    """Has the interface of `jax.custom_vjp`, as far as purecnn uses it."""

    def __init__(self, function, nondiff_argnums: tuple[int, ...] = ()):
        self.function, self.static = function, tuple(nondiff_argnums)
        functools.update_wrapper(self, function)

    def defvjp(self, fwd, bwd):
        self.fwd, self.bwd = fwd, bwd

    def __call__(self, *args):
        static = tuple(args[i] for i in self.static)
        assert self.static == tuple(range(len(self.static))), "static arguments come first"
        arrays = jax.tree.map(jnp.asarray, args[len(static) :])
        return Joined(self, static, jax.tree.map(jax.typeof, arrays))(*arrays)

    def batched(self, axis, dims) -> BothModes:
        """The rule under `vmap`: cotangents of what is not mapped are sums over the axis."""
        count, over = len(self.static), {"axis_size": axis.size, "axis_name": axis.name}

        def mapped(function, in_axes):
            return lambda *args: jax.vmap(functools.partial(function, *args[:count]), in_axes=in_axes, **over)(
                *args[count:]
            )

        def bwd(*args):
            bars = mapped(self.bwd, 0)(*args)
            return tuple(
                jax.tree.map(lambda leaf, d: leaf.sum(0) if d is None else jnp.moveaxis(leaf, 0, d), bar, dim)
                for bar, dim in zip(bars, dims, strict=True)
            )

        batched = BothModes(mapped(self.function, dims), self.static)
        batched.defvjp(mapped(self.fwd, dims), bwd)
        return batched
