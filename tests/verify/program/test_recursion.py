"""A rule that differentiates itself would be traced without end."""

import cProfile
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify

pytestmark = pytest.mark.usefixtures("a_users_jax")
X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


def by_its_backward_rule():
    rule = jax.custom_vjp(lambda x: jnp.sin(x))
    rule.defvjp(lambda x: (rule(x), x), lambda x, g: jax.vjp(rule, x)[1](g))
    return rule


def by_its_forward_rule():
    rule = jax.custom_vjp(lambda x: jnp.sin(x).sum())
    rule.defvjp(lambda x: jax.value_and_grad(rule)(x), lambda bar, g: (g * bar,))
    return rule


def by_its_tangents():
    rule = jax.custom_jvp(lambda x: jnp.sin(x))
    rule.defjvp(lambda primals, tangents: jax.jvp(rule, primals, tangents))
    return rule


@pytest.mark.parametrize(
    ("made", "part"), [(by_its_backward_rule, "bwd"), (by_its_forward_rule, "fwd"), (by_its_tangents, "jvp")]
)
def test_a_rule_that_differentiates_itself_is_wrong(made, part):
    rule = made()
    for function in (rule, lambda x: 2 * rule(x)):
        report = verify.check(function, X)
        assert report.verdict == "wrong"
        assert f"its {part} differentiates the function by this very rule" in str(report), report
    assert sys.getprofile() is None


def test_a_profiler_goes_on():
    """Counting calls took its place, and it saw nothing from then on."""
    rule = jax.custom_vjp(lambda x: jnp.sin(x))
    rule.defvjp(lambda x: (rule(x), jnp.cos(x)), lambda c, g: (c * g,))

    def seen_afterwards():
        """In the profile, if it goes on."""

    with cProfile.Profile() as profiler:
        assert verify.check(rule, X, cases=1).verdict == "right"
        seen_afterwards()
    assert any(entry.code is seen_afterwards.__code__ for entry in profiler.getstats())


def test_a_rule_may_call_itself_on_its_halves():
    rule = jax.custom_vjp(lambda x: jnp.sin(x).sum())

    def bwd(x, g):
        if len(x) < 2:
            return (g * jnp.cos(x),)
        halves = x[: len(x) // 2], x[len(x) // 2 :]
        return (jnp.concatenate([jax.vjp(rule, half)[1](g)[0] for half in halves]),)

    rule.defvjp(lambda x: (rule(x), x), bwd)
    report = verify.check(rule, X[0], checks=("contract", "gradient"))
    assert report.ok, report
