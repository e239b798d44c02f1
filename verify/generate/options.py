"""Other values of a rule's options, worth trying beside the example's."""

import inspect
import typing
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.generate import labels
from verify.generate.own_code import words_beside, words_compared

# Values worth trying for options with these names, beside those a `Literal` annotation or a bool default offers.
GEOMETRY: dict[str, tuple[Any, ...]] = {
    "stride": (2, (2, 1), (1, 3), 3),
    "strides": (2, (2, 1), (1, 3), 3),
    "padding": ("SAME", "VALID", ((1, 0), (0, 2)), 1, 3),  # more than a window of 3 less one
    "dilation": (2, (1, 2)),
    "window": (3, (3, 2), 1, (2, 3)),
    "window_size": (3, (3, 2), 1),
    "groups": (2,),
    "slope_at_zero": (0.0, 0.5, 1.0),
    "label_smoothing": (0.1,),
    "negative_slope": (0.2,),
    "axis": (0, -1),
    "size": (3, 1),
    "algorithm": ("xla", "im2col"),
    # "all" is left to those who declare it: what it returns is no subgradient.
    "ties": ("last", "split"),
}
# The same of options that are a word.
WORDS: dict[str, tuple[str, ...]] = {
    # Of a convolution, a padding, a resizing or a bag of rows.
    "mode": ("full", "same", "valid", "edge", "reflect", "wrap", "bilinear", "nearest", "max"),
    "norm": ("ortho", "forward", "backward"),  # of a Fourier transform
    "reduction": ("mean", "sum", "none"),
    "approximate": ("none", "tanh"),  # of a GELU
}
OFF = 0.4  # beside 0 or None, which may stand for a round number: 1/2 is the scale of heads of width 4
WHOLE = ("n", "n_steps", "num_steps", "length", "chunk_size", "block_size")  # None by default, and never an array
FEW = 3  # of these
NUMBERS = ("temperature", "softcap", "soft_cap", "logits_soft_cap", "sm_scale", "softmax_scale")  # never an array
SOMETIMES = ("scale", "scale_factor")  # an array of a normalisation, too, of which the rule refuses a number
CUTOFFS = ("rcond", "rtol", "atol", "tol", "eps", "epsilon")


def option_values(example: CallUnderTest) -> dict[str, list[Any]]:
    """For each option that may vary, the values worth trying beside its default."""
    found = {}
    for name, parameter in example.tested.options.items():
        values = [*GEOMETRY.get(name, ()), *labels.of(example, name)]
        if isinstance(parameter.default, str) and not values:
            values = _words(example, name, parameter.default)
        values += [v for v in _literals(parameter.annotation) if v not in values]
        values += [v for v in _near(parameter.default) if not values]
        if parameter.default is None and not values:
            values = _announced(name, parameter.annotation) or list(words_compared(example.tested.rule, name))
            values = values or [OFF] * (name in NUMBERS + SOMETIMES) or [FEW] * (name in WHOLE)
        if parameter.default is not inspect.Parameter.empty:
            values = [v for v in values if type(v) is not type(parameter.default) or v != parameter.default]
            values.sort(key=lambda v: type(v) is not type(parameter.default))  # what is taken most likely comes first
        if values:
            found[name] = values
    return found


def _words(example: CallUnderTest, name: str, default: str) -> list[str]:
    """Words beside the default: those of the code, then those that options of this name have elsewhere. With one of the
    latter the function must do something else than with each word that the code names: what its last branch takes for
    "max" is no word of it."""
    code = dict.fromkeys([*words_beside(example.tested.rule, default), *words_compared(example.tested.rule, name)])
    programs = {_program(example, name, word) for word in (default, *code)} - {""}
    further = [word for word in WORDS.get(name, ()) if word not in code]
    return [*code, *(word for word in further if not code or _program(example, name, word) not in programs)]


def _program(example: CallUnderTest, name: str, word: str) -> str:
    """The function's program with this word; empty where it refuses it. Kept: it is asked for whenever values are."""
    found, options = example.tested.compiled, {**example.options, name: word}
    key = ("program", repr(sorted(options.items())))
    if key not in found:
        try:
            found[key] = str(jax.make_jaxpr(example.tested.oracle(options))(*example.arrays))
        except Exception:
            found[key] = ""
    return found[key]


def _near(default: Any) -> list[Any]:
    """Another value of an option without known values: one close to its default is of the same kind."""
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, int):
        return [default + 1]
    if isinstance(default, float) and np.isfinite(default):
        return [0.75 * default or OFF]  # 0 is off
    if isinstance(default, tuple | list) and default:
        kind, *head = type(default), *default
        if all(type(v) is int for v in head) and len(head) > 2 and sorted(head) == list(range(len(head))):
            return [kind([*range(1, len(head)), 0]), kind([len(head) - 1, *range(len(head) - 1)])]  # no own inverse
        last = head.pop()
        return [kind([*head, other]) for other in _near(last)]  # pads: the two sides differ
    return []


def _announced(name: str, annotation: Any) -> list[Any]:
    """Values of an option that is None, and may be a number by its annotation. Below a cut-off a function takes numbers
    for zero: at 0.5 the pseudo-inverse is that of another matrix, of which none of its derivatives is right."""
    kinds = typing.get_args(annotation)
    real = 1e-6 if name in CUTOFFS else OFF
    return [value for kind, value in ((bool, True), (int, 2), (float, real)) if kind in kinds]


def _literals(annotation: Any) -> list[Any]:
    """The strings, numbers and booleans of a `Literal`, at any depth of unions."""
    if typing.get_origin(annotation) is typing.Literal:
        return list(typing.get_args(annotation))
    return [v for part in typing.get_args(annotation) for v in _literals(part)]


def mixtures(choices: Mapping[str, list[Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Three settings of several options at once: most faults of geometry need two of them together. The first has all
    of them, and with them each pair."""
    if len(choices) < 2:
        return []
    drawn = [{n: v[int(rng.integers(len(v)))] for n, v in choices.items() if rng.random() < 0.6} for _ in range(3)]
    return [{n: v[0] for n, v in choices.items()}, *drawn[1:]]
