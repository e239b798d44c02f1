"""The suite over purecnn's rules; `make verify` runs all of it."""

import pytest

import purecnn
from verify import suite
from verify.report.finding import UncheckableError


@pytest.mark.slow
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


def test_an_unknown_name_is_refused():
    with pytest.raises(UncheckableError, match=r"no rule of the suite is called 'convolve'; there are .*conv2d"):
        suite.chosen(["convolve"])


def test_a_rules_own_name_is_that_rule_and_the_beginning_of_names_is_all_of_these():
    assert [e.name for e in suite.chosen(["relu"])] == ["relu"]  # and not relu6
    assert all(e.name.split()[0] == "conv2d" for e in suite.chosen(["conv2d"]))
    assert {e.name.split()[0] for e in suite.chosen(["conv"])} == {"conv2d", "conv_transpose2d"}
    assert [e.name for e in suite.chosen(["conv2d chunked"])] == ["conv2d chunked"]
    assert suite.chosen([]) == suite.ENTRIES
