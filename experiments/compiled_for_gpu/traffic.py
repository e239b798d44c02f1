"""What a compiled program moves: the operations of its main computation, each a kernel, and their bytes."""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

SIZES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
ARRAY = re.compile(rf"\b({'|'.join(SIZES)})\[([\d,]*)\]")
OPERATION = re.compile(r"\s*(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)$")
FREE = {"parameter", "get-tuple-element", "tuple", "constant", "bitcast", "after-all"}


class Operation(NamedTuple):
    name: str
    bytes: int  # read and written, each operand once
    convolution: bool


def operations(text: str) -> Iterator[Operation]:
    """Those of an optimised program's text that are kernels."""
    types: dict[str, str] = {}
    for line in text[text.index("\nENTRY ") :].splitlines()[2:]:
        found = OPERATION.match(line)
        if not found:
            continue
        name, written, kind, rest = found.groups()
        types[name] = written
        if kind in FREE:
            continue
        read = [types.get(operand, "") for operand in re.findall(r"%([\w.\-]+)", rest[: _end(rest)])]
        if name.startswith("wrapped_slice"):
            read = [written]  # no more than it writes
        yield Operation(name, sum(map(size, (written, *read))), "cudnn" in name)


def size(types: str) -> int:
    """Bytes of the arrays in the text of a type."""
    return sum(SIZES[dtype] * math.prod(int(n) for n in dims.split(",") if n) for dtype, dims in ARRAY.findall(types))


def _end(rest: str) -> int:
    """Where the operands end, whose types may have parentheses of their own."""
    depth = 1
    for i, character in enumerate(rest):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return i
    return len(rest)
