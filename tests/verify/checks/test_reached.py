"""Which rule runs: one behind a `stop_gradient` and one inside of another are notes, unused ones are not."""

import jax
import jax.numpy as jnp
import pytest

import verify

from ..faulty_rules.joined import joined, normal

X = normal(0, 3, 4)
cubed = joined(lambda x: x * x * x, lambda args, y, g: (3 * args[0] * args[0] * g,))


def notes(rule, *args, **options):
    report = verify.check(rule, *args, cases=0, checks=("reached",), **options)
    return [n for n in report.notes if n.startswith("reached")]


@jax.custom_jvp
def outer(x):
    return cubed(x)


@outer.defjvp
def _(primals, tangents):
    return outer(*primals), 3 * primals[0] ** 2 * tangents[0]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda x: x * cubed(jax.lax.stop_gradient(x)), "behind a stop_gradient"),
        (lambda x: x + jax.lax.stop_gradient(cubed(x)), "behind a stop_gradient"),
        (jax.jit(lambda x: cubed(x) * cubed(jax.lax.stop_gradient(x))), "behind a stop_gradient"),
        (outer, "inside of outer"),
    ],
)
def test_a_rule_that_does_not_run_is_a_note(rule, words):
    (note,) = notes(rule, X)
    assert words in note


def unused(x):
    cubed(jax.lax.stop_gradient(x))
    return cubed(x)


@pytest.mark.parametrize(
    "rule",
    [
        cubed,
        lambda x: cubed(cubed(x)),
        unused,
        lambda x: cubed(x - jax.lax.stop_gradient(x.max())),
        lambda x: jax.lax.scan(lambda c, _: (cubed(c), None), x, None, 2)[0] + jax.lax.stop_gradient(jnp.sum(x)),
    ],
)
def test_nothing_is_said_where_it_runs(rule):
    assert notes(rule, X) == []


def test_an_argument_that_is_not_differentiated():
    assert notes(lambda x, t: x * jax.lax.stop_gradient(cubed(t)), X, normal(1, 3, 4), argnums=0) == []
