"""A float32 cotangent of a 16-bit argument: a fault in a 16-bit call, a note in a float32 one."""

import jax.numpy as jnp
import pytest

import verify

from ..wrong_rules.joined import joined, normal


@pytest.mark.parametrize(("dtype", "verdict"), [(jnp.float32, "right"), (jnp.float16, "wrong")])
def test_a_float32_cotangent(dtype, verdict):
    def always_float32(args, y, g):
        return (2 * g.astype(jnp.float32),)

    rule = joined(lambda x: 2 * x, always_float32)
    report = verify.check(rule, normal(0, 4, 3).astype(dtype), cases=0)
    assert report.verdict == verdict, str(report)
    assert any("dtype is float32" in note for note in report.notes) == (verdict == "right")
