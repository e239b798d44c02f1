import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import purecnn
from tests import faulty_rules
from tests.catalogue import TRANSPOSED, check_vjp
from tests.oracles.agreement import ORACLES, assert_cotangents, assert_rejected, assert_variants
from verify.running import quickly


def test_the_rule_is_right():
    check_vjp(purecnn.conv_transpose2d)


POINT = TRANSPOSED.variant("1x1", stride=1, padding="VALID", dilation=1, groups=1, output_padding=0)


def whole(*shapes):
    rng = np.random.default_rng(0)
    return [rng.integers(-3, 4, shape).astype(float) for shape in shapes]


@st.composite
def geometries(draw):
    """x's shape, w's and options such that something is left of y."""
    extent, size, options = [], [], {"stride": [], "dilation": [], "output_padding": [], "padding": []}
    for _ in range(2):
        extent.append(draw(st.integers(1, 4)))
        size.append(draw(st.integers(1, 3)))
        options["stride"].append(draw(st.integers(1, 3)))
        options["dilation"].append(draw(st.integers(1, 3)))
        below = max(options["stride"][-1], options["dilation"][-1])
        options["output_padding"].append(draw(st.integers(0, below - 1)))
        room = options["stride"][-1] * (extent[-1] - 1) + options["dilation"][-1] * (size[-1] - 1)
        low = draw(st.integers(0, min(room, 2)))
        options["padding"].append((low, draw(st.integers(0, min(room - low, 2)))))
    if draw(st.booleans()):
        options |= {"padding": "SAME", "output_padding": 0}
    groups, inputs, outputs = (draw(st.integers(1, 2)) for _ in range(3))
    return (2, *extent, groups * inputs), (*size, outputs, groups * inputs), {**options, "groups": groups}


@given(geometries())
def test_any_geometry_is_exact_on_integers(geometry):
    x_shape, w_shape, options = geometry
    args = whole(x_shape, w_shape, (w_shape[2] * options["groups"],))
    assert_variants([POINT.variant("any geometry", algorithm="xla", **options)], args, tolerance=0)


@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    [
        ((1, 1, 1, 1), (1, 1, 1, 1), {}),
        ((2, 2, 3, 2), (1, 2, 3, 2), {"stride": 3}),  # copies with zeros between them
        ((2, 3, 3, 3), (3, 3, 1, 3), {"groups": 3, "stride": 2, "padding": 1}),  # depthwise
        ((1, 2, 2, 1), (2, 2, 2, 1), {"stride": 3, "output_padding": 2}),  # rows that no copy reaches
        ((1, 2, 3, 1), (2, 2, 2, 1), {"dilation": (3, 4), "output_padding": (2, 3)}),  # as many as strides, and more
        ((1, 2, 3, 1), (2, 2, 2, 1), {"dilation": 4, "stride": 2, "output_padding": 3, "padding": ((1, 2), (0, 3))}),
        ((0, 3, 3, 2), (2, 2, 1, 2), {}),
    ],
    ids=["1x1x1", "zeros between", "depthwise", "beyond the copies", "beyond the stride", "and cut", "no sample"],
)
def test_edges_of_the_geometry(shape, kernel, options):
    args = whole(shape, kernel, (kernel[2] * options.get("groups", 1),))
    assert_cotangents(POINT.variant("edge", algorithm="auto", **options), args, oracles=ORACLES[:2], integers=True)


@pytest.mark.parametrize(("algorithm", "groups"), [("im2col", 1), ("depthwise", 3)])
def test_a_kernel_with_all_three_equations_gives_the_same_numbers(algorithm, groups):
    outputs = 2 if groups == 1 else 1
    args = whole((2, 4, 5, 3), (3, 3, outputs, 3), (outputs * groups,))
    subject = POINT.variant("kernel", algorithm=algorithm, groups=groups, padding=((1, 0), (2, 1)))
    assert_cotangents(subject, args, oracles=ORACLES[:2], tolerance=1e-13)


def test_it_is_the_adjoint_of_the_convolution_with_its_kernel():
    """⟨conv2d(u, w), x⟩ = ⟨u, conv_transpose2d(x, w)⟩, for each of the heights that the stride takes to one."""
    for extra in range(3):
        u, w, x = (jnp.asarray(a, "float32") for a in whole((2, 7 + extra, 4, 3), (3, 2, 3, 5), (2, 3, 3, 5)))
        sizes = {"stride": (3, 1), "padding": ((1, 1), (0, 0))}
        there = purecnn.conv2d(u, w, **sizes)
        back = purecnn.conv_transpose2d(x, w, output_padding=(extra, 0), **sizes)
        assert (there.shape, back.shape) == (x.shape, u.shape)
        assert jnp.vdot(there, x) == jnp.vdot(u, back)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_same_gives_the_stride_times_the_rows(stride, kernel):
    x, w = jnp.ones((1, 3, 2, 1)), jnp.ones((kernel, kernel, 1, 1))
    same = {"stride": stride, "padding": "SAME"}
    y = jax.eval_shape(lambda x, w: purecnn.conv_transpose2d(x, w, **same), x, w)
    assert y.shape == (1, 3 * stride, 2 * stride, 1)
    assert jax.eval_shape(lambda y, w: purecnn.conv2d(y, w, **same), y, w).shape == x.shape


def test_sixteen_bit_sums_accumulate_in_float32():
    """More ones than the dtype can count: over channels in y, over output channels in x̄, over positions in w̄ and b̄."""
    dtype, terms = "bfloat16", 512
    x, w, b = jnp.ones((1, 1, 1, terms), dtype), jnp.ones((1, 1, 1, terms), dtype), jnp.zeros(1, dtype)
    assert jax.jit(purecnn.conv_transpose2d)(x, w, b) == terms
    x, w = jnp.ones((1, terms, 1, 1), dtype), jnp.ones((1, 1, terms, 1), dtype)
    _, w_bar, b_bar = POINT.backward(x, w[:, :, :1], b, algorithm="auto")
    x_bar, _, _ = POINT.backward(x[:, :1], w, jnp.zeros(terms, dtype), algorithm="auto")
    assert (x_bar == terms).all()
    assert (w_bar == terms).all()
    assert (b_bar == terms).all()


def test_keeps_its_arguments_and_nothing_else():
    x, w, b = TRANSPOSED.arguments("float32")
    _, residuals = purecnn.conv_transpose2d_fwd(x, w, b, **TRANSPOSED.options)
    assert [r is a for r, a in zip(residuals, (x, w, b), strict=True)] == [True] * 3


def test_vmap_over_kernels_is_an_ensemble():
    x, w, _ = TRANSPOSED.arguments("float32")
    kernels = jnp.stack([w, 2 * w])

    @quickly
    def both(kernels):
        slope = jax.grad(lambda w: (purecnn.conv_transpose2d(x, w, stride=2, groups=2) ** 2).sum())
        return jax.vmap(slope)(kernels), jnp.stack([slope(w) for w in kernels])

    together, alone = both(kernels)
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("users_errors")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"w": (3, 3, 2, 5)}, "w: got shape (3, 3, 2, 5), expected 4 on its last axis, the channels of x"),
        ({"b": (3,)}, "b: got shape (3,), expected (2,) (one per output channel)"),
        ({"groups": 3}, "groups: got 3, expected a divisor of the 4 channels of x"),
        ({"output_padding": 2, "stride": 2}, "output_padding: got (2, 2), expected below the stride, (2, 2), or"),
        (
            {"output_padding": (0, 3), "dilation": (4, 3)},
            "output_padding: got (0, 3), expected below the stride, (1, 1), or the dilation, (4, 3)",
        ),
        ({"output_padding": -1}, "output_padding: got -1, expected at least 0"),
        (
            {"output_padding": 1, "stride": 2, "padding": "SAME"},
            'output_padding: got (1, 1), expected 0 beside padding="SAME"',
        ),
        ({"padding": 3}, "padding: got 3, which leaves (-1, -1) of y"),
        ({"padding": "FULL"}, "padding: got 'FULL'"),
        ({"algorithm": "winograd", "stride": 2}, "algorithm: got 'winograd', expected one that covers"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_errors_name_layer_and_argument(options, message):
    shapes = {"w": (3, 3, 2, 4), "b": (2,)}
    x, w, b = jnp.ones((2, 3, 3, 4)), *(jnp.ones(options.get(name, shape)) for name, shape in shapes.items())
    with pytest.raises(ValueError, match="^" + re.escape(f"conv_transpose2d: {message}")):
        purecnn.conv_transpose2d(x, w, b, **{k: v for k, v in options.items() if k not in shapes})


def kernel_flipped(residuals, y_bar, **options):
    """x̄ by the flipped kernel: as if y were a convolution."""
    x, w, b = residuals
    _, w_bar, b_bar = purecnn.conv_transpose2d_bwd(residuals, y_bar, **options)
    return purecnn.conv_transpose2d_bwd((x, w[::-1, ::-1], b), y_bar, **options)[0], w_bar, b_bar


def weights_of_the_convolution(residuals, y_bar, **options):
    """w̄ flipped on both axes, as of a convolution by an unflipped kernel of x with zeros between its entries."""
    x_bar, w_bar, b_bar = purecnn.conv_transpose2d_bwd(residuals, y_bar, **options)
    return x_bar, w_bar[::-1, ::-1], b_bar


def groups_swapped(residuals, y_bar, **options):
    return purecnn.conv_transpose2d_bwd(residuals, jnp.roll(y_bar, 3, axis=3), **options)


def bias_summed_over_what_the_copies_reach(residuals, y_bar, **options):
    """b is added to the rows of output_padding as well."""
    x_bar, w_bar, _ = purecnn.conv_transpose2d_bwd(residuals, y_bar, **options)
    return x_bar, w_bar, y_bar[:, :-1].sum(axis=(0, 1, 2))


@pytest.mark.parametrize(
    "faulty",
    [
        kernel_flipped,
        weights_of_the_convolution,
        groups_swapped,
        bias_summed_over_what_the_copies_reach,
        faulty_rules.cotangent_ignored(TRANSPOSED),
        faulty_rules.as_if(TRANSPOSED, padding=((0, 1), (2, 0))),
        faulty_rules.first_sample_only(TRANSPOSED, 1),
        faulty_rules.mean_over_batch(TRANSPOSED, 2),
    ],
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(TRANSPOSED, faulty)
