"""Options of a rule, and the values that its annotations offer for them, written as text too."""

from __future__ import annotations

from functools import partial
from typing import Literal

import jax
import numpy as np
import pytest

import verify
from tests.verify.rules import LONG, with_arguments
from verify import arguments
from verify.generate.options import _literals


@jax.custom_vjp
def rule(x, *, mode: Literal["sum", "mean"] | None = "sum", other: NotThere = 3, plain=1.0):  # noqa: F821
    return x


def other_default(x, *, mode="mean", other=3, plain=1.0):
    return x


@pytest.mark.parametrize("fun", [rule, partial(rule, mode="mean"), rule.__wrapped__], ids=["rule", "partial", "plain"])
def test_literals_written_as_text_are_offered_beside_names_that_do_not_resolve(fun):
    options = arguments.shared_options(fun, None, 1)
    assert {n: _literals(p.annotation) for n, p in options.items()} == {
        "mode": ["sum", "mean"],
        "other": [],
        "plain": [],
    }


def test_an_option_of_another_default_is_not_shared():
    assert set(arguments.shared_options(rule, other_default, 1)) == {"other", "plain"}


def test_what_has_no_signature_has_names_all_the_same():
    assert arguments.names(max, 2) == ["args[0]", "args[1]"]
    assert arguments.names(rule, 2) == ["x", "args[1]"]


def test_custom_gradient_keeps_the_names_of_its_function():
    wrapped = jax.custom_gradient(lambda scores, mask: (scores * mask, lambda g: (g, g)))
    assert arguments.names(wrapped, 2) == ["scores", "mask"]


def gated(x, gate=None):
    return x if gate is None else x * gate


def gated_bwd(r, g, *, wrong):
    x, gate = r
    return (g / (2 if wrong else 1), None) if gate is None else (g * gate, g * x)


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize(("wrong", "verdict"), [(False, "right"), (True, "wrong")])
def test_an_array_that_may_be_left_out_is(by_name, wrong, verdict):
    core = with_arguments(gated, partial(gated_bwd, wrong=wrong))
    x, gate = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    args, kwargs = ((x,), {"gate": gate}) if by_name else ((x, gate), {})
    rule = lambda x, gate=None: core(x, gate)  # noqa: E731
    report = verify.check(rule, *args, kwargs=kwargs, checks=("contract", "gradient"), seconds=LONG)
    assert report.verdict == verdict, report
    assert [f.case.partition(":")[0] for f in report.failures] == ["gate=None"] * wrong
