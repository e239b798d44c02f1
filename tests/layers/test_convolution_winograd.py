import jax
import numpy as np
import pytest

from purecnn.geometry import window2d
from purecnn.layers import convolution_winograd as winograd
from tests.oracles import loops
from tests.oracles.roads import assert_trees_close, quick_jit

GEOMETRIES = {
    "tiles fit": ((2, 6, 4, 3), (3, 3), {"padding": ((1, 1), (1, 1))}),
    "tiles reach beyond": ((2, 5, 6, 2), (3, 2), {"padding": ((2, 0), (0, 1))}),
    "padded more than the kernel": ((1, 3, 4, 1), (1, 2), {"padding": ((0, 2), (3, 0))}),
    "one place": ((2, 2, 3, 2), (2, 3), {}),
    "no sample": ((0, 4, 4, 2), (3, 3), {}),
}


def all_three(x_shape, window, numbers, **geometry):
    """(y, x̄, w̄) of the form, and of the loops in float64."""
    options = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), **geometry}
    places = window2d("conv2d", x_shape, window, **options)
    shapes = (x_shape, (*window, x_shape[3], 3), (x_shape[0], *places.output, 3))
    x, w, y_bar = (np.asarray(numbers(shape), "float32") for shape in shapes)
    y, (x_bar, w_bar, _) = loops.conv2d(y_bar, x, w, **options)

    @quick_jit
    def form(x, w, y_bar):
        return (
            winograd.forward(x, w, places),
            winograd.input_cotangent(y_bar, w, places),
            winograd.weight_cotangent(x, y_bar, places),
        )

    return form(x, w, y_bar), (y, x_bar, w_bar)


@pytest.mark.parametrize(("x_shape", "window", "geometry"), GEOMETRIES.values(), ids=GEOMETRIES)
def test_up_to_three_taps_equal_the_loops_exactly_on_integers(x_shape, window, geometry):
    rng = np.random.default_rng(0)
    assert_trees_close(*all_three(x_shape, window, lambda shape: rng.integers(-3, 4, shape), **geometry), 0)


def test_pieces_of_a_batch_give_the_same_numbers(monkeypatch):
    monkeypatch.setattr(winograd, "PIECE_BYTES", 0)
    rng = np.random.default_rng(0)
    assert_trees_close(*all_three((3, 5, 4, 2), (3, 2), lambda shape: rng.integers(-3, 4, shape)), 0)


@pytest.mark.parametrize("window", [(5, 5), (4, 3), (2, 4)])
def test_four_and_five_taps_equal_the_loops(window):
    rng = np.random.default_rng(1)
    assert_trees_close(*all_three((2, 7, 8, 3), window, rng.standard_normal, padding=((2, 1), (0, 2))), 1e-5)


@pytest.mark.parametrize("taps", range(1, winograd.LONGEST + 1))
def test_a_tile_of_one_axis_is_the_correlation_of_its_entries(taps):
    a, g, b = map(np.array, winograd._matrices_of_axis(taps))
    rng = np.random.default_rng(taps)
    entries, kernel = rng.standard_normal(len(b)), rng.standard_normal(taps)
    np.testing.assert_allclose(a @ ((g @ kernel) * (b @ entries)), np.correlate(entries, kernel), atol=1e-12)


@pytest.mark.parametrize(("taps", "worse"), [(3, 2), (5, 10)])
def test_rounding_is_what_the_module_says(taps, worse):
    """Root mean square error over 384 channels, of that of the plain sum in float32: 1.5 and 7."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((1, taps + 7, taps + 7, 384)).astype("float32")
    w = rng.standard_normal((taps, taps, 384, 8)).astype("float32")
    places = window2d("conv2d", x.shape, (taps, taps))
    patches = np.lib.stride_tricks.sliding_window_view(x, (taps, taps), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    rows, matrix = patches.reshape(-1, taps * taps * 384), w.reshape(-1, 8)
    exact = (rows.astype("float64") @ matrix.astype("float64")).reshape(1, 8, 8, 8)

    def error(y):
        return np.sqrt(np.mean((np.asarray(y, "float64") - exact) ** 2))

    plain = error((rows @ matrix).reshape(exact.shape))
    assert error(jax.jit(lambda x, w: winograd.forward(x, w, places))(x, w)) < worse * plain


def test_products_saved_count_what_tiles_fill_up():
    def saved(size, taps):
        return winograd.products_saved(window2d("conv2d", (1, size, size, 1), taps, padding="SAME"))

    assert saved(16, 3) == (2 * 3) ** 2 / 4**2  # two outputs of three taps from four products, on either axis
    assert saved(13, 3) == pytest.approx(2.25 * (13 / 14) ** 2)
    assert saved(27, 5) == pytest.approx((2 * 5 / 6) ** 2 * (27 / 28) ** 2)


@pytest.mark.parametrize("options", [{"stride": 2}, {"dilation": (1, 2)}, {"size": (6, 1)}, {"groups": 2}])
def test_knows_no_strides_gaps_groups_or_long_kernels(options):
    groups, size = options.pop("groups", 1), options.pop("size", 3)
    assert winograd.fits(window2d("conv2d", (1, 9, 9, 2), 3), 1)
    assert not winograd.fits(window2d("conv2d", (1, 9, 9, 2), size, **options), groups)
