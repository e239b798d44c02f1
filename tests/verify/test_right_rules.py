"""Right rules raise no alarm: with and without a reference, in every dtype, on many draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.sampling import slow_but

from .faulty_rules.all import RIGHT
from .seeds import alarms

IDS = [row[0] for row in RIGHT]
FEW = [row for row in RIGHT if row[0] in ("dense", "cross_entropy")]


@pytest.mark.parametrize("row", slow_but(FEW, RIGHT), ids=IDS)
def test_all_checks_pass(row):
    _, rule, reference, args = row
    report = verify.check(rule, *args, reference=reference, cases=4)
    assert report.ok, str(report)


@pytest.mark.parametrize("row", slow_but(RIGHT[1::2], RIGHT), ids=IDS)
@pytest.mark.parametrize("alone", [False, True], ids=["reference", "alone"])
def test_no_alarm_in_some_seeds(row, alone):
    _, rule, reference, args = row
    assert not alarms(rule, args, None if alone else reference, range(8))


@pytest.mark.parametrize("row", slow_but(FEW[:1], RIGHT), ids=IDS)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_no_alarm_in_low_precision(row, dtype):
    _, rule, reference, args = row
    cast = tuple(a.astype(dtype) if a.dtype == np.float32 else a for a in args)
    assert not alarms(rule, cast, reference, range(6))


def test_relu_of_jax_passes_and_its_convention_is_named():
    x = np.array([-1.0, -0.0, 0.0, 2.0], np.float32)
    report = verify.check(jax.nn.relu, x, cases=0)
    assert report.ok, str(report)
    assert any("left slope" in note for note in report.notes)
