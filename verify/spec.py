"""Calls as text, for the command line and for tests.

`f32[2,8,8,3]` normal numbers (f16, bf16, f64 too), `p32[4,10]` rows of probabilities, `i32[4]<10` integers below 10,
`key` a random key, and anything else as a Python literal (`0.5`, `(3,3)`).
"""

import ast
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verify.report.finding import UncheckableError

SPEC = re.compile(r"(bf16|f16|f32|f64|i32|u8|p32|p64)\[([\d,\s]*)\](?:<(\d+))?$")
DTYPES = {"bf16": "bfloat16", "f16": "float16", "f32": "float32", "f64": "float64", "i32": "int32", "u8": "uint8"}


def parametrize(**rules: tuple[Any, ...]) -> Any:
    """A pytest mark that runs a test once for each rule: `name=(rule, reference or None, argument, argument, …)`, the
    arguments as arrays or as text. The test takes `rule`, `reference` and `args`.

        @verify.parametrize(
            dense=(dense, plain_dense, "f32[5,4]", "f32[4,6]"),
            relu=(relu, None, "f32[3,4]"),
        )
        def test_my_rules(rule, reference, args):
            verify.assert_ok(rule, *args, reference=reference)
    """
    import pytest

    def row(rule: Callable, reference: Callable | None, *words: Any) -> tuple:
        return rule, reference, tuple(argument(word, seed) for seed, word in enumerate(words))

    rows = [row(*given) for given in rules.values()]
    return pytest.mark.parametrize(("rule", "reference", "args"), rows, ids=list(rules))


def argument(text: Any, seed: int = 0) -> Any:
    """An argument from its description; what is not text is an argument already. float64 stays float64 only where JAX's
    `jax_enable_x64` is set. Raises UncheckableError for text that is not understood."""
    if not isinstance(text, str):
        return text
    if text == "key":
        return jax.random.key(seed)
    match = SPEC.match(text.strip())
    if match is None:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError) as error:
            raise UncheckableError(
                f'the argument {text!r} is neither like "f32[2,8,8,3]" nor a Python literal'
            ) from error
    kind, sizes, below = match.groups()
    shape = tuple(int(s) for s in sizes.split(",") if s.strip())
    rng = np.random.default_rng(seed)
    if kind in ("i32", "u8"):
        return rng.integers(0, int(below or 2), shape).astype(DTYPES[kind])
    if kind.startswith("p"):
        p = np.exp(rng.standard_normal(shape))
        return (p / p.sum(-1, keepdims=True)).astype("float" + kind[1:])
    return np.asarray(rng.standard_normal(shape)).astype(jnp.dtype(DTYPES[kind]))
