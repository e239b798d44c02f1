import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import purecnn
from tests import faulty_rules
from tests.catalogue import MAX_POOL, check_vjp, named
from tests.oracles import loops
from tests.oracles.agreement import AUTODIFF, LOOPS, assert_cotangents, assert_rejected
from verify.oracle import references


def test_the_rule_is_right():
    check_vjp(purecnn.max_pool2d)


TIES = ("first", "last", "split", "all")
every_convention = pytest.mark.parametrize("ties", TIES)


UNIT = named("max_pool2d-first").variant("2x2", window=2, stride=None, padding="VALID", dilation=1)


def many_ties(shape=(2, 6, 5, 3)):
    return np.random.default_rng(6).integers(0, 3, shape).astype(float)


@pytest.mark.parametrize(
    ("ties", "expected"),
    [
        ("first", [[0, 12, 0], [0, 0, 0]]),
        ("last", [[0, 0, 0], [0, 0, 12]]),
        ("split", [[0, 4, 0], [4, 0, 4]]),
        ("all", [[0, 12, 0], [12, 0, 12]]),
    ],
)
def test_three_entries_tie(ties, expected):
    """The winners are at (0, 1), (1, 0) and (1, 2); row by row the first comes first."""
    x = jnp.array([[3.0, 5.0, 1.0], [5.0, 2.0, 5.0]]).reshape(1, 2, 3, 1)
    (x_bar,) = UNIT.backward(x, y_bar=12, window=(2, 3), ties=ties)
    np.testing.assert_array_equal(x_bar[0, :, :, 0], expected)


@every_convention
def test_every_convention_where_windows_overlap_and_tie(ties):
    """Two oracles that implement the convention; a difference quotient has none, and takes no part."""
    subject = MAX_POOL.variant(f"{ties} at ties", ties=ties)
    assert_cotangents(subject, [many_ties()], oracles=(AUTODIFF, LOOPS))


@pytest.mark.parametrize("window", [2, 5])
def test_entries_of_minus_infinity_tie_with_the_padding(window):
    """As by autodiff of a maximum over the padded window: every tied entry has its share, also those of the padding."""
    options = {"window": window, "stride": 1, "padding": window // 2, "ties": "split"}
    x = jnp.full((1, 3, 4, 1), -jnp.inf)
    y, vjp = jax.vjp(lambda x: references.max_pool2d(x, **options), x)
    (expected,) = vjp(jnp.ones_like(y))
    (x_bar,) = MAX_POOL.variant("infinite", dilation=1, **options).backward(x, y_bar=1)
    np.testing.assert_allclose(x_bar, expected, rtol=1e-6)


def test_first_is_the_convention_of_xla():
    """Without dilation autodiff of `lax.reduce_window` exists, and sends everything to the first winner."""
    subject = MAX_POOL.variant("as XLA", dilation=1, stride=(2, 1), padding="SAME", ties="first")
    assert_cotangents(subject, [many_ties()], oracles=(AUTODIFF,), integers=True)


@every_convention
def test_slopes_lie_between_the_one_sided_ones(ties):
    """Along a random direction v the maximum moves by max over the winners of v: no less may a subgradient say."""
    x, rng = jnp.zeros((1, 2, 2, 1)), np.random.default_rng(7)
    v = jnp.asarray(rng.normal(size=x.shape), x.dtype)
    (x_bar,) = UNIT.backward(x, ties=ties)
    is_subgradient = bool(-(-v).max() <= (x_bar * v).sum() <= v.max()) and bool(jnp.isclose(x_bar.sum(), 1))
    assert is_subgradient == (ties != "all")


@every_convention
def test_windows_on_padding_alone_give_minus_infinity_and_no_cotangent(ties):
    x = jnp.ones((1, 1, 1, 1))
    y = purecnn.max_pool2d(x, window=1, padding=1, ties=ties)
    assert y[0, :, :, 0].tolist() == [[-np.inf] * 3, [-np.inf, 1, -np.inf], [-np.inf] * 3]
    (x_bar,) = UNIT.backward(x, y_bar=2, window=1, padding=1, ties=ties)
    assert x_bar.tolist() == [[[[2]]]]


@every_convention
@pytest.mark.parametrize("at", range(4))
def test_nan_under_a_window_gives_nan(ties, at):
    x = jnp.arange(4.0).at[at].set(jnp.nan).reshape(1, 2, 2, 1)
    assert np.isnan(purecnn.max_pool2d(x, ties=ties))


@pytest.mark.parametrize(("ties", "winner"), [("first", 1), ("last", 3)])
def test_a_nan_gets_the_cotangent_of_its_window(ties, winner):
    """Of two the first or the last, whatever stands around them; as in PyTorch where there is one."""
    x = jnp.array([9.0, jnp.nan, jnp.inf, jnp.nan, 9.0]).reshape(1, 1, 5, 1)
    (x_bar,) = UNIT.backward(x, y_bar=2, window=(1, 5), ties=ties)
    assert x_bar.ravel().tolist() == [2.0 if i == winner else 0.0 for i in range(5)]


@pytest.mark.parametrize(("ties", "dtype"), [("first", "bfloat16"), ("last", "float16")])
def test_every_cotangent_arrives_behind_a_producer_that_is_fused(ties, dtype):
    """XLA may compute what the pool reads a second time and round it otherwise; a winner by equality could be none."""
    rng = np.random.default_rng(0)
    x, w = (jnp.asarray(rng.normal(size=s), dtype) for s in ((8, 16, 16, 8), (1, 1, 1, 8)))

    @jax.jit
    def sent(x, w):
        produced = jnp.tanh(x * w) / 3 + x * x
        y, pullback = jax.vjp(lambda h: purecnn.max_pool2d(h, window=3, stride=2, ties=ties), produced)
        return pullback(jnp.ones_like(y))[0].astype(jnp.float32).sum(), y.size

    arrived, expected = sent(x, w)
    assert arrived == expected


@pytest.mark.parametrize("ties", purecnn.layers.max_pool2d.TIES)
@pytest.mark.parametrize(("window", "stride"), [(3, 2), (5, 2), (6, 1)])
def test_and_in_two_passes_behind_a_product_and_a_sum(ties, window, stride):
    """Where equal entries are looked for, a third of the cotangents was lost."""
    rng = np.random.default_rng(0)
    x, w = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((8, 16, 16, 8), (1, 1, 1, 8)))

    @jax.jit
    def sent(x, w):
        y, pullback = jax.vjp(
            lambda h: purecnn.max_pool2d(h, window=window, stride=stride, ties=ties), x * w + jnp.float32(0.3)
        )
        return pullback(jnp.ones_like(y))[0].sum(), y.size

    arrived, expected = sent(x, w)
    assert arrived == expected


@pytest.mark.parametrize("ties", ["first", "last"])
def test_keeps_one_byte_an_output(ties):
    _, (winner, carrier) = purecnn.max_pool2d_fwd(jnp.ones((2, 6, 6, 3)), window=3, ties=ties)
    assert (winner.dtype, winner.shape, carrier.nbytes) == (jnp.uint8, (2, 2, 2, 3), 0)


def test_a_window_of_more_than_256_offsets_keeps_a_wider_index():
    x = jax.ShapeDtypeStruct((1, 1, 257, 1), jnp.float32)
    _, (winner, _) = jax.eval_shape(lambda x: purecnn.max_pool2d_fwd(x, window=(1, 257)), x)
    assert winner.dtype == jnp.int32


@pytest.mark.parametrize("ties", ["split", "all"])
def test_conventions_that_need_every_winner_keep_input_and_output(ties):
    x = jnp.ones((1, 2, 2, 1))
    y, residuals = purecnn.max_pool2d_fwd(x, ties=ties)
    assert all(np.array_equal(r, a) for r, a in zip(residuals, (x, y), strict=True))


@every_convention
def test_sixteen_bit_cotangents_add_up_in_float32(ties):
    """The middle entry wins three windows; 256 + 1 + 1 in bfloat16 steps would stay 256."""
    x = jnp.array([0, 0, 9, 0, 0], jnp.bfloat16).reshape(1, 1, 5, 1)
    y_bars = jnp.array([[256, 1, 1], [1, 256, 1], [1, 1, 256]], jnp.bfloat16).reshape(3, 1, 3, 1)
    (x_bar,) = UNIT.backward(jnp.tile(x, (3, 1, 1, 1)), y_bar=y_bars, window=(1, 3), stride=1, ties=ties)
    assert (x_bar[:, 0, 2, 0] == 258).all()


def mean_over_the_windows_won(residuals, y_bar, **options):
    """Cotangents of overlapping windows averaged, not added."""
    wins = purecnn.max_pool2d_bwd(residuals, jnp.ones_like(y_bar), **options)[0]
    return (purecnn.max_pool2d_bwd(residuals, y_bar, **options)[0] / jnp.maximum(wins, 1),)


def winner_read_column_by_column(residuals, y_bar, **options):
    (winner, carrier), (kh, kw) = residuals, options["window"]
    return purecnn.max_pool2d_bwd((winner % kh * kw + winner // kh, carrier), y_bar, **options)


@pytest.mark.parametrize(
    "faulty",
    [
        mean_over_the_windows_won,
        winner_read_column_by_column,
        faulty_rules.cotangent_ignored(MAX_POOL),
        faulty_rules.as_if(MAX_POOL, stride=1),
        faulty_rules.as_if(MAX_POOL, dilation=1),
        faulty_rules.as_if(MAX_POOL, padding=((0, 1), (2, 0))),
    ],
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(MAX_POOL, faulty)


@pytest.mark.parametrize(("ties", "other"), [*itertools.combinations(TIES, 2)])
def test_other_conventions_are_rejected(ties, other):
    """One way: the oracle of `ties` and the cotangents of `other` differ."""

    def other_ties(residuals, y_bar, *, ties, **options):
        residuals = purecnn.max_pool2d_fwd(jnp.asarray(many_ties()), ties=other, **options)[1]
        return purecnn.max_pool2d_bwd(residuals, y_bar, ties=other, **options)

    assert_rejected(MAX_POOL.variant(ties, ties=ties), other_ties, [many_ties()], oracles=(LOOPS,))


LARGE = {"window": (5, 4), "stride": (2, 3), "padding": ((2, 1), (3, 0)), "dilation": (1, 2)}


# Along either axis so long that the offsets are read in a loop; the second along one axis alone.
LONG = {"window": (11, 12), "stride": (1, 2), "padding": ((2, 1), (0, 3)), "dilation": 1}
LONG_ROW = {"window": (1, 12), "stride": (2, 1), "padding": ((0, 0), (2, 12)), "dilation": (1, 2)}


@pytest.mark.parametrize(
    ("large", "ties"),
    [*((LARGE, ties) for ties in TIES), (LONG, "first"), (LONG, "split"), (LONG_ROW, "last"), (LONG_ROW, "all")],
    ids=[*TIES, "first, long", "split, long", "last, long row", "all, long row"],
)
def test_a_large_window_in_two_passes_equals_the_loops(large, ties):
    rng = np.random.default_rng(7)
    x = jnp.asarray(rng.integers(0, 4, (2, 11, 13, 2)), "float32")
    y = purecnn.max_pool2d(x, **large, ties=ties)
    y_bar = np.asarray(rng.integers(-8, 9, y.shape), "float64") * 2520  # divided by any number of ties, an integer
    expected, (x_bar,) = loops.max_pool2d(y_bar, np.asarray(x), **large, ties=ties)
    np.testing.assert_array_equal(y, expected)
    (got,) = UNIT.backward(x, y_bar=jnp.asarray(y_bar, "float32"), **large, ties=ties)
    np.testing.assert_allclose(got, x_bar, rtol=1e-6)


@pytest.mark.parametrize(
    ("window", "ties"),
    [(3, "first"), (5, "last"), (12, "first"), (12, "last")],
    ids=["one pass", "two passes", "loops", "loops, last"],
)
def test_a_nan_wins_every_window_it_is_in_in_windows_of_any_size(window, ties):
    """Forward as `lax` and PyTorch; the cotangents of all its windows go to it, as PyTorch's do."""
    x = np.random.default_rng(0).normal(size=(1, 14, 14, 2)).astype("float32")
    x[0, 6, 7, 0] = np.nan
    y = purecnn.max_pool2d(jnp.asarray(x), window=window, stride=1, ties=ties)
    plain = lax.reduce_window(jnp.asarray(x), -jnp.inf, lax.max, (1, window, window, 1), (1, 1, 1, 1), "VALID")
    np.testing.assert_array_equal(y, plain)
    assert (number := int(np.isnan(y).sum())) > 1
    (x_bar,) = UNIT.backward(jnp.asarray(x), y_bar=jnp.ones(y.shape), window=window, stride=1, ties=ties)
    assert x_bar[0, 6, 7, 0] == number
    assert x_bar.sum() == y.size


def test_a_window_of_784_offsets_is_a_program_of_four_loops():
    x = jnp.ones((1, 56, 56, 1))
    text = jax.jit(jax.grad(lambda x: purecnn.max_pool2d(x, window=28, stride=1).sum())).lower(x).as_text()
    assert (text.count("stablehlo.while"), text.count("stablehlo.slice") < 20) == (4, True)
