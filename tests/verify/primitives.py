"""Small hijax primitives of several kinds, right, or wrong in one method."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import hijax

RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((2, 3, 4)).astype(np.float32)
W = RNG.standard_normal((4, 2)).astype(np.float32)
L = (np.tril(RNG.standard_normal((4, 4))) + 3 * np.eye(4)).astype(np.float32)
INDEX = np.array([2, 0, 2], np.int32)


def is_zero(t):
    return isinstance(t, hijax.Zero)


def dense(tangent, primal):
    return jnp.zeros_like(primal) if is_zero(tangent) else tangent


def scaled(tree, factor):
    return jax.tree.map(lambda a: a * factor if jnp.issubdtype(a.dtype, jnp.floating) else a, tree)


class Primitive(getattr(hijax, "HiPrim", object)):
    """Every method written, each from `expand`; `fault` names the one that is off by a hundredth, or blind."""

    fault = ""

    def __init__(self, *avals, **params):
        self.params = {} if self.fault == "params" else params
        self.__dict__.update(params)
        out = jax.eval_shape(self.expand, *avals)
        dtype = np.float16 if self.fault == "out_aval" else None
        self.in_avals = avals
        self.out_aval = jax.tree.map(lambda o: hijax.ShapedArray(o.shape, dtype or o.dtype), out)
        super().__init__()

    def off(self, name, tree):
        return scaled(tree, 1.01) if self.fault == name else tree

    def floats(self, args):
        return [k for k, a in enumerate(jax.tree.leaves(args)) if jnp.issubdtype(a.dtype, jnp.floating)]

    def of_floats(self, args):
        leaves, tree = jax.tree.flatten(args)
        where = self.floats(args)

        def fun(*chosen):
            full = list(leaves)
            for k, a in zip(where, chosen, strict=True):
                full[k] = a
            return self.expand(*jax.tree.unflatten(tree, full))

        return fun, [leaves[k] for k in where]

    def vjp_fwd(self, nzs, *args):
        return self.off("vjp_fwd", self(*args)), args

    def vjp_bwd(self, args, g, *accums):
        fun, chosen = self.of_floats(args)
        y, back = jax.vjp(fun, *chosen)
        if self.fault == "zero cotangent":
            g = jax.tree.map(lambda t: t * 1.0, g, is_leaf=is_zero)
        g = jax.tree.map(dense, g, y, is_leaf=is_zero)
        bars = self.off("vjp_bwd", list(back(g)))
        if self.fault == "cotangent's dtype":
            bars = [b.astype(np.float16) for b in bars]
        accums = jax.tree.leaves(accums, is_leaf=lambda a: isinstance(a, hijax.GradAccum))
        for k, bar in zip(self.floats(args), bars, strict=True):
            accums[k].accum(bar)

    def pushed(self, args, tangents):
        fun, chosen = self.of_floats(args)
        leaves = jax.tree.leaves(tangents, is_leaf=is_zero)
        if self.fault == "zero tangent":
            leaves = [t * 1.0 for t in leaves]
        along = [dense(leaves[k], c) for k, c in zip(self.floats(args), chosen, strict=True)]
        return jax.jvp(fun, tuple(chosen), tuple(along))[1]

    def jvp(self, args, tangents):
        return self.off("jvp's value", self(*args)), self.off("jvp", self.pushed(args, tangents))

    def lin(self, nzs, *args):
        return self.off("lin", self(*args)), args

    def linearized(self, args, *tangents):
        return self.off("linearized", self.pushed(args, tangents))

    def batch(self, axis_data, args, dims):
        leaves, tree = jax.tree.flatten(args)
        axes = tree.flatten_up_to(dims)
        fun = lambda *a: self.expand(*jax.tree.unflatten(tree, a))  # noqa: E731
        first = next(a for a in axes if a is not None)
        out = jax.vmap(fun, axes, first if self.fault == "batch's axis" else 0)(*leaves)
        if self.fault == "batch of one":  # counts on every argument being batched
            out = jax.vmap(fun, [first] * len(axes), 0)(*leaves)
        if self.fault == "batch of equal axes":  # counts on one axis for all arguments
            out = jax.vmap(fun, [axis if axis is None else first for axis in axes], 0)(*leaves)
        out = jax.tree.map(lambda o: o[::-1], out) if self.fault == "batch" else out
        return out, jax.tree.map(lambda _: 0, out)

    def remat(self, trace, *args):
        def recompute(*again):
            return self.off("remat", self(*again))

        plain = super().remat(trace, *args)
        if len(plain) == 2:  # JAX 0.11
            return plain[0], recompute
        return plain[0], (), lambda _, *again: recompute(*again)  # JAX 0.12: with residuals


class SineTimes(Primitive):
    def expand(self, x, y):
        return jnp.sin(x) * y


class Product(Primitive):
    def expand(self, x, w):
        return x @ w


class Total(Primitive):
    def expand(self, x):
        return jnp.exp(x).sum(self.axis)


class Power(Primitive):
    """A number among the parameters, which a method may take for 3."""

    def expand(self, x):
        return x**self.exponent

    def jvp(self, args, tangents):
        wrong = type(self)(*self.in_avals, exponent=3) if self.fault == "jvp at 3" else self
        return self(*args), wrong.pushed(args, tangents)

    def batch(self, axis_data, args, dims):
        wrong = type(self)(*self.in_avals, exponent=3) if self.fault == "batch at 3" else self
        return Primitive.batch(wrong, axis_data, args, dims)


class Pair(Primitive):
    """Two outputs; where one is used, `dce` leaves it alone."""

    def expand(self, x):
        return {"both": (jnp.sin(x), x**2), "first": (jnp.sin(x),), "second": (x**2,)}[self.kept]

    def dce(self, used, live=None):
        if all(used) or self.kept != "both":
            return True, True, self
        if not any(used):
            return False, False, None
        keep = ("first", "second")[used[1] != (self.fault == "dce")]
        return True, tuple(used), type(self)(*self.in_avals, kept=keep)


class Tree(Primitive):
    def expand(self, layer):
        return jnp.tanh(layer["x"] @ layer["w"])


class Taken(Primitive):
    def expand(self, x, index):
        return x[index] ** 2


class Scattered(Primitive):
    """Linear in x; `transpose` gathers."""

    def expand(self, x, index):
        return jnp.zeros((4, x.shape[1]), x.dtype).at[index].add(x)

    def transpose(self, g, x, index):
        x.accum(self.off("transpose", g[index]))


class Doubled(Primitive):
    def expand(self, x, y):
        return 2 * x - y

    def transpose(self, g, x, y):
        for accum, bar in ((x, 2 * g), (y, self.off("transpose", -g))):
            if isinstance(accum, hijax.GradAccum):
                accum.accum(bar)


class Norm(Primitive):
    """Of numbers at other places the same."""

    def expand(self, x):
        return jnp.sqrt(1 + (x**2).sum())


class Solved(Primitive):
    """A triangular solve: the numbers of the matrix at other places make it singular."""

    def expand(self, a, b):
        return jax.scipy.linalg.solve_triangular(a, b, lower=True)


CALLS = {
    SineTimes: ((X, Y), {}),
    Product: ((X, W), {}),
    Total: ((X,), {"axis": 1}),
    Pair: ((X,), {"kept": "both"}),
    Tree: (({"x": X, "w": W},), {}),
    Taken: ((X, INDEX), {}),
    Scattered: ((X, INDEX), {}),
    Doubled: ((X, Y), {}),
    Norm: ((X[0],), {}),
    Solved: ((L, W), {}),
}


def made(kind, fault=""):
    """A function that makes the primitive for its arguments, with their example."""
    args, params = CALLS[kind]
    wrong = type(kind.__name__, (kind,), {"fault": fault})
    return (lambda *a: wrong(*jax.tree.map(jax.typeof, a), **params)(*a)), args
