"""Notes on what the backward program asks of an accelerator; a sound rule gets none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.lax import Precision

import verify

RNG = np.random.default_rng(0)
X, W = RNG.standard_normal((4, 3)).astype(np.float32), RNG.standard_normal((3, 5)).astype(np.float32)
ROWS = np.array([0, 2, 2], np.int32)


def rule(fun, bwd):
    wrapped = jax.custom_vjp(fun)
    wrapped.defvjp(lambda *args: (fun(*args), args), bwd)
    return wrapped


def product(backward):
    return rule(lambda x, w: x @ w, lambda r, g: (backward(g, r[1].T), r[0].T @ g))


def widened(a, b):
    return (a.astype(jnp.float32) @ b.astype(jnp.float32)).astype(a.dtype)


def in_float32(a, b):
    return jnp.matmul(a, b, preferred_element_type=jnp.float32).astype(a.dtype)


def pool(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2), (1, 2), "VALID")


def notes(fun, *args):
    report = verify.check(fun, *args, cases=0, checks=("contract", "gradient", "lowered"))
    assert report.ok, report
    return [n for n in report.notes if n.startswith("lowered")]


@pytest.mark.parametrize(
    ("fun", "args", "words"),
    [
        (product(widened), (X, W), "in bfloat16, a dot_general in float32"),
        (
            product(lambda a, b: jnp.matmul(a, b, precision=Precision.DEFAULT)),
            (X, W),
            "a product at precision DEFAULT, whatever",
        ),
        (rule(lambda x: x[ROWS], lambda r, g: (jnp.zeros_like(r[0]).at[ROWS].add(g),)), (X,), "a scatter: slow"),
        (rule(pool, lambda r, g: jax.vjp(pool, r[0])[1](g)), (X[:, :2],), "a select_and_scatter: slow"),
    ],
    ids=["widened", "precision", "scatter", "select and scatter"],
)
def test_what_is_slow_there_is_a_note(fun, args, words):
    (note,) = notes(fun, *args)
    assert words in note


def test_a_sound_rule_gets_none():
    assert notes(product(in_float32), X, W) == []


def test_a_function_that_is_wide_by_itself_and_one_without_a_rule_get_none():
    wide = rule(widened, lambda r, g: (widened(g, r[1].T), widened(r[0].T, g)))
    assert notes(wide, X, W) == []
    report = verify.check(lambda x: x[ROWS], X, cases=0, checks=("gradient", "lowered"))
    assert [o.reason for o in report.outcomes if o.check == "lowered"] == ["the function holds no hand-written rule"]
