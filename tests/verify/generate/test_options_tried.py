"""Options of which other values are tried: several at once, and one at several sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.faulty_rules.all import RULES
from tests.verify.rules import assert_only_the_fault_is_seen

pytestmark = pytest.mark.usefixtures("a_users_jax")
X = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)


def correlated(x, kernel, padding=0, dilation=1, flip=False):
    kernel = kernel[::-1] if flip else kernel
    padded = jnp.pad(x, (padding, padding))
    count = len(padded) - dilation * (len(kernel) - 1)
    return sum(padded[dilation * k : dilation * k + count] * kernel[k] for k in range(len(kernel)))


def correlated_bwd(r, g, *, wrong, padding=0, dilation=1, flip=False):
    flip = flip and not (wrong and dilation > 1)
    return jax.vjp(lambda x, k: correlated(x, k, padding, dilation, flip), *r)[1](g)


def test_all_options_are_tried_at_once():
    """A fault of two of them together. A word is no padding here, since a number is one by default."""
    x, kernel = X[0, 0], X[1, 0, :2]
    assert_only_the_fault_is_seen(correlated, correlated_bwd, x, kernel, checks=("contract", "gradient"))


def padded(x, kernel, padding=0, stride=1):
    return correlated(x, kernel, padding)[::stride]


def padded_bwd(r, g, *, wrong, padding=0, stride=1):
    """The full correlation with the cotangent. `wrong`: no padding below 0 where it exceeds the window."""
    x, kernel = r
    dx, dk = jax.vjp(lambda x, k: padded(x, k, padding, stride), x, kernel)[1](g)
    beyond = padding - len(kernel) + 1 if stride == 1 else 0
    return (jnp.roll(dx, beyond) if wrong and beyond > 0 else dx), dk


def test_a_padding_may_exceed_the_window():
    assert_only_the_fault_is_seen(padded, padded_bwd, X[0, 0], X[1, 0, :3], checks=("contract", "gradient"))


def resized(x, scale=None):
    return x * jnp.arange(len(x)) / (len(x) if scale is None else scale)


def resized_bwd(r, g, *, wrong, scale=None):
    return jax.vjp(lambda x: resized(x, None if wrong else scale), r[0])[1](g)


def test_a_scale_that_is_none_may_be_a_number():
    assert_only_the_fault_is_seen(resized, resized_bwd, X[0, 0], checks=("contract", "gradient"))


def test_a_scale_that_is_an_array_is_none():
    """Its rule returns a cotangent of the array's shape."""

    @jax.custom_vjp
    def scaled(x, scale):
        return x if scale is None else x * scale

    def bwd(r, g):
        x, scale = r
        return (g, None) if scale is None else (g * scale, jnp.zeros(x.shape[-1]) + (g * x).sum((0, 1)))

    scaled.defvjp(lambda x, scale: (scaled(x, scale), (x, scale)), bwd)
    report = verify.check(lambda x, scale=None: scaled(x, scale), X, checks=("contract", "gradient"))
    assert report.ok, report


def shared(q, k, interleave=False):
    if q.shape[0] % k.shape[0]:
        raise ValueError("heads that do not share evenly")
    heads = np.arange(q.shape[0])
    return q * k[heads % k.shape[0] if interleave else heads // (q.shape[0] // k.shape[0])]


def shared_bwd(r, g, *, wrong, interleave=False):
    q, k = r
    count, share = k.shape[0], q.shape[0] // k.shape[0]
    heads = np.arange(q.shape[0])
    which = np.minimum(heads % (share if wrong else count), count - 1) if interleave else heads // share
    return g * k[which], jnp.zeros_like(k).at[which].add(g * q)


def test_a_flag_is_tried_with_more_heads_to_share():
    """Four heads that share two are as many to each, which tells neither number."""
    q, k = X.reshape(4, 6), X.reshape(-1)[:12].reshape(2, 6)
    assert_only_the_fault_is_seen(shared, shared_bwd, q, k, checks=("contract", "gradient"))


def total(x, axis=None, keepdims=False):
    return jnp.sum(x, axis=axis, keepdims=keepdims)


def total_bwd(r, g, *, wrong, axis=None, keepdims=False):
    kept = g if keepdims or axis is None else jnp.expand_dims(g, axis)
    half = 2 if wrong and keepdims and axis is None else 1
    return (jnp.broadcast_to(kept, r[0].shape) / half,)


def test_each_flag_is_tried_beside_the_defaults_of_all_others():
    """However many other calls there are."""
    assert_only_the_fault_is_seen(total, total_bwd, X[0], checks=("contract", "gradient"))


def product(a, b, transposed=False):
    return (a.T if transposed else a) @ b


def product_bwd(r, g, *, wrong, transposed=False):
    a, b = r
    by_a = g @ b.T
    return by_a.T if transposed and not wrong else by_a, (a if transposed else a.T) @ g


def test_a_flag_that_asks_for_a_square_is_tried_with_one():
    a, b = X[0, :, :3], X[1, :, :3]
    assert_only_the_fault_is_seen(product, product_bwd, a, b, checks=("contract", "gradient"))


def bag(table, rows, mode="mean"):
    taken = table[rows]
    return taken.sum(1) if mode == "sum" else taken.mean(1) if mode == "mean" else taken.max(1)


def bag_bwd(r, g, *, wrong, mode="mean"):
    """`wrong`: of a maximum the cotangent is that of a mean."""
    table, rows = r
    share = 1 if mode == "sum" else 1 / rows.shape[1]
    if mode == "max" and not wrong:
        share = jnp.arange(rows.shape[1])[:, None] == table[rows].argmax(1)[:, None]
    return jnp.zeros_like(table).at[rows].add(share * jnp.repeat(g[:, None], rows.shape[1], 1)), None


def test_no_word_is_tried_that_does_what_another_does():
    """The last branch takes "full", of a convolution, for "max"."""
    table = np.random.default_rng(0).standard_normal((12, 5)).astype(np.float32)
    rows = np.random.default_rng(1).integers(0, 12, (6, 4)).astype(np.int32)
    assert_only_the_fault_is_seen(bag, bag_bwd, table, rows, checks=("contract", "gradient"))


def costs(a, b, reach=2, stride=1):
    size = 2 * reach + 1
    padded = jnp.pad(b, ((reach, reach), (reach, reach), (0, 0)))
    shifted = [padded[i : i + len(a), j : j + a.shape[1]] for i in range(size) for j in range(size)]
    return jnp.stack([(a * s).mean(-1) for s in shifted], -1)[::stride, ::stride]


def costs_bwd(r, g, *, wrong, reach=2, stride=1):
    """`wrong`: the outputs of a stride stand side by side."""
    whole = jnp.zeros((*r[0].shape[:2], g.shape[-1]), g.dtype)
    whole = whole.at[: len(g), : g.shape[1]].set(g) if wrong else whole.at[::stride, ::stride].set(g)
    return jax.vjp(lambda a, b: costs(a, b, reach), *r)[1](whole)


def test_a_stride_of_a_long_rule_is_tried():
    """Of a long rule few calls are made, and those of other sizes come first."""
    a, b = np.random.default_rng(0).standard_normal((2, 6, 7, 3)).astype(np.float32)
    assert_only_the_fault_is_seen(costs, costs_bwd, a, b, checks=("contract", "gradient"))


def test_strides_that_differ_are_tried_beside_all_other_calls():
    """A backward rule that exchanges the two axes' strides is right for each of one number."""
    (faulty,) = [each for each in RULES if each.name == "conv: strides exchanged"]
    assert not verify.check(faulty.rule, *faulty.args, checks=["contract", "gradient"]).ok


@pytest.mark.parametrize(("function", "options"), [(jnp.linalg.qr, {}), (jnp.linalg.svd, {"full_matrices": False})])
def test_an_option_at_which_jax_has_no_derivative_is_no_fault(function, options):
    """The raw QR decomposition, and singular vectors of full matrices."""
    report = verify.check(function, X[0].T.copy(), kwargs=options, checks=("contract", "gradient"))
    assert report.ok
    assert any("not implemented" in outcome.reason for outcome in report.outcomes)


def doubled(x, cumulative=False):
    return jnp.cumsum(x) if cumulative else 2 * x


def doubled_bwd(cumulative, _, g):
    if cumulative:
        raise NotImplementedError("the backward pass of a cumulative sum")
    return (2 * g,)


def test_an_option_at_which_ones_own_rule_raises_is_a_fault():
    rule = jax.custom_vjp(doubled, nondiff_argnums=(1,))
    rule.defvjp(lambda x, cumulative=False: (doubled(x, cumulative), None), doubled_bwd)
    assert not verify.check(rule, X[0, 0], checks=("contract", "gradient")).ok
