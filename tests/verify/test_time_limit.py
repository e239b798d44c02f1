"""What a program will take is predicted, and one that would end late does not start."""

import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from verify.time_limit import SHORT, SPENT, Limit, SpentError, limited, look, timed

X = np.full((3, 2), 0.3, np.float32)


def program(length):
    def chain(x):
        for _ in range(length):
            x = jnp.sin(x)
        return x

    return jax.make_jaxpr(chain)(1.0)


def test_a_new_program_takes_as_long_for_each_equation_as_those_before_it():
    limit = Limit()
    limit.took(program(2 * SHORT), 4.0)
    assert math.isclose(limit.seconds_of(program(6 * SHORT)), 12.0)
    assert math.isclose(limit.seconds_of(program(1)), 2.0)


def test_a_known_program_takes_as_long_as_its_fastest_run():
    limit, known = Limit(), program(SHORT)
    for seconds in (4.0, 0.1, 0.3):  # the first one compiles
        limit.took(known, seconds)
    assert limit.seconds_of(known) == 0.1


def test_a_program_that_would_end_late_does_not_start():
    with limited() as limit:
        limit.took(program(SHORT), 4.0)
        limit.end = time.perf_counter() + 6
        with timed(program(SHORT)):
            pass
        with pytest.raises(SpentError), timed(program(2 * SHORT)):
            raise AssertionError("started")
        look()
        limit.end = time.perf_counter() - 1
        with pytest.raises(SpentError):
            look()
    look()  # outside of a check there is no limit


def test_a_slow_step_ends_between_its_programs_and_the_report_says_what_was_left_out(monkeypatch):
    monkeypatch.setattr("verify.log.Log.late", lambda log, end: False)  # no step is predicted to be long
    calls = []

    def host(x):
        calls.append(1)
        return np.sin(x)

    @jax.custom_vjp
    def foreign(x):
        return jax.pure_callback(host, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="sequential")

    foreign.defvjp(lambda x: (foreign(x), x), lambda x, g: (g * jnp.cos(x),))
    report = verify.check(foreign, X, reference=jnp.sin, seconds=0, checks=("gradient", "repeatable", "transforms"))
    assert report.ok, report
    assert len(calls) < 10  # the transforms alone would make more
    assert SPENT in str(report)


def test_the_time_counts_from_gradients_answer_on():
    @jax.custom_vjp
    def sine(x):
        return jnp.sin(x)

    sine.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (g * jnp.cos(x),))
    report = verify.check(sine, X, reference=jnp.sin, seconds=0)
    assert report.ok, report
    assert {"forward", "linearity", "second order"} <= {o.check for o in report.outcomes if o.reason == SPENT}
    passed = [o.check for o in report.outcomes if o.status == "passed"]
    assert passed == ["contract", "gradient", "finite"]  # which looks at gradient's numbers
    alone = verify.check(jnp.sin, X, seconds=0)  # autodiff is compared with itself: other checks are its answer
    assert {o.check for o in alone.outcomes if o.status == "passed"} >= {"adjoint", "differences"}


def test_without_reverse_mode_the_answer_is_that_of_forward_mode_and_differences_and_no_more_is_asked_late():
    @jax.custom_jvp
    def root(x):
        return jax.lax.while_loop(lambda s: jnp.abs(s * s - x).max() > 1e-6, lambda s: 0.5 * (s + x / s), x)

    root.defjvps(lambda t, y, x: t / (2 * y))
    report = verify.check(root, np.abs(X) + 1, seconds=0)
    assert report.verdict == "right"
    ran = {o.check for o in report.outcomes if o.status == "passed"}
    assert {"adjoint", "differences"} <= ran
    assert "pushforward" not in ran
