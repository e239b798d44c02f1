"""Other calls made from the example: sizes, options however they were given, masks, cotangents."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import assert_only_the_fault_is_seen
from verify.checking import _example
from verify.function_under_test import describe
from verify.generate import generated_inputs, shapes
from verify.generate.options import option_values

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((2, 4, 6)).astype(np.float32)


def example(fun, *args, kwargs=None):
    return _example(describe(fun, args, None, None, None, kwargs), "example", 0)


def paired(x, y):
    """A contrastive loss: row k of x belongs to row k of y. It can be evaluated for other numbers of rows."""
    logits = x @ y.T
    return -jax.nn.log_softmax(logits)[jnp.arange(len(x)), jnp.arange(len(x)) % len(y)].sum()


def test_axes_that_correspond_and_are_equal_stay_equal():
    assert shapes.free_classes(example(paired, X, Y)) == [((0, 0), (1, 0)), ((0, 1), (1, 1))]
    # But for those that cannot: a square product's inner size is another axis than its outer ones.
    square = shapes.free_classes(example(lambda a, b: a @ b, X[:, :4], Y[:, :4]))
    assert square == [((0, 0),), ((0, 1), (1, 0)), ((1, 1),)]


@pytest.mark.slow
def test_a_rule_for_pairs_is_right():
    def bwd(res, g):
        x, y = res
        p = jax.nn.softmax(x @ y.T) - jnp.eye(len(x), dtype=x.dtype)
        return g * (p @ y), g * (p.T @ x)

    rule = jax.custom_vjp(paired)
    rule.defvjp(lambda x, y: (paired(x, y), (x, y)), bwd)
    report = verify.check(rule, X, Y)
    assert report.ok, report


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def power(x, n, shift):
    return x**n + shift


power.defvjp(lambda x, n, shift: (power(x, n, shift), x), lambda n, shift, x, g: (3 * x**2 * g,))  # right for n = 3


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((X, 3, 0.5), {}), ((X,), {"n": 3, "shift": 0.5}), ((X, 3), {"shift": 0.5})],
    ids=["by position", "by name", "both"],
)
def test_an_option_is_varied_however_it_was_given(args, kwargs):
    fun = lambda x, n, shift: power(x, n, shift)  # noqa: E731
    report = verify.check(fun, *args, kwargs=kwargs)
    assert report.failures[0].case.startswith("n=4")


def test_values_tried_for_an_option():
    case = example(lambda x, a, b, c, d: x, X, True, 2, 0.5, None)
    assert option_values(case) == {"a": [False], "b": [3], "c": [0.375]}
    report = verify.check(lambda x, scale, rest: x * scale, X, 1.5, "plain")
    assert "not varied: rest='plain'" in report.notes
    assert not any(n.startswith("optional arguments") for n in report.notes)


def test_an_option_of_which_every_other_value_was_refused_is_not_varied():
    def chunked(x, *, parts=3, scale=2.0):
        assert parts == 3, "three tables"
        return scale * jnp.sin(x)

    report = verify.check(chunked, X, checks=("gradient",))
    assert report.ok, report
    assert "not varied: parts=3" in report.notes


def test_an_optional_argument_that_was_left_out_is_no_value_that_was_not_varied():
    report = verify.check(lambda x, bias=None: jnp.sin(x), X, checks=("gradient",))
    assert [n for n in report.notes if "bias" in n] == ["optional arguments not given: bias"]


def test_arrays_may_be_given_by_name():
    fun = lambda x, *, w: x @ w  # noqa: E731
    case = example(fun, X, kwargs={"w": Y.T})
    assert case.names == ["x", "w"]
    assert ((0, 1), (1, 0)) in shapes.free_classes(case)
    wrong = jax.custom_vjp(lambda x, w: x @ w)
    wrong.defvjp(lambda x, w: (x @ w, (x, w)), lambda r, g: (g @ r[1].T, 2 * (r[0].T @ g)))
    report = verify.check(lambda x, *, w: wrong(x, w), X, kwargs={"w": Y.T})
    assert report.failures[0].argument == "w"
    assert report.call == "f32[4,6], w=f32[6,4]"


def masked_sum(x, mask):
    return jnp.where(mask, x, 0).sum()


def test_a_mask_that_is_all_true_is_varied():
    rule = jax.custom_vjp(masked_sum)
    rule.defvjp(lambda x, m: (masked_sum(x, m), m), lambda m, g: (jnp.broadcast_to(g, m.shape), None))
    report = verify.check(rule, X, np.ones(X.shape, bool))
    assert report.failures[0].argument == "x"


def test_cotangents_of_ones_and_of_one_entry():
    """A rule that treats any cotangent as a full array."""
    rule = jax.custom_vjp(lambda x: x * 1.0)
    rule.defvjp(lambda x: (x * 1.0, None), lambda _, g: (jnp.where((g == 0).any(), 0.0, g),))
    report = verify.check(rule, X, checks=["gradient"])
    assert report.failures[0].case == "a one-hot cotangent"


def test_the_signature_of_what_is_given_by_position_is_kept():
    tested = describe(lambda x, stride=1: x, (X, 2), None, None)
    assert tested.positions == {"stride": 1}
    assert tested.options["stride"].default == 2
    assert tested.options["stride"].kind is inspect.Parameter.KEYWORD_ONLY


def scaled(forgotten):
    """Columns in two blocks: an odd last one is not written. `forgotten`: so is the second block of the cotangent."""
    from jax.experimental import pallas as pl

    def kernel(x_ref, s_ref, o_ref):
        o_ref[...] = x_ref[...] * s_ref[...]

    def times(x, s):
        block = pl.BlockSpec((x.shape[0], x.shape[1] // 2), lambda i: (0, i))
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return pl.pallas_call(
            kernel, shape, grid=(2,), in_specs=[block, block], out_specs=block, interpret=True, name="times"
        )(x, s)

    def bwd(res, g):
        x, s = res
        kept = jnp.arange(x.shape[1]) < (x.shape[1] // 2 if forgotten else x.shape[1])
        return times(g, s), jnp.where(kept, times(g, x), 0.0)

    rule = jax.custom_vjp(times)
    rule.defvjp(lambda x, s: (times(x, s), (x, s)), bwd)
    return rule


@pytest.mark.parametrize("forgotten", [False, True])
def test_sizes_at_which_a_kernel_leaves_its_output_unwritten_are_no_calls(forgotten):
    report = verify.check(scaled(forgotten), X, Y, reference=lambda x, s: x * s, checks=("gradient", "forward"))
    assert report.ok is not forgotten, report


def test_a_square_matrix_that_is_taken_apart_stays_square():
    square = np.eye(3, dtype=np.float32)
    for function, kept in ((lambda a: jnp.linalg.svd(a)[0], True), (lambda a: jnp.tanh(a), False)):
        case = _example(describe(function, (square,), None, None), "", 0)
        assert (((0, 0), (0, 1)) in shapes.free_classes(case)) is kept


def test_an_axis_of_1_that_broadcasts_against_2_stays_1():
    rule = jax.custom_vjp(lambda x, bias: x * bias)
    rule.defvjp(
        lambda x, bias: (x * bias, (x, bias)),
        lambda r, g: (g * r[1], (g * r[0]).sum(0, keepdims=True)),
    )
    report = verify.check(rule, X[:2], Y[:1], checks=("contract", "gradient"))
    assert report.ok, report
    assert ((1, 0),) not in shapes.free_classes(example(rule, X[:2], Y[:1]))
    assert ((0, 0),) in shapes.free_classes(example(lambda a, b: a @ b, X[:1], Y.T))  # one row may be more


def test_labels_stay_as_many_as_what_they_label():
    labels = np.array([0, -1, 3, 5], np.int32)  # -1: none

    def loss(z, labels):
        of_label = jax.nn.log_softmax(z)[jnp.arange(len(labels)), jnp.maximum(labels, 0)]
        return -jnp.where(labels >= 0, of_label, 0).sum()

    def bwd(res, g):
        z, labels = res
        z_bar = jax.nn.softmax(z) - jax.nn.one_hot(labels, z.shape[1], dtype=z.dtype)
        return g * jnp.where(labels[:, None] >= 0, z_bar, 0), None

    rule = jax.custom_vjp(loss)
    rule.defvjp(lambda z, labels: (loss(z, labels), (z, labels)), bwd)
    report = verify.check(rule, X, labels, checks=("contract", "gradient"))
    assert report.ok, report
    assert ((0, 0), (1, 0)) in shapes.free_classes(example(loss, X, labels))


def test_rows_that_are_written_apart_stay_apart():
    case = example(lambda x, rows: jnp.zeros_like(x).at[rows].set(x), X[:3], np.array([2, 0, 1]))
    for seed in range(8):
        rows = generated_inputs.fill(case, np.random.default_rng(seed), {}, [(3, 6), (3,)])[1]
        assert len(set(rows.tolist())) == 3


def test_a_triangular_matrix_stays_square():
    case = example(lambda lower: jnp.log(jnp.diag(lower)).sum(), np.tril(X[:3, :3]))
    assert shapes.free_classes(case) == [((0, 0), (0, 1))]


def test_an_axis_of_1_does_not_broadcast_beside_an_axis_that_grows_with_it():
    assert ((1, 0), (0, 2)) not in shapes.free_classes(
        example(lambda x, b: x + b, np.ones((2, 3, 2)), np.ones((1, 3, 1)))
    )


def scanned(x, *, seen):
    """A loop in Python over the rows: the program grows with them."""
    seen.append(len(x))
    state = x[0]
    for row in x[1:]:
        state = jnp.tanh(state * row + jnp.sin(row)) + 0.5 * jnp.cos(state) * row
    return state


def test_an_axis_over_which_python_loops_stays_short():
    """The program of a long one would take minutes to trace."""
    seen = []
    report = verify.check(lambda x: scanned(x, seen=seen), X, checks=("contract", "gradient", "low precision"))
    assert report.ok, report
    assert max(seen) < 20
    assert any("[4,259]" in o.case for o in report.outcomes)  # columns, over which it does not loop


def strided(x, k, *, stride=1):
    return jax.lax.conv_general_dilated(x, k, (stride,), "VALID", dimension_numbers=("NHC", "HIO", "NHC"))


def strided_bwd(res, g, *, wrong, stride=1):
    x, k = res
    x_bar, k_bar = jax.vjp(lambda x, k: strided(x, k, stride=stride), x, k)[1](g)
    rest = x.shape[1] - ((g.shape[1] - 1) * stride + k.shape[0])
    return jnp.roll(x_bar, rest, 1) if wrong else x_bar, k_bar


def test_a_stride_that_leaves_a_rest_is_tried():
    x, k = (RNG.standard_normal(s).astype(np.float32) for s in ((2, 6, 2), (3, 2, 2)))
    assert_only_the_fault_is_seen(strided, strided_bwd, x, k, checks=("contract", "gradient"))
