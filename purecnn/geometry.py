"""Window arithmetic: integers only, and the one place where it is done.

A window of size k with dilation d covers d(k−1)+1 rows. With stride s, over H rows padded with `top` and `bottom`, it
has

    Ho = ⌊(top + H + bottom − d(k−1) − 1) / s⌋ + 1

positions; rows that the last window does not reach are left over. Output row o reads, at kernel offset i, the padded
row s·o + d·i, that is input row s·o + d·i − top. Columns are the same with W. Forward rules read the input at each
offset (`offset_slice`), backward rules pad a cotangent back onto the input's rows (`offset_pad`); the two are adjoint.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Pair = tuple[int, int]
Size2d = int | Pair
Padding = str | int | tuple[Pair, Pair]
Dim = Any  # an int, or a symbolic dimension of `jax.export`


@dataclass(frozen=True)
class Polyphase:
    """One axis of the padded input as row s·m + a: offset i of window o reads it if s·o + d·i = s·m + a, so that
    o = m − q with d·i = a + s·q. `length` is how many m reach the input, `shifts` how many q there are."""

    length: int
    shifts: int


@dataclass(frozen=True)
class WindowDims:
    """A window over the H and W axes of an (N, H, W, C) array; each pair is (rows, columns)."""

    input: Pair
    size: Pair
    stride: Pair
    dilation: Pair
    padding: tuple[Pair, Pair]
    output: Pair

    def offsets(self) -> Iterator[Pair]:
        """The kernel offsets (i, j), row-major."""
        return ((i, j) for i in range(self.size[0]) for j in range(self.size[1]))

    def offset_slice(self, offset: Pair, batch: Dim, channels: int) -> tuple[tuple, tuple, tuple]:
        """Start, limit and strides of the (N, Ho, Wo, C) slice of the *padded* input that one offset reads."""
        start = [d * i for d, i in zip(self.dilation, offset, strict=True)]
        limit = [b + s * (o - 1) + 1 for b, s, o in zip(start, self.stride, self.output, strict=True)]
        return (0, *start, 0), (batch, *limit, channels), (1, *self.stride, 1)

    def offset_pad(self, offset: Pair) -> tuple[tuple[int, int, int], ...]:
        """Low, high and interior padding that takes an (N, Ho, Wo, C) array to the *unpadded* input's positions.

        Negative edges cut off what fell on the padding.
        """
        edges = []
        for axis in (0, 1):
            low = self.dilation[axis] * offset[axis] - self.padding[axis][0]
            high = self.input[axis] - low - (self.stride[axis] * (self.output[axis] - 1) + 1)
            edges.append((low, high, self.stride[axis] - 1))
        return (0, 0, 0), edges[0], edges[1], (0, 0, 0)

    def inside(self, axis: int, offset: int) -> tuple[slice, slice]:
        """The input's rows (columns) that one offset reads, none of the padding's, and the outputs that read them."""
        low, stride = self.dilation[axis] * offset - self.padding[axis][0], self.stride[axis]
        first = max(0, -(low // stride))
        limit = max(first, min(self.output[axis], (self.input[axis] - 1 - low) // stride + 1))
        start = stride * first + low
        return slice(start, max(start, stride * (limit - 1) + low + 1), stride), slice(first, limit)

    @property
    def input_pad(self) -> tuple[tuple[int, int, int], ...]:
        """The forward padding, in the form `lax.pad` takes."""
        (top, bottom), (left, right) = self.padding
        return (0, 0, 0), (top, bottom, 0), (left, right, 0), (0, 0, 0)

    def separated(self) -> tuple[WindowDims, WindowDims]:
        """The window as two, one along the columns of the input and one along the rows of what the first leaves."""
        (rows, columns), none = self.padding, (0, 0)
        between = (self.input[0], self.output[1])
        along = [(1, n) for n in (self.size[1], self.stride[1], self.dilation[1])]
        down = [(n, 1) for n in (self.size[0], self.stride[0], self.dilation[0])]
        first = WindowDims(self.input, *along, padding=(none, columns), output=between)
        return first, WindowDims(between, *down, padding=(rows, none), output=self.output)

    def polyphase(self, axis: int) -> Polyphase:
        """The rows (columns) of the padded input as s·m + a."""
        reach = self.dilation[axis] * (self.size[axis] - 1)
        reached = self.padding[axis][0] + self.input[axis]
        return Polyphase(-(-reached // self.stride[axis]), reach // self.stride[axis] + 1)


@dataclass(frozen=True)
class ConvDims(WindowDims):
    """The window of a convolution, with its batch and channels."""

    batch: Dim
    in_channels: int
    out_channels: int
    groups: int

    @property
    def transposed_padding(self) -> tuple[Pair, Pair]:
        """Padding of the output cotangent, stride−1 zeros between its entries, under the kernel flipped on both axes.

        Before: what the window reaches past the input's edge, d(k−1) − top. After: whatever makes H rows of it.
        """
        edges = []
        for axis in (0, 1):
            reach = self.dilation[axis] * (self.size[axis] - 1)
            spread = self.stride[axis] * (self.output[axis] - 1) + 1
            low = reach - self.padding[axis][0]
            edges.append((low, self.input[axis] - spread + reach - low))
        return edges[0], edges[1]

    @property
    def correlation_padding(self) -> tuple[Pair, Pair]:
        """Padding of the input under ȳ as the kernel: the last offset's window ends on the last entry it reads."""
        edges = []
        for axis in (0, 1):
            reach = self.dilation[axis] * (self.size[axis] - 1)
            spread = self.stride[axis] * (self.output[axis] - 1) + 1
            low = self.padding[axis][0]
            edges.append((low, spread + reach - self.input[axis] - low))
        return edges[0], edges[1]

    def transposed(self) -> ConvDims:
        """For stride 1 the convolution of ȳ with the flipped kernel that gives x̄."""
        return dataclasses.replace(
            self,
            input=self.output,
            stride=(1, 1),
            padding=self.transposed_padding,
            output=self.input,
            in_channels=self.out_channels,
            out_channels=self.in_channels,
        )


def window_dims(
    layer: str,
    shape: tuple[Dim, ...],
    size: Size2d,
    *,
    stride: Size2d = 1,
    padding: Padding = "VALID",
    dilation: Size2d = 1,
) -> WindowDims:
    """The window of `layer` over an input of `shape` (…, H, W, C); `ValueError`/`TypeError` where there is none."""
    extents = (shape[-3], shape[-2])
    sizes, strides, dilations = (
        pair(layer, "window", size),
        pair(layer, "stride", stride),
        pair(layer, "dilation", dilation),
    )
    covered = (dilations[0] * (sizes[0] - 1) + 1, dilations[1] * (sizes[1] - 1) + 1)
    edges = padding_edges(layer, padding, extents, covered, strides)
    output = []
    for extent, (low, high), cover, step in zip(extents, edges, covered, strides, strict=True):
        room = low + extent + high - cover
        if extent < 1 or room < 0:
            raise ValueError(
                f"{layer}: window: got size {sizes} with dilation {dilations}, covering {covered}, "
                f"expected at most the padded input, {extents} with padding {edges}"
            )
        output.append(room // step + 1)
    return WindowDims(extents, sizes, strides, dilations, edges, (output[0], output[1]))


def conv_dims(
    layer: str,
    x_shape: tuple[Dim, ...],
    w_shape: tuple[int, ...],
    *,
    stride: Size2d = 1,
    padding: Padding = "VALID",
    dilation: Size2d = 1,
    groups: int = 1,
) -> ConvDims:
    """The convolution of x (N, H, W, C) with w (kh, kw, C/groups, D); `ValueError`/`TypeError` where there is none."""
    in_channels, out_channels = x_shape[3], w_shape[3]
    if in_channels % integer(layer, "groups", groups, 1) or out_channels % groups:
        raise ValueError(
            f"{layer}: groups: got {groups}, expected a divisor of the {in_channels} input and {out_channels} output "
            "channels"
        )
    if w_shape[2] != in_channels // groups:
        raise ValueError(
            f"{layer}: w: got shape {w_shape}, expected {in_channels // groups} input channels "
            f"({in_channels} channels of x in {groups} group{'s' if groups > 1 else ''})"
        )
    size = (w_shape[0], w_shape[1])
    window = window_dims(layer, x_shape, size, stride=stride, padding=padding, dilation=dilation)
    return ConvDims(**vars(window), batch=x_shape[0], in_channels=in_channels, out_channels=out_channels, groups=groups)


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


def padding_edges(layer: str, padding: Any, extents: tuple[Dim, Dim], covered: Pair, stride: Pair) -> tuple[Pair, Pair]:
    """((top, bottom), (left, right)) of `padding` around `extents`, under windows that cover `covered`."""
    if padding == "VALID":
        return (0, 0), (0, 0)
    if padding == "SAME":
        edges = [_same(layer, *axis) for axis in zip(extents, covered, stride, strict=True)]
        return edges[0], edges[1]
    if isinstance(padding, tuple | list) and len(padding) == 2 and all(isinstance(e, tuple | list) for e in padding):
        return pair(layer, "padding", padding[0], 0), pair(layer, "padding", padding[1], 0)
    if isinstance(padding, str | tuple | list):
        raise ValueError(
            f'{layer}: padding: got {padding!r}, expected "VALID", "SAME", an int or ((top, bottom), (left, right))'
        )
    edge = integer(layer, "padding", padding, 0)
    return (edge, edge), (edge, edge)


def _same(layer: str, extent: Dim, covered: int, stride: int) -> Pair:
    """⌈extent / stride⌉ outputs; an odd row of padding goes after the input, as in TensorFlow and XLA."""
    total = (-(-extent // stride) - 1) * stride + covered - extent
    if not isinstance(total, int):  # XLA has no padding that depends on a size
        expected = f"padding in integers, or a multiple of the stride such as {stride}*h"
        raise ValueError(f'{layer}: padding: got "SAME" for {extent} with stride {stride}, expected {expected}')
    total = max(total, 0)
    return total // 2, total - total // 2
