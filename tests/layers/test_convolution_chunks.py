import jax
import numpy as np
import pytest

from purecnn.geometry import window2d
from purecnn.layers import convolution_chunks
from tests.oracles import loops
from tests.oracles.roads import assert_close, quick_jit

GEOMETRIES = {
    "plain": {},
    "taps left of a stride": {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 2)},
    "rows dilated": {"stride": (1, 2), "padding": ((2, 1), (1, 0)), "dilation": (2, 1)},
}


def integers(*shapes):
    rng = np.random.default_rng(0)
    return [jax.numpy.asarray(rng.integers(-3, 4, shape), "float32") for shape in shapes]


FORMS = [
    (form, name)
    for form in ("shared", "all on x's side", "ȳ turned")
    for name in GEOMETRIES
    if form != "shared" or name != "taps left of a stride"  # taps are shared out only between rows one apart
]


@pytest.mark.parametrize(("form", "geometry"), FORMS)
@pytest.mark.parametrize("groups", [1, 2])
def test_every_form_equals_the_loops_exactly(monkeypatch, geometry, groups, form):
    options = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), **GEOMETRIES[geometry]}
    monkeypatch.setattr(convolution_chunks, "_rows_are_shared", lambda *_: form == "shared")
    monkeypatch.setattr(convolution_chunks, "WIDE", 0 if form == "ȳ turned" else 10**6)
    x_shape, w_shape = (4, 6, 7, 4), (3, 2, 4 // groups, 6)
    places = window2d("conv2d", x_shape, w_shape[:2], **options)
    x, w, y_bar = integers(x_shape, w_shape, (4, *places.output, 6))
    _, (_, w_bar, _) = loops.conv2d(y_bar, np.asarray(x), np.asarray(w), groups=groups, **options)
    got = quick_jit(lambda x, y_bar: convolution_chunks.weight_cotangent(x, y_bar, places, groups))(x, y_bar)
    assert_close(got, w_bar, 0)


@pytest.mark.parametrize("room", [0, 2, 6])
def test_chunks_of_any_size_give_the_same_sum(monkeypatch, room):
    monkeypatch.setattr(convolution_chunks, "pieces_that_fit", lambda n, *_, multiple: n // max(room, 1))
    x, w, y_bar = integers((6, 5, 5, 2), (3, 3, 2, 4), (6, 3, 3, 4))
    _, (_, w_bar, _) = loops.conv2d(y_bar, np.asarray(x), np.asarray(w))
    places = window2d("conv2d", x.shape, (3, 3))
    got = quick_jit(lambda x, y_bar: convolution_chunks.weight_cotangent(x, y_bar, places, 1))(x, y_bar)
    assert_close(got, w_bar, 0)


def test_taps_are_shared_out_where_that_was_measured_to_be_faster():
    """With 32 and 64 channels on 32×32 and 16×16; not where the product is all there is, nor with a stride."""

    def shared(size, channels, outputs, **options):
        places = window2d("conv2d", (1, size, size, channels), (3, 3), padding=1, **options)
        return convolution_chunks._rows_are_shared(places, channels, outputs, 1)

    assert shared(32, 32, 32)
    assert shared(16, 64, 64)
    assert not shared(13, 384, 384)
    assert not shared(32, 32, 32, stride=2)
