"""Sizes, windows, strides, padding, dilation and groups drawn at random: whatever fits, the rules are right there."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import purecnn
from tests.catalogue import CONV, MAX_POOL, named
from tests.oracles import loops, plain
from tests.oracles.agreement import assert_variants
from verify.running import quickly


@st.composite
def geometries(draw, dilated=True):
    """((H, W), options) such that at least one window fits; often with rows left over, or window = padded input."""
    extent, size, stride, dilation, edges = [], [], [], [], []
    for _ in range(2):
        extent.append(draw(st.integers(1, 6)))
        edges.append((draw(st.integers(0, 2)), draw(st.integers(0, 2))))
        dilation.append(draw(st.integers(1, 3)) if dilated else 1)
        widest = (extent[-1] + sum(edges[-1]) - 1) // dilation[-1] + 1
        size.append(draw(st.integers(1, min(widest, 3))))
        stride.append(draw(st.integers(1, 4)))
    padding = draw(st.sampled_from([tuple(edges), "SAME"]))
    options = {"stride": tuple(stride), "padding": padding}
    return tuple(extent), tuple(size), options | ({"dilation": tuple(dilation)} if dilated else {})


def whole(shape, seed, largest=3):
    return np.random.default_rng(seed).integers(-largest, largest + 1, shape).astype(float)


ANY_CONV = dataclasses.replace(CONV, plain=plain.conv2d_by_slices)


@given(geometries(), st.integers(1, 2), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.booleans())
def test_conv2d(geometry, batch, groups, inputs, outputs, bias):
    """Each algorithm; exactly, since whole numbers stay whole."""
    extent, window, options = geometry
    x = whole((batch, *extent, groups * inputs), 0)
    w = whole((*window, inputs, groups * outputs), 1)
    b = whole((groups * outputs,), 2) if bias else None
    variants = [
        ANY_CONV.variant(a, algorithm=a, groups=groups, **options) for a in ("xla", "im2col", "wgrad_chunked", "auto")
    ]
    assert_variants(variants, (x, w, b), tolerance=0)


@given(geometries(dilated=False), st.integers(1, 2), st.integers(1, 2), st.integers(1, 2))
def test_conv2d_of_stride_1(geometry, batch, inputs, outputs):
    """Kernels that know no other; exactly, since up to three offsets Winograd's coefficients are halves."""
    extent, window, options = geometry
    args = [whole(shape, k) for k, shape in enumerate(((batch, *extent, inputs), (*window, inputs, outputs)))]
    neighbouring = {"stride": 1, "dilation": 1, "groups": 1}
    kernels = ("banded", "winograd", "col2im")
    variants = [ANY_CONV.variant(a, **options | neighbouring | {"algorithm": a}) for a in kernels]
    assert_variants(variants, (*args, None), tolerance=0)


@given(geometries(), st.integers(1, 2), st.integers(1, 2))
def test_max_pool2d(geometry, batch, channels):
    """Each convention, where many entries tie."""
    extent, window, options = geometry
    x = whole((batch, *extent, channels), 0, largest=1)
    variants = [MAX_POOL.variant(t, window=window, ties=t, **options) for t in ("first", "last", "split", "all")]
    assert_variants(variants, (x,))


@given(geometries(dilated=False), st.integers(1, 2), st.integers(1, 2))
def test_avg_pool2d(geometry, batch, channels):
    extent, window, options = geometry
    average = named("avg_pool2d")
    variants = [average.variant(c, window=window, count_include_pad=c, **options) for c in (False, True)]
    assert_variants(variants, (whole((batch, *extent, channels), 0),))


@given(geometries(), st.integers(1, 2), st.integers(1, 2))
def test_im2col_and_col2im_are_adjoint(geometry, batch, channels):
    """⟨im2col(x), c⟩ = ⟨x, col2im(c)⟩, and im2col is what the loops say."""
    extent, window, options = geometry
    x = jnp.asarray(whole((batch, *extent, channels), 0), "float32")

    @quickly
    def both(x):
        cols = purecnn.im2col(x, window, **options)
        c = jnp.cos(jnp.arange(cols.size, dtype=cols.dtype)).round(1).reshape(cols.shape) * 10
        return cols, c, purecnn.col2im(c, x.shape, window, **options)

    cols, c, back = both(x)
    expected, (x_bar,) = loops.im2col(np.asarray(c), np.asarray(x), window, **options)
    np.testing.assert_array_equal(cols, expected)
    np.testing.assert_allclose(back, x_bar, rtol=1e-5, atol=1e-4)
    assert abs(np.vdot(cols, c) - np.vdot(x, back)) <= 1e-4 * (1 + np.abs(c).sum())


@given(geometries(), st.integers(1, 2))
def test_shapes_are_those_of_lax(geometry, channels):
    extent, window, options = geometry
    x = jax.ShapeDtypeStruct((1, *extent, channels), jnp.float32)
    for subject in (MAX_POOL.variant("shape", window=window, **options), CONV.variant("shape", groups=1, **options)):
        args = (
            (x,) if subject.rule is purecnn.max_pool2d else (x, jax.ShapeDtypeStruct((*window, channels, 2), x.dtype))
        )
        assert jax.eval_shape(subject.call, *args) == jax.eval_shape(subject.plainly, *args)
