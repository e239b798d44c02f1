"""The suite over purecnn's rules; `make verify` runs all of it."""

from functools import partial

import pytest

import purecnn
import verify
from verify import references, suite
from verify.finding import UncheckableError


def test_chosen_entries_in_two_processes_and_two_dtypes_come_back_in_order():
    reports = suite.run(["squared_error", "flatten"], cases=0, dtypes=("float32", "bfloat16"), jobs=2)
    assert [(r.rule, r.call.split("[")[0]) for r in reports] == [
        ("flatten", "f32"),
        ("flatten", "bf16"),
        ("squared_error", "f32"),
        ("squared_error", "bf16"),
    ]
    assert all(r.ok for r in reports), "\n".join(map(str, reports))


def test_every_rule_of_purecnn_is_an_entry():
    rules = {name.removesuffix("_bwd") for name in purecnn.__all__ if name.endswith("_bwd")}
    assert rules == {e.name.split()[0] for e in suite.ENTRIES}
    assert len({e.name for e in suite.ENTRIES}) == len(suite.ENTRIES)


def test_the_convolution_of_other_platforms_is_right_too(monkeypatch, users_errors):
    """What "auto" takes on a GPU or TPU, run here: no `algorithm` asks for it by name."""
    from purecnn.layers import convolution

    taken = []

    def elsewhere(table, forms, a, b, places, groups):
        taken.append(forms[1])
        return table[forms[1]](a, b, places, groups)

    monkeypatch.setattr(convolution, "_by_platform", elsewhere)
    call = (suite.normal(2, 7, 5, 6), suite.normal(2, 3, 3, 4), suite.normal(4))
    options = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "groups": 2}
    rule, reference = (partial(module.conv2d, **options) for module in (purecnn, references))
    verify.assert_ok(rule, *call, reference=reference, cases=2)
    assert set(taken) == {"direct", "exchanged"}


def test_a_name_that_is_nobodys_is_refused():
    with pytest.raises(UncheckableError, match=r"no rule of the suite is called 'convolve'; there are .*conv2d"):
        suite.chosen(["convolve"])
