"""`check` and `assert_ok`: verdicts, bad input, what did not run."""

import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from verify.log import Log
from verify.report.report import PASSED, Outcome

from .faulty_rules.joined import joined, normal


def cubed(x):
    return x * x * x


def right(args, y, g):
    return (3 * args[0] * args[0] * g,)


def wrong(args, y, g):
    return (2 * args[0] * args[0] * g,)


X = normal(0, 3, 4)
FAST = {"cases": 0, "checks": ("contract", "gradient", "forward")}


def test_right_rule_is_right():
    report = verify.check(joined(cubed, right), X, reference=cubed)
    assert report.ok
    assert report.verdict == "right"
    assert "RIGHT" in str(report)
    assert {o.check for o in report.outcomes if o.status == "passed"} >= {
        "gradient",
        "adjoint",
        "differences",
        "transforms",
    }


def test_every_check_is_listed_even_where_it_did_not_run():
    report = verify.check(joined(cubed, wrong), X)
    # All but those of methods that a custom_vjp does not have.
    assert {o.check for o in report.outcomes} == set(verify.CHECK_NAMES) - {"pushforward", "methods", "primitive"}
    assert "not run" in str(report)


def test_assert_ok_raises_with_the_report():
    with pytest.raises(AssertionError, match=r"×0\.6667"):
        verify.assert_ok(joined(cubed, wrong), X, **FAST)
    assert verify.assert_ok(joined(cubed, right), X, **FAST).ok


def test_the_worst_element_is_named():
    def one_wrong(args, y, g):
        return (right(args, y, g)[0].at[1, 2].multiply(1.001),)

    (found,) = verify.check(joined(cubed, one_wrong), X, **FAST).failures
    assert (found.argument, found.index, found.pattern.split(", ")[-1]) == ("x", (1, 2), "one element")
    assert found.got == pytest.approx(1.001 * found.expected)


def test_one_wrong_element_in_a_million():
    x = normal(1, 1000, 1000)

    def one_wrong(args, y, g):
        return (right(args, y, g)[0].at[321, 654].multiply(1.001),)

    report = verify.check(joined(cubed, one_wrong), x, **FAST)
    assert [f.index for f in report.failures] == [(321, 654)]


def test_pytrees_integers_keys_and_static_values():
    def call(params, table, key, rate, mode):
        noise = jax.random.normal(key, params["w"].shape, params["w"].dtype)
        return {"y": params["w"][table] * rate, "z": params["b"] + noise.sum(), "n": table}

    @jax.custom_vjp
    def core(w, b, table, key):
        return call({"w": w, "b": b}, table, key, 0.5, "fast")

    def fwd(w, b, table, key):
        return core(w, b, table, key), (w, table)

    def bwd(kept, g):
        w, table = kept
        return jnp.zeros_like(w).at[table].add(g["y"] * 0.5), g["z"], None, None

    core.defvjp(fwd, bwd)

    def rule(params, table, key, rate, mode):
        assert (rate, mode) == (0.5, "fast")
        return core(params["w"], params["b"], table, key)

    args = ({"w": normal(2, 5), "b": normal(3, 1)}, np.array([0, 2, 2, 4]), jax.random.key(0), 0.5, "fast")
    report = verify.check(rule, *args)
    assert report.ok, str(report)
    assert dict(report.detection_limits).keys() == {"params['w']", "params['b']"}


def test_argnums_restrict_what_is_checked():
    def product(a, b):
        return a * b

    rule = joined(product, lambda args, y, g: (g * args[1], g))  # the second cotangent is wrong
    a, b = normal(4, 6), normal(5, 6)
    assert verify.check(rule, a, b, argnums=0, **FAST).ok
    assert not verify.check(rule, a, b, argnums=(0, 1), **FAST).ok
    assert verify.check(rule, a, b, argnums=5).verdict == "could not be checked"


@pytest.mark.parametrize(
    ("rule", "args", "why"),
    [
        (jnp.sin, (np.arange(3),), "no argument is a floating-point array"),
        (jnp.argmax, (X,), "no output is a floating-point array"),
        (lambda x: undefined + x, (X,), "the call itself fails"),  # noqa: F821
        ("not a function", (X,), "not a function"),
        (lambda x: x.reshape(7), (X,), "the call itself fails"),
    ],
)
def test_what_cannot_be_checked_says_why(rule, args, why):
    report = verify.check(rule, *args)
    assert report.verdict == "could not be checked"
    assert not report.ok
    assert why in report.because
    assert all(o.status == "not run" for o in report.outcomes)


def test_a_function_without_reverse_mode_is_judged_by_forward_mode_and_differences():
    def halved(x):
        return jax.lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * 0.5), (0, x))[1]

    good = joined(halved, lambda args, y, g: (g / 8,))
    bad = joined(halved, lambda args, y, g: (g / 8 * jnp.where(jnp.arange(4) == 2, 1.01, 1.0).astype(g.dtype)[None],))
    assert verify.check(good, X).ok
    report = verify.check(bad, X, cases=0)
    assert [f.check for f in report.failures] == ["adjoint", "differences"]
    assert {f.index for f in report.failures} <= {(0, 2), (1, 2), (2, 2)} | {None}
    assert "autodiff could not be used" in report.oracle


def test_what_jax_says_of_a_wrong_form_is_quoted_to_its_end():
    rule = jax.custom_vjp(lambda x, w: x * w)
    rule.defvjp(lambda x, w: (x * w, w), lambda w, g: (g * w,))
    assert "for primal input structure PyTreeDef((*, *))" in str(verify.check(rule, X, X).failures[0])


def test_an_option_is_varied_for_the_rule_and_its_reference_alike():
    def scaled(x, *, stride=1):
        return x[::stride] * 2

    def forgets(args, y, g, *, stride=1):
        return (2 * g if stride == 1 else jnp.zeros_like(args[0]).at[: g.shape[0]].set(2 * g),)

    report = verify.check(joined(scaled, forgets), normal(6, 7), reference=scaled)
    assert "stride=2" in report.failures[0].case


def test_a_narrow_cast_inside_a_float32_rule_is_caught():
    def rounding(args, y, g):
        return (right(args, y, g)[0].astype(jnp.bfloat16).astype(g.dtype),)

    assert not verify.check(joined(cubed, rounding), X, **FAST).ok


def test_a_float32_cast_inside_is_no_fault_at_float32():
    def wide_sum(args, y, g):
        return ((3 * args[0] * args[0] * g).astype(jnp.float32).astype(args[0].dtype),)

    assert verify.check(joined(cubed, wide_sum), X, **FAST).ok


def test_float64_rules_are_checked_under_x64(x64):
    assert verify.check(joined(cubed, right), X.astype(np.float64), **FAST).ok
    assert not verify.check(joined(cubed, wrong), X.astype(np.float64), **FAST).ok


def test_a_search_for_nans_or_for_transfers_is_no_part_of_the_rule():
    exp = joined(jnp.exp, lambda args, y, g: (g * y,))  # saturated inputs overflow on purpose
    with jax.debug_nans(True), jax.debug_infs(True), jax.transfer_guard("disallow"):
        report = verify.check(exp, X, checks=(*FAST["checks"], "finite", "conditioning"))
    assert report.ok, report
    assert report.failures == ()


def test_nothing_is_begun_that_would_end_after_the_limit():
    log = Log(outcomes=[Outcome("gradient", "", PASSED, "", seconds=5.0)])
    assert log.late(time.perf_counter() + 4)
    assert not log.late(time.perf_counter() + 60)


def test_importing_is_quick_and_loads_neither_jax_nor_rich():
    program = "import sys, verify; assert not {'jax', 'rich', 'purecnn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
