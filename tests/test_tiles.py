import numpy as np
import pytest

from purecnn import tiles
from purecnn.geometry import conv_dims
from purecnn.kernels import conv_winograd as winograd


@pytest.mark.parametrize("offsets", range(1, winograd.LONGEST + 1))
def test_a_tile_of_one_axis_is_the_correlation_of_its_entries(offsets):
    a, g, b = map(np.array, tiles.matrices_of_axis(offsets))
    rng = np.random.default_rng(offsets)
    entries, kernel = rng.standard_normal(len(b)), rng.standard_normal(offsets)
    np.testing.assert_allclose(a @ ((g @ kernel) * (b @ entries)), np.correlate(entries, kernel), atol=1e-12)


def test_products_saved_count_what_tiles_fill_up():
    def saved(size, offsets):
        return tiles.products_saved(conv_dims("test", (1, size, size, 1), (offsets, offsets, 1, 1), padding="SAME"))

    assert saved(16, 3) == (2 * 3) ** 2 / 4**2  # two outputs of three offsets from four products, on either axis
    assert saved(13, 3) == pytest.approx(2.25 * (13 / 14) ** 2)
    assert saved(27, 5) == pytest.approx((2 * 5 / 6) ** 2 * (27 / 28) ** 2)
