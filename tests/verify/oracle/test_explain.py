"""What is known about a wrong cotangent, and that nothing a rule does when it is run again changes its finding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify

from ..faulty_rules.joined import joined, normal

X, W = normal(1, 4, 5), normal(2, 5, 3)
FEW = ("contract", "gradient")


def direct(backward, primal=lambda x, w: x @ w, **options):
    """A rule that is a `custom_vjp` itself."""
    rule = jax.custom_vjp(primal, **options)
    rule.defvjp(lambda *args: (primal(*args), args), backward)
    return rule


def cause(rule, *args):
    report = verify.check(rule, *args, checks=FEW, cases=0)
    assert len(report.failures) == 1, str(report)
    return report.failures[0].argument, report.failures[0].cause


def none_for_w(r, g):
    return g @ r[1].T, None


def zeros_for_w(r, g):
    return g @ r[1].T, jnp.zeros_like(r[1])


def masked_w(r, g):
    return g @ r[1].T, (r[0].T @ g) * 0


RETURNED = {
    "None": direct(none_for_w),
    "zeros": direct(zeros_for_w),
    "None or zeros": joined(lambda x, w: x @ w, lambda args, y, g: none_for_w(args, g)),
}


@pytest.mark.parametrize("what", RETURNED)
def test_none_for_an_array_is_named(what):
    words = (
        f"the rule returns {what} for w, whatever it is called with: a zero gradient, so nothing is learnt through w"
    )
    assert cause(RETURNED[what], X, W) == ("w", words)
    assert cause(jax.jit(RETURNED[what]), X, W)[1].replace("None or zeros", what) == words


def test_a_cotangent_that_happens_to_be_zero_is_not_called_none():
    assert "None" not in cause(direct(masked_w), X, W)[1]


def test_none_for_a_leaf_of_a_tree_and_behind_a_static_argument():
    primal = lambda n, p: n * (X @ p["w"] + p["b"][None])  # noqa: E731
    rule = direct(lambda n, r, g: ({"w": n * X.T @ g, "b": None},), primal, nondiff_argnums=(0,))
    rule.defvjp(lambda n, p: (primal(n, p), None), rule.bwd)
    argument, text = cause(rule, 3, {"w": W, "b": normal(3, 3)})
    assert argument == "p['b']"
    assert text.startswith("the rule returns None for p['b']")


def test_float0_for_an_array_is_named():
    rule = direct(lambda r, g: (g @ r[1].T, np.zeros(r[1].shape, jax.dtypes.float0)))
    name, text = cause(rule, X, W)
    assert name == "w"
    assert text.startswith("the rule returns float0, the cotangent of an integer, for w: a zero gradient")


def test_only_the_wrong_one_of_several_arguments_is_a_finding():
    def focal(z, t, gamma):
        p = jax.nn.softmax(z)
        return -(t * (1 - p) ** gamma * jnp.log(p)).sum(-1)

    def backward(wrong):
        def bwd(args, y, g):
            bars = list(jax.vjp(focal, *args)[1](g))
            bars[wrong] = -2 * bars[wrong]
            return tuple(bars)

        return bwd

    args = normal(0, 6, 4), np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 1, 2]] * 0.9 + 0.02, np.float32(1.5)
    for wrong, name in enumerate(("z", "t", "gamma")):
        report = verify.check(joined(focal, backward(wrong)), *args, checks=FEW, cases=0)
        assert [f.argument for f in report.failures] == [name]


def test_a_rule_that_refuses_to_be_run_again_keeps_its_finding():
    runs = []

    def counted(x):
        runs.append(1)
        if len(runs) > 2:
            raise RuntimeError("not once more")

    def backward(args, y, g):
        jax.debug.callback(counted, g)
        return g @ args[1], args[0].T @ g

    report = verify.check(joined(lambda x, w: x @ w, backward), X, normal(3, 5, 5), checks=("gradient",), cases=0)
    assert [f.argument for f in report.failures] == ["x"]


def test_half_precision_is_too_coarse_to_tell():
    def backward(args, y, g):
        return ((g.astype(jnp.bfloat16) @ args[1].T.astype(jnp.bfloat16)).astype(g.dtype) * 2, args[0].T @ g)

    name, text = cause(joined(lambda x, w: x @ w, backward), X, W)
    assert name == "x"
    assert "a factor 2 too many" not in text


def test_a_tiny_error_is_like_nothing_but_the_right_answer():
    """Less than what counts as equal: a cotangent that is not clipped here would be as like."""

    with jax.enable_x64(True):
        args = X.astype(np.float64), W.astype(np.float64)
        name, text = cause(joined(lambda x, w: x @ w, lambda a, y, g: (g @ a[1].T * (1 + 4e-7), a[0].T @ g)), *args)
    assert name == "x"
    assert text == "a constant is wrong: a factor of the derivative, a count in a mean, or a sum taken twice"
