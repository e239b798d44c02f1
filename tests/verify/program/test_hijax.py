"""Hijax primitives that run in a program are found, each once per shape, with the values that reach them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from verify.program.records import recorded
from verify.settings import setting

from ..primitives import Pair, Product, SineTimes, Total, W, X, Y

try:
    from jax.experimental import hijax

    hijax.HiPrim  # noqa: B018 (asks whether it is there)
except (ImportError, AttributeError):
    pytest.skip("hijax.HiPrim is in JAX 0.11 and newer; the lock has an older one", allow_module_level=True)

FEW = ("contract", "gradient", "forward")


def times(x, y, kind=SineTimes):
    return kind(jax.typeof(x), jax.typeof(y))(x, y)


PROGRAMS = {
    "jit": jax.jit(lambda x, y: times(x, y)),
    "grad": jax.grad(lambda x, y: times(x, y).sum()),
    "jit of grad": jax.jit(jax.grad(lambda x, y: times(x, y).sum())),
    "vmap": jax.vmap(times),
    "vmap of grad": jax.vmap(jax.grad(lambda x, y: times(x, y).sum())),
    "scan": lambda x, y: jax.lax.scan(lambda c, v: (times(c, v), None), x[0], y)[0],
    "twice": lambda x, y: times(times(x, y), y),
    "checkpoint": jax.grad(lambda x, y: jax.checkpoint(times)(x, y).sum()),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_found_once_with_its_values(program):
    (record,) = recorded(PROGRAMS[program], X, Y)
    rows = program.startswith(("vmap", "scan"))
    np.testing.assert_array_equal(record.args[0], X[0] if rows else X)
    np.testing.assert_array_equal(record.args[1], Y[0] if rows else Y)
    assert record.name == "tests.verify.primitives.SineTimes"


def test_each_shape_is_checked_and_a_wrong_one_found():
    class Wrong(Product):
        fault = "vjp_bwd"

    @jax.jit
    def step(x, y, w):
        return times(x, y).sum() + times(x[:2], y[:2]).sum() + times(x, w, Wrong).sum()

    reports = verify.check_all(jax.grad(step), X, Y, W, checks=FEW)
    assert [(r.rule.split(".")[-1], r.call, r.verdict) for r in reports] == [
        ("SineTimes", "f32[3,4], f32[3,4]", "right"),
        ("SineTimes", "f32[2,4], f32[2,4]", "right"),
        ("Wrong", "f32[3,4], f32[4,2]", "wrong"),
    ]


def test_two_that_jax_takes_for_one():
    class Kept(Total):
        fault = "params"

    def both(x):
        return [Kept(jax.typeof(x), axis=axis)(x) for axis in (0, 1)]

    square = X[:, :3]
    reports = verify.check_all(both, square, checks=FEW)
    assert [r.verdict for r in reports] == ["right", "wrong"]
    assert "kept outside params" in str(reports[1])


def test_custom_rules_that_jax_makes_primitives_are_found_once():
    vjp = jax.custom_vjp(lambda x: jnp.sin(x))
    vjp.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (g * jnp.cos(x),))
    jvp = jax.custom_jvp(lambda x: x**2)
    jvp.defjvp(lambda p, t: (p[0] ** 2, 2 * p[0] * t[0]))

    def step(x):
        return jax.grad(lambda x: vjp(jvp(x)).sum() + Pair(jax.typeof(x), kept="both")(x)[0].sum())(x)

    with setting("jax_custom_vjp3", True), setting("jax_custom_jvp3", True):
        reports = verify.check_all(jax.jit(step), X, checks=FEW)
    names = sorted(r.rule.split(".")[-1].partition(" ")[0] for r in reports)
    assert names == ["<lambda>", "<lambda>", "Pair"]
    assert all(r.ok for r in reports), reports
