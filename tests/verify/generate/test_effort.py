"""What a call takes is known before it runs, and a large one is checked at smaller sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from verify.generate import calls
from verify.generate.effort import operations

LONG = jnp.zeros((3, 50))


@pytest.mark.parametrize(
    ("fun", "args", "expected"),
    [
        (lambda a, b: a @ b, (jnp.zeros((7, 5)), jnp.zeros((5, 3))), 2 * 7 * 5 * 3),
        (lambda x: jnp.sin(x), (LONG,), 2 * 150),
        (lambda x: jax.jit(lambda x: jnp.sin(x))(x), (LONG,), 2 * 150),
        (lambda x: jax.lax.scan(lambda c, _: (jnp.sin(c), None), x, None, length=10)[0], (LONG,), 10 * 2 * 150),
        (lambda x: jax.lax.cond(True, jnp.sin, lambda x: x, x), (LONG,), 2 * 150),
        (
            lambda x, w: jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")),
            (jnp.zeros((2, 8, 8, 4)), jnp.zeros((3, 3, 4, 6))),
            2 * 2 * 8 * 8 * 6 * 3 * 3 * 4,
        ),
        (
            lambda x: jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 5), (1, 1), "VALID"),
            (LONG,),
            3 * 46 * 5 + 150,
        ),
    ],
    ids=["product", "elementwise", "jit", "scan", "cond", "convolution", "window"],
)
def test_operations(fun, args, expected):
    assert operations(jax.make_jaxpr(fun)(*args)) == expected


def matmul(slope):
    rule = jax.custom_vjp(lambda x, w: x @ w)
    rule.defvjp(lambda x, w: (x @ w, (x, w)), lambda r, g: (slope(g @ r[1].T), r[0].T @ g))
    return rule


X = np.random.default_rng(0).standard_normal((96, 64)).astype(np.float32)
W = np.random.default_rng(1).standard_normal((64, 48)).astype(np.float32)


@pytest.fixture
def few_operations(monkeypatch):
    monkeypatch.setattr(calls, "OPERATIONS", 3e5)  # the call takes 2 million


def test_a_large_call_is_compared_once_and_the_rest_is_asked_of_a_smaller_one(few_operations):
    report = verify.check(matmul(lambda b: b), X, W)
    assert report.ok, report
    (note,) = [n for n in report.notes if "billion operations" in n]
    assert "compared once, in float64; everything else was run at sizes [32,32], [32,32]" in note
    assert {o.check for o in report.outcomes if o.case == "f32[96,64], f32[64,48]"} == {
        "contract",
        "gradient",
        "forward",
    }


def test_a_fault_that_only_the_large_call_has_is_seen(few_operations):
    report = verify.check(matmul(lambda b: b * (jnp.arange(b.shape[0]) < 90)[:, None]), X, W)
    assert [f.case for f in report.failures] == ["f32[96,64], f32[64,48]"]


def test_one_that_is_too_large_to_run_at_all_is_said(few_operations, monkeypatch):
    monkeypatch.setattr(calls, "OPERATIONS_ONCE", 1e6)
    report = verify.check(matmul(lambda b: b), X, W, cases=0)
    assert report.ok
    assert any("it was not run at all" in n for n in report.notes)
    assert verify.check(matmul(lambda b: 2 * b), X, W, cases=0).verdict == "wrong"


def test_generated_calls_that_take_too_long_are_left_out(monkeypatch):
    def longest():
        report = verify.check(matmul(lambda b: b), X[:4, :3], W[:3, :5], checks=["contract", "gradient"])
        assert report.ok
        return [o.case for o in report.outcomes if "of 130" in o.case]

    assert longest()
    monkeypatch.setattr(calls, "OPERATIONS", 5e3)  # the call itself takes some 500
    assert not longest()


def test_when_the_time_is_spent_what_is_left_out_is_listed():
    report = verify.check(matmul(lambda b: b), X[:4, :3], W[:3, :5], seconds=0)
    assert report.ok  # the gradient of the example has been compared
    left = {o.check for o in report.outcomes if "seconds=" in o.reason}
    assert {"adjoint", "transforms", "second order"} <= left
    assert "the time for the whole check was spent" in str(report)


def test_a_loop_in_python_is_not_unrolled_without_end():
    """Batch and kernel are both 2 here: a batch of 1024 makes no kernel of 1024 rows, which XLA would die of."""

    def cross_correlation(x, w):
        rows = x.shape[1] - w.shape[0] + 1
        return sum(x[:, i : i + rows] * w[i][None, None] for i in range(w.shape[0]))

    x, w = X[:2, :9, None] * np.ones((1, 1, 3), np.float32), W[:2, :3]
    report = verify.check(cross_correlation, x, w, checks=["contract", "gradient", "low precision"])
    assert report.ok, report
    tall = jax.custom_vjp(lambda x: sum(jnp.sin(x[i]) for i in range(x.shape[0])))
    tall.defvjp(lambda x: (tall(x), x), lambda x, g: (jnp.stack([g * jnp.cos(x[i]) for i in range(x.shape[0])]),))
    report = verify.check(tall, X[:3, :4], checks=["contract", "gradient", "low precision"])
    assert report.ok, report
    assert not any("1024" in o.case for o in report.outcomes)
