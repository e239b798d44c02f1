"""Window arithmetic: integers only, and the one place where it is done.

A window of size k, dilated by d, covers d(k−1)+1 rows. Slid by stride s over H rows padded with `top` and `bottom`,

    Ho = ⌊(top + H + bottom − d(k−1) − 1) / s⌋ + 1

output rows come out; rows the last window does not reach are left over. Output row o reads, at *tap* i of the window,
the padded row s·o + d·i, that is input row s·o + d·i − top. Columns are the same with W. Forward rules read taps
(`tap_slice`), backward rules write them back (`tap_pad`); the two are each other's adjoint.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Pair = tuple[int, int]
Size2d = int | Pair
Padding = str | int | tuple[Pair, Pair]


@dataclass(frozen=True)
class Phases:
    """One axis of the padded input, its row s·m + a seen from the windows: tap i of window o reads it if
    s·o + d·i = s·m + a, so that o = m − q with d·i = a + s·q. `length` is how many m reach the input, `shifts` how many
    q there are."""

    length: int
    shifts: int


@dataclass(frozen=True)
class Window:
    """A window on the H and W axes of an (N, H, W, C) array; each pair is (rows, columns)."""

    input: Pair
    size: Pair
    stride: Pair
    dilation: Pair
    padding: tuple[Pair, Pair]
    output: Pair

    def taps(self) -> Iterator[Pair]:
        """The places (i, j) inside the window, row by row."""
        return ((i, j) for i in range(self.size[0]) for j in range(self.size[1]))

    def tap_slice(self, tap: Pair, batch: int, channels: int) -> tuple[tuple, tuple, tuple]:
        """Start, limit and strides of the (N, Ho, Wo, C) slice that one tap reads from the *padded* input."""
        start = [d * i for d, i in zip(self.dilation, tap, strict=True)]
        limit = [b + s * (o - 1) + 1 for b, s, o in zip(start, self.stride, self.output, strict=True)]
        return (0, *start, 0), (batch, *limit, channels), (1, *self.stride, 1)

    def tap_pad(self, tap: Pair) -> tuple[tuple[int, int, int], ...]:
        """Low, high and interior padding that lays an (N, Ho, Wo, C) array back on the *unpadded* input's places.

        Negative edges cut off what fell on the padding.
        """
        edges = []
        for axis in (0, 1):
            low = self.dilation[axis] * tap[axis] - self.padding[axis][0]
            high = self.input[axis] - low - (self.stride[axis] * (self.output[axis] - 1) + 1)
            edges.append((low, high, self.stride[axis] - 1))
        return (0, 0, 0), edges[0], edges[1], (0, 0, 0)

    @property
    def input_pad(self) -> tuple[tuple[int, int, int], ...]:
        """The forward padding, in the form `lax.pad` takes."""
        (top, bottom), (left, right) = self.padding
        return (0, 0, 0), (top, bottom, 0), (left, right, 0), (0, 0, 0)

    @property
    def transposed_padding(self) -> tuple[Pair, Pair]:
        """Padding of the output cotangent, stride−1 zeros between its entries, under the kernel turned by 180°.

        Before: what the window reaches past the input's edge, d(k−1) − top. After: whatever makes H rows of it.
        """
        edges = []
        for axis in (0, 1):
            reach = self.dilation[axis] * (self.size[axis] - 1)
            spread = self.stride[axis] * (self.output[axis] - 1) + 1
            low = reach - self.padding[axis][0]
            edges.append((low, self.input[axis] - spread + reach - low))
        return edges[0], edges[1]

    def turned(self) -> Window:
        """For stride 1 the window over ȳ that gives x̄, under the kernel turned by 180°."""
        return Window(self.output, self.size, (1, 1), self.dilation, self.transposed_padding, self.input)

    def phases(self, axis: int) -> Phases:
        """The rows (columns) of the padded input as s·m + a."""
        reach = self.dilation[axis] * (self.size[axis] - 1)
        reached = self.padding[axis][0] + self.input[axis]
        return Phases(-(-reached // self.stride[axis]), reach // self.stride[axis] + 1)

    def in_blocks(self, block: int) -> Window:
        """The columns of the output `block` at a time, those of the padded input s·`block` at a time: block P of the
        output sees blocks P, P + 1, … of the input. What the last ones lack or have too many is for the caller."""
        (_, step), (_, gap) = self.stride, self.dilation
        size = (step * (block - 1) + gap * (self.size[1] - 1)) // (step * block) + 1
        blocks = -(-self.output[1] // block)
        return Window(
            input=(self.input[0], blocks + size - 1),
            size=(self.size[0], size),
            stride=(self.stride[0], 1),
            dilation=(self.dilation[0], 1),
            padding=(self.padding[0], (0, 0)),
            output=(self.output[0], blocks),
        )

    def real_counts(self) -> tuple[list[int], list[int]]:
        """How many rows (columns) of each output row's (column's) window lie on the input, not on padding."""
        counts = []
        for axis in (0, 1):
            first = self.padding[axis][0]
            inside = range(first, first + self.input[axis])
            taps = [self.dilation[axis] * i for i in range(self.size[axis])]
            counts.append([sum(self.stride[axis] * o + t in inside for t in taps) for o in range(self.output[axis])])
        return counts[0], counts[1]


def window2d(
    layer: str,
    shape: tuple[int, ...],
    size: Size2d,
    *,
    stride: Size2d = 1,
    padding: Padding = "VALID",
    dilation: Size2d = 1,
) -> Window:
    """The window of `layer` over an input of `shape` (…, H, W, C); `ValueError`/`TypeError` where there is none."""
    extents = (shape[-3], shape[-2])
    taps, steps, gaps = pair(layer, "window", size), pair(layer, "stride", stride), pair(layer, "dilation", dilation)
    covered = (gaps[0] * (taps[0] - 1) + 1, gaps[1] * (taps[1] - 1) + 1)
    edges = _edges(layer, padding, extents, covered, steps)
    output = []
    for extent, (low, high), cover, step in zip(extents, edges, covered, steps, strict=True):
        room = low + extent + high - cover
        if extent < 1 or room < 0:
            raise ValueError(
                f"{layer}: window: got size {taps} with dilation {gaps}, covering {covered}, "
                f"expected at most the padded input, {extents} with padding {edges}"
            )
        output.append(room // step + 1)
    return Window(extents, taps, steps, gaps, edges, (output[0], output[1]))


def pair(layer: str, name: str, value: Any, minimum: int = 1) -> Pair:
    """An int or a pair of ints as a pair."""
    items = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(items) != 2:
        raise ValueError(f"{layer}: {name}: got {value!r}, expected an int or a pair of ints")
    rows, cols = (integer(layer, name, item, minimum) for item in items)
    return rows, cols


def integer(layer: str, name: str, value: Any, minimum: int) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{layer}: {name}: got {value!r}, expected an integer") from None
    if number < minimum:
        raise ValueError(f"{layer}: {name}: got {value!r}, expected at least {minimum}")
    return number


def _edges(layer: str, padding: Any, extents: Pair, covered: Pair, stride: Pair) -> tuple[Pair, Pair]:
    if padding == "VALID":
        return (0, 0), (0, 0)
    if padding == "SAME":
        edges = [_same(*axis) for axis in zip(extents, covered, stride, strict=True)]
        return edges[0], edges[1]
    if isinstance(padding, tuple | list) and len(padding) == 2 and all(isinstance(e, tuple | list) for e in padding):
        return pair(layer, "padding", padding[0], 0), pair(layer, "padding", padding[1], 0)
    if isinstance(padding, str | tuple | list):
        raise ValueError(
            f'{layer}: padding: got {padding!r}, expected "VALID", "SAME", an int or ((top, bottom), (left, right))'
        )
    edge = integer(layer, "padding", padding, 0)
    return (edge, edge), (edge, edge)


def _same(extent: int, covered: int, step: int) -> Pair:
    """⌈extent / stride⌉ outputs; an odd row of padding goes after the input, as in TensorFlow and XLA."""
    outputs = -(-extent // step)
    total = max((outputs - 1) * step + covered - extent, 0)
    return total // 2, total - total // 2
