"""Of several rules inside a wrong function the wrong one is named, and only it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify

from ..faulty_rules.joined import normal

FEW = ("contract", "gradient")
Z, T = normal(1, 4, 3), np.eye(3, dtype=np.float32)[[0, 1, 2, 1]]
GAMMA = np.float32(1.5)


def named(name, fun, backward):
    fun.__name__ = fun.__qualname__ = name
    rule = jax.custom_vjp(fun)
    rule.defvjp(lambda *args: (fun(*args), args), lambda args, g: backward(*args, g))
    return rule


def focal_loss(in_entropy=1, in_weight=1):
    """Cross-entropy times (1 - p)^γ, a rule each; 1 is right, anything else a factor."""
    entropy = named(
        "entropy",
        lambda z, t: -(t * jax.nn.log_softmax(z)).sum(-1),
        lambda z, t, g: (in_entropy * g[:, None] * (jax.nn.softmax(z) - t), -g[:, None] * jax.nn.log_softmax(z)),
    )
    weight = named(
        "weight",
        lambda p, gamma: (1 - p) ** gamma,
        lambda p, gamma, g: (
            -in_weight * g * gamma * (1 - p) ** (gamma - 1),
            (g * (1 - p) ** gamma * jnp.log(1 - p)).sum(),
        ),
    )
    return lambda z, t, gamma: entropy(z, t) * weight((jax.nn.softmax(z) * t).sum(-1), gamma)


def blamed(function, *args, **options):
    report = verify.check(function, *args, checks=FEW, cases=0, **options)
    return report, [n for n in report.notes if n.startswith("of the rules inside")]


@pytest.mark.parametrize(
    ("faults", "wrong", "right", "words"),
    [
        ({"in_weight": -1}, "weight", "entropy", "gradient: p: a minus sign is missing or doubled"),
        ({"in_entropy": 2}, "entropy", "weight", "gradient: z: ×2: a factor 2 too many"),
    ],
)
def test_the_faulty_rule_of_a_focal_loss_is_named(faults, wrong, right, words):
    report, notes = blamed(focal_loss(**faults), Z, T, GAMMA, argnums=0)
    assert [f.argument for f in report.failures] == ["z"]
    assert len(notes) == 1
    assert f".{wrong} is wrong: {words}" in notes[0]
    assert notes[0].endswith(f".{right}")


@pytest.mark.slow
def test_both_are_named_if_both_are_wrong():
    _, notes = blamed(focal_loss(in_entropy=2, in_weight=-1), Z, T, GAMMA)
    assert [".entropy is wrong" in n for n in notes] == [True, False]
    assert ".weight is wrong" in notes[1]
    assert "right:" not in notes[1]


def test_none_is_named_if_the_fault_lies_elsewhere():
    right = focal_loss()
    _, notes = blamed(right, Z, T, GAMMA, reference=lambda z, t, gamma: 2 * right(z, t, gamma))
    assert len(notes) == 1
    assert "each is right by itself" in notes[0]
    assert blamed(right, Z, T, GAMMA)[1] == []


def test_inside_of_loops_and_with_what_the_rule_looks_like():
    spike = named("spike", lambda v: (v > 0).astype(v.dtype), lambda v, g: (g / (1 + 10 * jnp.abs(v)) ** 2,))
    linear = named("linear", lambda x, w: x @ w, lambda x, w, g: (g @ w.T, x.T @ g))

    def neurons(x, w):
        def one(h, v):
            h = 0.9 * h + linear(v[None], w)[0]
            return h, spike(h - 1)

        return jax.lax.scan(one, jnp.zeros(5, x.dtype), x)[1]

    _, notes = blamed(neurons, normal(0, 7, 3), normal(1, 3, 5))
    assert ".spike is wrong: gradient: v: a surrogate gradient" in notes[0]
    assert notes[0].endswith(".linear")


def test_a_rule_that_stands_for_others_is_not_excused_by_them():
    inner = named("inner", lambda x: jnp.sin(x), lambda x, g: (2 * g * jnp.cos(x),))
    other = named("other", lambda x: x * 2, lambda x, g: (2 * g,))
    outer = named("outer", lambda x: inner(other(x)), lambda x, g: (3 * g * jnp.cos(2 * x),))
    report, notes = blamed(outer, Z)
    assert report.verdict == "wrong"
    assert notes == []


def test_rules_that_there_is_no_time_for_are_counted(monkeypatch):
    monkeypatch.setattr("verify.program.blame.TOGETHER", 0.0)
    _, (note,) = blamed(focal_loss(in_weight=-1), Z, T, GAMMA, argnums=0)
    assert note.endswith("; for 1 more there was no time")


def test_rules_that_the_function_differentiates_itself_are_said():
    """`jax.grad` leaves no call of them in the program: what they answer is the function."""
    entropy = named("entropy", lambda z: jnp.sin(z), lambda z, g: (1.01 * g * jnp.cos(z),))
    report = verify.check(jax.grad(lambda z: entropy(z).sum()), Z, checks=FEW, cases=0)
    assert any("takes the derivative of" in n and "entropy" in n and "check_all" in n for n in report.notes), report
    plain = verify.check(jax.grad(lambda z: jnp.tanh(z).sum()), Z, checks=FEW, cases=0)
    assert not any("takes the derivative" in n for n in plain.notes), plain
