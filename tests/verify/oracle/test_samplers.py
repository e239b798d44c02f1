"""A sampler that rejects: its derivative is that of the distribution, and no draw's slope."""

import jax
import jax.numpy as jnp
import numpy as np

import verify

X = np.random.default_rng(0).uniform(0.5, 2.0, 6).astype(np.float32)


def drawn(scale, key):
    """Half a normal number of this scale, by rejection from an exponential one."""

    def step(state):
        key, value, done = state
        key, first, second = jax.random.split(key, 3)
        proposed = scale * jax.random.exponential(first, scale.shape, scale.dtype)
        accepted = jax.random.uniform(second, scale.shape) < jnp.exp(-0.5 * (proposed / scale - 1) ** 2)
        return key, jnp.where(done, value, proposed), done | accepted

    start = (key, jnp.zeros_like(scale), jnp.zeros(scale.shape, bool))
    return jax.lax.while_loop(lambda state: ~jnp.all(state[2]), step, start)[1]


def sampler(share=1.0):
    rule = jax.custom_jvp(drawn)

    @rule.defjvp
    def _(primals, tangents):
        value = rule(*primals)
        return value, share * value / primals[0] * tangents[0]

    return lambda scale: rule(scale, jax.random.key(0))


def test_its_derivative_is_not_called_wrong_by_the_slope_of_a_draw():
    asked = ("contract", "linearity", "forward", "adjoint", "pushforward", "differences")
    report = verify.check(sampler(0.7), X, cases=0, checks=asked)
    assert report.verdict == "could not be checked", report
    assert any("draws until it accepts" in o.reason for o in report.outcomes)


def test_with_a_reference_it_is_checked():
    reference = sampler()
    half = jax.custom_jvp(lambda scale: reference(scale))
    half.defjvp(lambda p, t: (reference(*p), 0.5 * reference(*p) / p[0] * t[0]))
    assert verify.check(sampler(), X, reference=reference, cases=0, checks=("gradient",)).ok
    assert verify.check(half, X, reference=reference, cases=0, checks=("gradient",)).verdict == "wrong"
