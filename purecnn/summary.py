"""What a chain is made of: the lecture's table (row 9), with arithmetic and memory beside it.

Units, weights and biases are counted per layer as the lecture does: H×W×C, F×F×C₁×C₂, 1×C₂. FLOPs are those of the
products in the forward pass, two per multiply-add, read off the traced computation; a backward pass takes about twice
as many. Residual bytes are what a layer keeps from its forward pass for its backward rule, without parameters; an
array that two layers keep is counted once, at the first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from purecnn.signatures import is_hashable, traced_layer

BIASES = ("b", "bias")
FOLDED = 3  # repetitions from which on a table shows them as one
LONGEST_PERIOD = 8  # layers


@dataclass(frozen=True)
class Row:
    """One layer, for one sample."""

    layer: str
    units: tuple[int, ...]
    weights: tuple[tuple[int, ...], ...]
    biases: tuple[tuple[int, ...], ...]
    flops: int
    residual_bytes: int
    by_autodiff: bool = False  # no backward rule: JAX differentiates it


@dataclass(frozen=True)
class Summary:
    """The rows of a chain, its input's shape and its totals; `str()` is the table."""

    name: str
    input_shape: tuple[int, ...]
    rows: tuple[Row, ...]

    @property
    def weights(self) -> int:
        return sum(_count(row.weights) for row in self.rows)

    @property
    def biases(self) -> int:
        return sum(_count(row.biases) for row in self.rows)

    @property
    def parameters(self) -> int:
        return self.weights + self.biases

    @property
    def flops(self) -> int:
        return sum(row.flops for row in self.rows)

    @property
    def residual_bytes(self) -> int:
        return sum(row.residual_bytes for row in self.rows)

    def __str__(self) -> str:
        head = ("layer", "units", "weights", "biases", "FLOPs", "residual bytes")
        body, folded = [], False
        for rows, times in _runs(self.rows):
            folded |= times > 1
            for i, row in enumerate(rows):
                prefix = "" if times == 1 else f"{times} × "
                body.append(_cells(row, prefix if i == 0 else " " * len(prefix)))
        total = ("total", "", f"{self.weights:,}", f"{self.biases:,}", f"{self.flops:,}", f"{self.residual_bytes:,}")
        lines = [head, ("input", _times(self.input_shape), "", "", "", ""), *body, total]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        text = [
            "  ".join(
                cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        rule = "─" * len(text[0])
        title = f"{self.name}, one sample: {self.parameters:,} parameters"
        notes = ["n ×: this layer, and those indented below it, n times in sequence; each line is one layer's"] * folded
        if any(row.by_autodiff for row in self.rows):
            notes.append("autodiff: no backward rule, JAX differentiates the layer or one inside it")
        return "\n".join([title, rule, text[0], rule, *text[1:-1], rule, text[-1], *notes])


def _cells(row: Row, prefix: str) -> tuple[str, ...]:
    name = f"{prefix}{row.layer}{' (autodiff)' if row.by_autodiff else ''}"
    sizes = (_times(row.units), _shapes(row.weights), _shapes(row.biases, row=True))
    return name, *sizes, f"{row.flops:,}", f"{row.residual_bytes:,}"


def _runs(rows: tuple[Row, ...]) -> Iterator[tuple[tuple[Row, ...], int]]:
    """The rows in order, those that repeat themselves `FOLDED` times or more once, with how often they come."""
    i = 0
    while i < len(rows):
        counts = {period: repeats(rows, i, period) for period in range(1, LONGEST_PERIOD + 1)}
        period = next((period for period, times in counts.items() if times >= FOLDED), 1)
        times = counts[period] if counts[period] >= FOLDED else 1
        if times > 1 and not rows[i].weights and repeats(rows, i + 1, period) == times:
            times, period = 1, 1  # a block begins with what has weights
        yield rows[i : i + period], times
        i += times * period


def repeats(items: Sequence[Any], i: int, period: int) -> int:
    """How often the `period` items from i on come in sequence."""
    times = 1
    while items[i + times * period : i + (times + 1) * period] == items[i : i + period]:
        times += 1
        if (times + 1) * period > len(items):
            break
    return times


def summarise(net: Any, input_shape: tuple[int, ...], dtype: Any) -> Summary:
    """Trace one sample through `net`, a `purecnn.Chain`, and count; nothing is computed."""
    shapes = net.shapes(input_shape, dtype)
    entries = [traced_layer(layer, shape, jnp.dtype(dtype)) for layer, shape in zip(net.layers, shapes, strict=False)]
    params, state = [p for p, *_ in entries], [s for _, s, _ in entries]
    x = jax.ShapeDtypeStruct((1, *input_shape), dtype)
    key = jax.eval_shape(lambda: jax.random.key(0))
    kept = _kept_bytes(net, params, state, x, key)
    rows, counted = [], {}
    for layer, before, after, p, s, kept_bytes in zip(
        net.layers, shapes[:-1], shapes[1:], params, state, kept, strict=True
    ):
        known = (layer, before) if is_hashable(layer) else len(rows)
        if known not in counted:
            sample = jax.ShapeDtypeStruct((1, *before), dtype)
            traced = jax.make_jaxpr(lambda p, s, x, layer=layer: layer.apply(p, s, x, False, None)[0])(p, s, sample)
            counted[known] = _flops(traced.jaxpr)
        leaves = jax.tree_util.tree_flatten_with_path(p)[0]
        biases = tuple(leaf.shape for path, leaf in leaves if path[-1].key in BIASES)
        weights = tuple(leaf.shape for path, leaf in leaves if path[-1].key not in BIASES)
        rows.append(Row(layer.name, after, weights, biases, counted[known], kept_bytes, layer.by_autodiff))
    return Summary(net.name, tuple(input_shape), tuple(rows))


def _kept_bytes(net, params, state, x, key) -> list[int]:
    """Bytes of the residuals of every layer in a training step; an array is known by its name in the trace. What does
    not depend on the step, parameters and constants, is not counted."""

    def residuals(params, x, state, key):
        return net.forward(params, x, state=state, train=True, key=key)[2]

    axes = [(name, 1) for name in _mapped_axes(net)]
    traced, shape = jax.make_jaxpr(residuals, axis_env=axes, return_shape=True)(params, x, state, key)
    seen = {*traced.jaxpr.invars[: len(jax.tree.leaves(params))], *traced.jaxpr.constvars}
    names: Iterator[Any] = iter(traced.jaxpr.outvars)
    kept = []
    for i, layer in enumerate(shape):
        kept_names = [next(names) for _ in jax.tree.leaves(layer)]
        if i in shape.masks.spared:  # which a compiled step does not keep
            kept_names = []
        fresh = {name for name in kept_names if not isinstance(name, core.Literal)} - seen
        seen |= fresh
        kept.append(sum(math.prod(name.aval.shape) * name.aval.dtype.itemsize for name in fresh))
    return kept


def _mapped_axes(net) -> set[str]:
    """The axes of devices that layers take statistics over."""
    found: set[Any] = {getattr(layer.fwd, "keywords", {}).get("axis_name") for layer in net.layers} - {None}
    names = {name for one in found for name in (one if isinstance(one, tuple) else (one,))}
    return names.union(*(_mapped_axes(way) for layer in net.layers for way in layer.inner))


def _flops(jaxpr: core.Jaxpr) -> int:
    """Two per multiply-add of every convolution and matrix product in `jaxpr` and what it calls; of several branches,
    which are the forms for several platforms, in the last, which is the plain one and multiplies by no zeros."""
    total = 0
    for eqn in jaxpr.eqns:
        products = math.prod(_shape(eqn.outvars[0]))
        if eqn.primitive.name == "conv_general_dilated":
            x, kernel, dims = *map(_shape, eqn.invars), eqn.params["dimension_numbers"]
            if math.prod(eqn.params["lhs_dilation"]) > 1:  # transposed: each entry of x meets the kernel once
                total += 2 * math.prod(x) // x[dims.lhs_spec[1]] * math.prod(kernel)
            else:
                total += 2 * products * math.prod(kernel) // kernel[dims.rhs_spec[0]]
        elif eqn.primitive.name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            total += 2 * products * math.prod(_shape(eqn.invars[0])[axis] for axis in contracted)
        for name, value in eqn.params.items():
            value = value[-1] if name == "branches" else value
            inner = getattr(value, "jaxpr", value)
            total += _flops(inner) if isinstance(inner, core.Jaxpr) else 0
    return total


def _shape(name: Any) -> tuple[int, ...]:
    return getattr(name.aval, "shape", ())


def _count(shapes) -> int:
    return sum(map(math.prod, shapes))


def _times(shape) -> str:
    return "×".join(map(str, shape))


def _shapes(shapes, row=False) -> str:
    """F×F×C₁×C₂ for weights, 1×C₂ for biases, 0 for none; a block's several as a count."""
    if len(shapes) > 1:
        return f"{_count(shapes):,}"
    return "0" if not shapes else _times((1, *shapes[0]) if row else shapes[0])
