"""Numbers below 0 where those of the example are above."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import with_arguments

pytestmark = pytest.mark.usefixtures("a_users_jax")
U = np.random.default_rng(0).uniform(0.1, 0.9, 6).astype(np.float32)
ASKED = ("contract", "gradient", "finite")
BELOW = "of both signs, above 0 in the example"


def notes(rule, *args, **options):
    report = verify.check(rule, *args, checks=ASKED, cases=8, **options)
    assert report.ok, report
    return [note for note in report.notes if BELOW in note]


def shrunk(x):
    return x**2 / (1 + jnp.abs(x))


def slope(x, sign):
    return (2 * x * (1 + jnp.abs(x)) - sign * x**2) / (1 + jnp.abs(x)) ** 2


@pytest.mark.parametrize("wrong", [True, False])
def test_a_sign_that_is_forgotten_is_a_note(wrong):
    rule = with_arguments(shrunk, lambda r, g: (g * slope(r[0], 1 if wrong else jnp.sign(r[0])),))
    assert [note.split(":")[1] for note in notes(rule, U)] == ([" x"] if wrong else [])
    assert not notes(rule, U, domain={"x": "positive"})


@pytest.mark.parametrize(
    ("fun", "derivative"),
    [
        (jnp.sqrt, lambda x: 0.5 / jnp.sqrt(x)),
        (jnp.log, lambda x: 1 / x),
        (lambda x: jnp.where(x > 0, -x * jnp.log(jnp.where(x > 0, x, 1)), 0), lambda x: -jnp.log(x) - 1),
        (lambda x: jnp.where(x > 0, jnp.log(jnp.abs(x)) - x, -jnp.inf), lambda x: 1 / x - 1),
    ],
    ids=["root", "logarithm", "entropy", "density"],
)
def test_what_has_no_numbers_there_is_none(fun, derivative):
    assert not notes(with_arguments(fun, lambda r, g: (g * derivative(r[0]),)), U)


@pytest.mark.parametrize("wrong", [True, False])
def test_decays_are_below_0_in_every_call_that_judges(wrong):
    """A rule for decays, whose differences of sums the forward pass bounds by 0."""

    def decayed(x, logs):
        sums = jnp.cumsum(logs)
        return jnp.tril(jnp.exp(jnp.minimum(sums[:, None] - sums, 0))) @ x

    def bwd(r, g):
        x, logs = r
        sums = jnp.cumsum(logs)
        weights = jnp.tril(jnp.exp(jnp.minimum(sums[:, None] - sums, 0)))
        terms = g @ x.T * weights
        slopes = terms.sum(1) - (0 if wrong else terms.sum(0))
        return weights.T @ g, jnp.cumsum(slopes[::-1])[::-1]

    report = verify.check(with_arguments(decayed, bwd), U.reshape(6, 1) - 0.5, -U, checks=ASKED)
    assert report.verdict == ("wrong" if wrong else "right"), report


def test_what_is_negative_in_the_example_has_both_signs_once():
    rule = with_arguments(shrunk, lambda r, g: (g * slope(r[0], -1),))
    report = verify.check(rule, -U, checks=ASKED)
    assert report.ok, report
    assert any("of both signs, below 0 in the example" in note for note in report.notes)


def test_a_loop_that_may_not_end_there_is_not_run():
    def root(x):
        return jax.lax.while_loop(lambda s: jnp.abs(s * s - x).max() > 1e-6, lambda s: 0.5 * (s + x / s), x)

    report = verify.check(with_arguments(root, lambda r, g: (g / (2 * root(r[0])),)), U, checks=("gradient",))
    assert len(report.outcomes) > 10
    assert all(BELOW not in outcome.case for outcome in report.outcomes)
