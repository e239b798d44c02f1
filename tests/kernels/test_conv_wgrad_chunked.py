import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purecnn.chunks import sum_chunks
from purecnn.geometry import conv_dims
from purecnn.kernels import conv_wgrad_chunked
from tests.oracles import loops
from tests.oracles.agreement import assert_close
from verify.running import quickly


def of_size(monkeypatch, room):
    """Chunks and strips of this many bytes of patches."""
    monkeypatch.setattr(conv_wgrad_chunked, "CHUNK_BYTES", room)
    monkeypatch.setattr(conv_wgrad_chunked, "STRIP_BYTES", room)


@pytest.mark.parametrize(
    ("room", "chunks"), [(0, 6), (3100, 3), (1 << 20, 1)], ids=["strips of a row", "three chunks", "one chunk"]
)
def test_chunks_of_any_size_give_the_same_sum(monkeypatch, room, chunks):
    """The patches of an image take 1512 bytes."""
    taken = []
    of_size(monkeypatch, room)
    monkeypatch.setattr(
        conv_wgrad_chunked, "sum_chunks", lambda f, n, *arrays: taken.append(n) or sum_chunks(f, n, *arrays)
    )
    rng = np.random.default_rng(0)
    shapes = (6, 9, 5, 2), (3, 3, 2, 4), (6, 7, 3, 4)
    x, w, y_bar = (rng.integers(-3, 4, shape).astype("float32") for shape in shapes)
    _, (_, w_bar, _) = loops.conv2d(y_bar, x, w)
    dims = conv_dims("test", x.shape, w.shape)
    got = quickly(lambda x, y_bar: conv_wgrad_chunked.weight_cotangent(x, y_bar, dims))(x, y_bar)
    assert_close(got, w_bar, 0)
    assert taken == [chunks]


def test_strips_of_rows_with_stride_padding_dilation_and_groups(monkeypatch):
    rng = np.random.default_rng(1)
    options = {"stride": (2, 1), "padding": ((2, 1), (0, 3)), "dilation": (2, 1), "groups": 2}
    x, w = rng.integers(-3, 4, (2, 12, 4, 4)), rng.integers(-3, 4, (3, 2, 2, 6))
    dims = conv_dims("test", x.shape, w.shape, **options)
    y_bar = rng.integers(-3, 4, (2, *dims.output, 6))
    _, (_, w_bar, _) = loops.conv2d(y_bar, x, w, **options)
    two_rows = 4 * dims.output[1] * w[..., 0].size * 2 * 2
    of_size(monkeypatch, two_rows)
    assert dims.output[0] == 6
    got = quickly(lambda x, y_bar: conv_wgrad_chunked.weight_cotangent(x, y_bar, dims))(*map(np.float32, (x, y_bar)))
    assert_close(got, w_bar, 0)


@pytest.mark.parametrize("room", [0, 1 << 20], ids=["strips", "one chunk"])
@pytest.mark.parametrize(("stride", "kw", "width"), [(1, 2, 7), (1, 3, 6), (2, 3, 7), (2, 5, 10), (3, 4, 11)])
def test_a_narrow_product_takes_two_outputs_at_once(monkeypatch, room, stride, kw, width):
    rng = np.random.default_rng(2)
    options = {"stride": (2, stride), "padding": ((1, 0), (2, 0)), "dilation": (2, 1)}
    x, w = rng.integers(-3, 4, (3, 9, width, 2)), rng.integers(-3, 4, (2, kw, 2, 16))
    dims = conv_dims("test", x.shape, w.shape, **options)
    y_bar = rng.integers(-3, 4, (3, *dims.output, 16))
    assert dims.output[1] % 2 == 0
    assert conv_wgrad_chunked._by_pairs(dims)
    of_size(monkeypatch, room)
    _, (_, w_bar, _) = loops.conv2d(y_bar, x, w, **options)
    got = quickly(lambda x, y_bar: conv_wgrad_chunked.weight_cotangent(x, y_bar, dims))(*map(np.float32, (x, y_bar)))
    assert_close(got, w_bar, 0)


def test_in_16_bits_both_halves_are_rounded_once():
    """Sums of integers beyond the 256 up to which bfloat16 has all of them."""
    rng = np.random.default_rng(3)
    x, w, y_bar = (rng.integers(0, 4, shape) for shape in ((8, 8, 8, 2), (3, 3, 2, 4), (8, 6, 6, 4)))
    _, (_, w_bar, _) = loops.conv2d(y_bar, x, w)
    dims = conv_dims("test", x.shape, w.shape)
    assert conv_wgrad_chunked._by_pairs(dims)
    halves = (jnp.asarray(a, "bfloat16") for a in (x, y_bar))
    got = quickly(lambda x, y_bar: conv_wgrad_chunked.weight_cotangent(x, y_bar, dims))(*halves)
    assert got.dtype == jnp.bfloat16
    assert_close(got, jnp.asarray(w_bar, "bfloat16"), 0)


@pytest.mark.parametrize(
    ("w_shape", "options"),
    [
        ((3, 3, 2, 17), {}),
        ((3, 3, 1, 4), {"groups": 2}),
        ((3, 3, 2, 4), {"dilation": (1, 2)}),
        ((3, 1, 2, 4), {}),
        ((3, 2, 2, 4), {"stride": 2}),
        ((3, 2, 2, 4), {}),
    ],
    ids=["wide", "groups", "dilation", "one column", "no overlap", "odd"],
)
def test_other_products_take_one(w_shape, options):
    assert not conv_wgrad_chunked._by_pairs(conv_dims("test", (1, 8, 8, 2), w_shape, **options))


def test_one_large_image_takes_a_padded_copy_and_a_strip_of_patches():
    """10 rows of every 4 that are read, materialised for all strips at once, took 15 MB."""
    dims = conv_dims("test", (1, 256, 256, 16), (7, 7, 16, 16), padding="SAME")
    x = jax.ShapeDtypeStruct((1, 256, 256, 16), "float32")
    compiled = jax.jit(lambda x, y_bar: conv_wgrad_chunked.weight_cotangent(x, y_bar, dims)).lower(x, x).compile()
    padded = 4 * (256 + 6) ** 2 * 16
    columns = conv_wgrad_chunked.STRIP_BYTES // 2  # of a strip, from which its patches are copied
    assert compiled.memory_analysis().temp_size_in_bytes < padded + conv_wgrad_chunked.STRIP_BYTES + columns
