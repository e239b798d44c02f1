"""What a program asks of a GPU or TPU, read from its StableHLO on a machine that has neither."""

import math
import re

import jax

OPERATION = re.compile(r"^\s*(%\S+?)(?::\d+)? = \"?(?:stablehlo|chlo)\.(\w+)\"?[( ](.*)$")
RESULT = re.compile(r"-> \(?tensor<([^>]*)>")
LABELS = re.compile(r"dim_numbers = (\S+, \S+, \S+, \S+)->")
SCATTERS = ("scatter", "select_and_scatter")
TRANSPOSED = "[b, 0, 1, f]x[0, 1, o, i]"  # dimension numbers of a convolution with its kernel's channels swapped


def text(function, platform, *args):
    """StableHLO for "cuda" or "tpu"; `args` may be shapes."""
    return jax.jit(function).trace(*args).lower(lowering_platforms=(platform,)).as_text()


def operations(program):
    """(operation, the operation that made each operand, result's shape and dtype, line) one after the other."""
    makers = {}
    for line in program.splitlines():
        if "func.func" in line:
            makers = {}
        if not (found := OPERATION.match(line)):
            continue
        name, operation, rest = found.groups()
        result = RESULT.search(rest) or re.search(r": tensor<([^>]*)>", rest)
        *shape, dtype = result[1].split("x") if result else [""]
        operands = [makers.get(operand, "argument") for operand in re.findall(r"%\w+", rest.split(":")[0])]
        makers[name] = operation
        yield operation, operands, [int(n) for n in shape], dtype, line.strip()


def unwanted_convolutions(line):
    """What `kernels.select` has a faster form for on a GPU: strided convolutions of images."""
    (x_shape,) = re.findall(r": \(tensor<([\dx]+)x[a-z]\w*>", line)
    channels = int(x_shape.split("x")[-1])
    by_stride = re.search(
        r"stride = \[(\d+), (\d+)\]" if "[b, 0, 1, f]x" in line else r"rhs_dilate = \[(\d+), (\d+)\]", line
    )
    if channels <= 4 and max(map(int, by_stride.groups())) > 1:
        yield "a strided convolution of few channels"


def faults(program):
    """What the guards find in a 16-bit training step, in words."""
    found = []
    for operation, operands, shape, dtype, line in operations(program):
        if operation in ("convolution", "dot_general") and dtype == "f32" and math.prod(shape) > 1:
            found.append(f"a {operation} with a float32 result: {line}")
        if operation == "convolution" and TRANSPOSED in line and operands[1] != "reverse":
            found.append(f"the kernel of an input cotangent comes from {operands[1]}, not from its reversal: {line}")
        if operation == "convolution":
            found += [f"{words}: {line}" for words in unwanted_convolutions(line)]
        if operation in SCATTERS:
            found.append(f"a {operation}: {line}")
    return found
