"""What the lowered backward program does on an accelerator, read without one. These are notes: the numbers are right.

A product in float32 of 16-bit arguments runs at a fraction of a tensor core's speed. A select-and-scatter or a scatter
runs one update after the other, and is refused where programs must be deterministic. A product that names a precision
of its own in the backward rule does not follow `jax.default_matmul_precision`, which the forward rule follows.
"""

import re
from collections import Counter
from collections.abc import Callable

import jax
import jax.numpy as jnp

from verify.call_under_test import CallUnderTest
from verify.function_under_test import first_line
from verify.oracle.tensor_float import below
from verify.report.finding import Finding, NotRunError
from verify.running import WIDE, pullback

NAME = "lowered"
EVERY_CASE = False
WIDENED = re.compile(r"stablehlo\.(dot_general|convolution)\b.*: \(tensor<\S*f32>, tensor<\S*f32>\)")
SCATTERED = re.compile(r'"stablehlo\.(select_and_scatter|scatter)"')


def findings(case: CallUnderTest) -> list[Finding]:
    if not case.tested.calls:
        raise NotRunError("the function holds no hand-written rule")
    forward = case.tested.flat(case.tested.rule, case.options)
    pull = pullback(forward, case.perturbed)
    said = _precision(case, forward, pull)
    if case.tested.dtype != WIDE:
        said += _for_a_gpu(case, forward, pull)
    return [Finding(NAME, "the backward rule", None, None, None, "", text, case.label, note=True) for text in said]


def _precision(case: CallUnderTest, forward: Callable, pull: Callable) -> list[str]:
    with jax.default_matmul_precision("highest"):
        own = _lower(jax.make_jaxpr(forward)(*case.arrays))
        both = _lower(jax.make_jaxpr(pull)(list(case.arrays), list(case.y_bar)))
    if own or not both:
        return []
    return [f"{_times(n, 'product')} at precision {p}, whatever the caller asks for" for p, n in both.items()]


def _lower(closed) -> Counter[str]:
    """Precisions below the highest, with the number of products at each."""
    return Counter(", ".join(dict.fromkeys(str(p) for p in both)) for both in below(closed))


def _for_a_gpu(case: CallUnderTest, forward: Callable, pull: Callable) -> list[str]:
    half = jnp.bfloat16
    try:
        arrays, y_bar = case.at(half), case.cotangent(half, case.y_bar)
        program, plain = _lowered(pull, arrays, y_bar), _lowered(lambda arrays: forward(*arrays), arrays)
    except Exception as error:
        raise NotRunError(f"the rule is not lowered for a GPU in bfloat16 ({first_line(error)})") from error
    said = []
    if not WIDENED.search(plain):
        wide = Counter(match[1] for match in map(WIDENED.search, program.splitlines()) if match)
        said += [
            f"on a GPU in bfloat16, {_times(n, name)} in float32, at a fraction of the speed: leave the operands "
            "as they are and give preferred_element_type=float32"
            for name, n in wide.items()
        ]
    slow = Counter(SCATTERED.findall(program))
    return said + [f"on a GPU, {_times(n, name)}: slow, and refused in deterministic mode" for name, n in slow.items()]


def _times(n: int, name: str) -> str:
    return f"a {name}" if n == 1 else f"{n} times {name}"


def _lowered(fun: Callable, *args) -> str:
    return jax.jit(fun).trace(*args).lower(lowering_platforms=("cuda",)).as_text()
