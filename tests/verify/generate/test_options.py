"""Which other values of a rule's options are tried."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from verify.call_under_test import CallUnderTest
from verify.function_under_test import describe
from verify.generate.options import option_values

X = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)


def tried(default, annotation=inspect.Parameter.empty):
    def rule(x, *, option=default):
        return x

    rule.__annotations__["option"] = annotation
    tested = describe(rule, [X], None, None)
    return option_values(CallUnderTest(tested, "", (X,), {}, 0)).get("option")


def test_a_cut_off_that_is_none_stays_small():
    """The derivative of JAX's pseudo-inverse is that of a matrix of full rank."""

    def rule(x, rcond: float | None = None):
        return jnp.linalg.pinv(x, rcond)

    tested = describe(rule, [X], None, None)
    assert option_values(CallUnderTest(tested, "", (X,), {}, 0))["rcond"] == [1e-6]


@pytest.mark.parametrize(
    ("default", "annotation", "values"),
    [
        (0.0, float, [0.4]),  # 0 is off
        (0.5, float, [0.375]),
        (None, float | None, [0.4]),
        (None, int | None, [2]),
        (None, bool | None, [True]),
        (None, str | None, None),
        ((1, 1), tuple, [(1, 2)]),
        (((0, 0), (1, 1)), tuple, [((0, 0), (1, 2))]),
        ((0, 2, 1), tuple, [(1, 2, 0), (2, 0, 1)]),  # no permutation that is its own inverse
        ((), tuple, None),
        ("mean", str, None),
    ],
)
def test_another_value(default, annotation, values):
    assert tried(default, annotation) == values


def optional(fun, backward):
    """A rule with keyword options of `fun`, and its `backward(g, **options)`."""

    def rule(x, **options):
        made = jax.custom_vjp(lambda x: fun(x, **options))
        made.defvjp(lambda x: (fun(x, **options), None), lambda _, g: (backward(g, **options),))
        return made(x)

    rule.__signature__ = inspect.signature(fun)
    return rule


def transposed(x, *, axes=(0, 2, 1)):
    return x.transpose(axes)


def shrunk(x, *, decay=0.0):
    return x * (1 - decay)


def padded(x, *, width=(1, 1)):
    return jnp.pad(x, ((0, 0), width, (0, 0)))


def activated(x, *, activation=None):
    return x if activation is None else jnp.tanh(x) if activation == "tanh" else 1 / 0


def scaled(x, *, scale: float | None = None):
    return x * (x.shape[-1] ** -0.5 if scale is None else scale)


def warm(x, *, temperature=None):
    return x / (1 if temperature is None else temperature)


def filled(x, *, width=1, mode="constant"):
    return jnp.pad(x, ((0, 0), (width, width), (0, 0)), mode=mode)


def unfilled(g, *, width=1, mode="constant"):
    x = jnp.zeros_like(g[:, 2 * width :])
    return jax.vjp(lambda x: filled(x, width=width, mode=mode), x)[1](g)[0]


def grouped(x, *, num_groups=2):
    parts = x.reshape(x.shape[0], x.shape[1] * x.shape[2] // num_groups, num_groups)
    return (parts - parts.mean(1, keepdims=True)).reshape(x.shape)


def transformed(x, *, norm="ortho"):
    return jnp.fft.fft(x, norm=norm).real


def reduced(x, *, reduction="sum"):
    reduce = {"sum": jnp.sum, "mean": jnp.mean}[reduction]
    return jnp.broadcast_to(reduce(x, axis=-1, keepdims=True), x.shape)


@pytest.mark.parametrize(
    ("fun", "right", "wrong"),
    [
        (
            transformed,
            lambda g, norm="ortho": jnp.fft.fft(g, norm=norm).real,
            lambda g, norm="ortho": jnp.fft.fft(g, norm="ortho").real,
        ),
        (
            reduced,
            lambda g, reduction="sum": reduced(g, reduction=reduction),
            lambda g, reduction="sum": reduced(g),
        ),
        (
            transposed,
            lambda g, axes=(0, 2, 1): g.transpose(tuple(np.argsort(axes))),
            lambda g, axes=(0, 2, 1): g.transpose(axes),
        ),
        (shrunk, lambda g, decay=0.0: g * (1 - decay), lambda g, decay=0.0: g),
        (warm, lambda g, temperature=None: warm(g, temperature=temperature), lambda g, temperature=None: g),
        # The fourth word of those that `jnp.pad` takes.
        (
            filled,
            unfilled,
            lambda g, width=1, mode="constant": unfilled(g, width=width, mode="edge" if mode == "wrap" else mode),
        ),
        # 3 and 4 divide nothing, or leave groups of one.
        (
            grouped,
            lambda g, num_groups=2: grouped(g, num_groups=num_groups),
            lambda g, num_groups=2: grouped(g, num_groups=2),
        ),
        # Of heads of width 4, as here, 1/2 is the scale by default too.
        (scaled, lambda g, scale=None: scaled(g, scale=scale), lambda g, scale=None: scaled(g)),
        (
            padded,
            lambda g, width=(1, 1): g[:, width[0] : g.shape[1] - width[1]],
            lambda g, width=(1, 1): g[:, width[1] : g.shape[1] - width[0]],
        ),
    ],
    ids=["norm", "reduction", "axes", "decay", "temperature", "mode", "groups", "scale", "width"],
)
def test_a_rule_that_is_right_at_its_default_alone_is_wrong(fun, right, wrong):
    checks = ("contract", "gradient")
    assert verify.check(optional(fun, right), X, checks=checks).ok
    assert verify.check(optional(fun, wrong), X, checks=checks).verdict == "wrong"


def strided(x, stride=1):
    return x[:, ::stride]


def first(x, n_steps=None):
    return x[:n_steps]


@pytest.mark.parametrize(("fun", "wrong_at"), [(strided, (3,)), (first, range(1, 99))])
@pytest.mark.parametrize("wrong", [True, False])
def test_whole_numbers_that_are_tried(fun, wrong_at, wrong):
    """A third stride, and a number for an option that is None."""

    def rule(x, **options):
        own = jax.custom_vjp(lambda x: fun(x, **options))
        factor = 2 if wrong and next(iter(options.values()), None) in wrong_at else 1
        own.defvjp(
            lambda x: (fun(x, **options), x),
            lambda x, g: (factor * jax.vjp(lambda x: fun(x, **options), x)[1](g)[0],),
        )
        return own(x)

    rule.__signature__ = inspect.signature(fun)
    report = verify.check(rule, X, checks=("contract", "gradient"))
    assert report.verdict == ("wrong" if wrong else "right"), report


@pytest.mark.parametrize("wrong", [True, False])
def test_a_word_for_an_option_that_is_none_is_found_in_the_code(wrong):
    def rule(x, activation=None):
        def bwd(x, g):
            slope = 1.0 if activation is None or wrong else 1 - jnp.tanh(x) ** 2
            return (g * slope,)

        own = jax.custom_vjp(lambda x: activated(x, activation=activation))
        own.defvjp(lambda x: (activated(x, activation=activation), x), bwd)
        return own(x)

    report = verify.check(rule, X, checks=("contract", "gradient"))
    assert report.verdict == ("wrong" if wrong else "right"), report
