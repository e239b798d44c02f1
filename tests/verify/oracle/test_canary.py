"""Backend canaries: right here, and blamed instead of the rule where they are wrong."""

import jax.numpy as jnp

import verify
from verify.oracle import canary

from ..faulty_rules.joined import normal


def test_this_backend_computes_right_numbers():
    assert all(c.ok for c in canary.canaries()), canary.symptoms()


def test_a_sick_backend_is_blamed_not_the_rule(monkeypatch):
    sick = canary.Canary("a product with zeros", float("nan"), 0.0, canary.REPAIR)
    assert not sick.ok
    monkeypatch.setattr(canary, "canaries", lambda: (sick,))
    report = verify.check(jnp.sin, normal(0, 3))
    assert report.verdict == "could not be checked"
    assert "backend" in report.because
    assert "XLA_FLAGS" in report.because
