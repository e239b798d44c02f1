"""Every kernel is the page, on every geometry that it claims: exactly, on integers, and so are the NumPy loops.

A kernel claims what `unknown` does not name; `conv_banded` has y for any stride as well. "xla" is the page.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from purecnn.geometry import conv_dims
from purecnn.kernels import conv_banded, select
from purecnn.layers import conv2d as page
from tests.oracles import loops
from tests.oracles.agreement import assert_close, assert_trees_close
from verify.running import quickly

# x, window, output channels, options
GEOMETRIES = {
    "1x1x1": ((1, 1, 1, 1), (1, 1), 1, {}),
    "1x1 kernel": ((2, 3, 4, 2), (1, 1), 3, {}),
    "window = input": ((2, 3, 4, 2), (3, 4), 3, {}),
    "same": ((2, 5, 6, 3), (3, 3), 5, {"padding": ((1, 1), (1, 1))}),
    "wide": ((2, 5, 8, 9), (3, 3), 5, {"padding": ((1, 1), (1, 1))}),
    "padding on one side more": ((2, 5, 6, 2), (3, 2), 3, {"padding": ((2, 0), (0, 1))}),
    "padded more than the kernel": ((1, 3, 4, 1), (1, 2), 2, {"padding": ((0, 2), (3, 0))}),
    "windows on nothing but padding": ((1, 2, 2, 1), (1, 1), 2, {"padding": ((2, 2), (2, 2))}),
    "an odd number of outputs in a row": ((2, 4, 12, 1), (2, 2), 5, {}),
    "dilation": ((2, 5, 9, 2), (3, 2), 3, {"padding": ((3, 0), (0, 4)), "dilation": (1, 3)}),
    "rows left over": ((1, 5, 5, 1), (2, 2), 1, {"stride": (3, 3)}),
    "stride past the window": ((2, 5, 12, 1), (1, 1), 2, {"stride": (1, 3)}),
    "stride 4 of 3 channels": ((2, 13, 13, 3), (5, 5), 4, {"stride": (4, 4), "padding": ((1, 2), (1, 2))}),
    "groups": ((4, 6, 7, 4), (3, 2), 6, {"groups": 2}),
    "groups, two of which become many": (
        (2, 4, 5, 48),
        (2, 3),
        96,
        {"groups": 24, "stride": (1, 2), "padding": ((1, 0), (0, 2)), "dilation": (2, 1)},
    ),
    "depthwise": ((2, 4, 4, 3), (3, 3), 6, {"groups": 3, "padding": ((1, 1), (1, 1)), "stride": (2, 2)}),
    "depthwise, every option": (
        (2, 7, 6, 4),
        (3, 2),
        4,
        {"groups": 4, "stride": (1, 2), "padding": ((2, 0), (0, 1)), "dilation": (2, 1)},
    ),
    "depthwise, images in chunks": ((20, 3, 4, 2), (2, 2), 2, {"groups": 2, "dilation": (1, 2), "stride": (2, 3)}),
    "every option": ((2, 6, 7, 4), (3, 2), 6, {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 2)}),
    "every option, groups": ((2, 6, 7, 4), (3, 2), 6, {"stride": (1, 2), "dilation": (2, 1), "groups": 2}),
    "no sample, depthwise": ((0, 4, 4, 2), (3, 3), 4, {"groups": 2}),
    "no sample": ((0, 4, 4, 2), (3, 3), 2, {}),
    # XLA aborts the process over the page's x̄ here, unless ops.convolution keeps it from that.
    "aborts XLA": ((2, 4, 1, 2), (2, 2), 4, {"stride": (2, 1), "padding": ((1, 1), (1, 0))}),
    "aborts XLA, kernel = output": ((2, 4, 3, 2), (2, 3), 4, {"stride": (2, 1), "padding": ((1, 1), (1, 0))}),
    "aborts XLA, kernel < output": (
        (2, 6, 6, 4),
        (2, 3),
        4,
        {"stride": (2, 4), "padding": ((1, 1), (0, 1)), "groups": 2},
    ),
}
EQUATIONS = ("forward", "input_cotangent", "weight_cotangent")
DEFAULTS = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
every_geometry = pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)


def made(geometry, numbers=None, dtype="float32"):
    """The dims, (x, w, ȳ), and y, x̄, w̄ by the loops."""
    x_shape, window, out, options = geometry
    options = DEFAULTS | options
    w_shape = (*window, x_shape[3] // options["groups"], out)
    dims = conv_dims("test", x_shape, w_shape, **options)
    rng = np.random.default_rng(0)
    numbers = numbers or (lambda shape: rng.integers(-3, 4, shape))
    x, w, y_bar = (numbers(shape).astype("float64") for shape in (x_shape, w_shape, (x_shape[0], *dims.output, out)))
    y, (x_bar, w_bar, _) = loops.conv2d(y_bar, x, w, **options)
    return (
        dims,
        tuple(jnp.asarray(a, dtype) for a in (x, w, y_bar)),
        dict(zip(EQUATIONS, (y, x_bar, w_bar), strict=True)),
    )


def results(functions, dims, x, w, y_bar):
    arguments = dict(zip(EQUATIONS, ((x, w), (y_bar, w), (x, y_bar)), strict=True))
    return quickly(lambda a: {name: function(*a[name], dims) for name, function in functions.items()})(arguments)


PAGE = {name: getattr(page, name) for name in EQUATIONS}


@every_geometry
def test_the_page_is_the_loops(geometry):
    dims, arrays, expected = made(geometry)
    assert_trees_close(results(PAGE, dims, *arrays), expected, 0)


@pytest.mark.parametrize("name", select.KERNELS)
@every_geometry
def test_a_kernel_is_the_loops_where_it_claims_to_be_and_raises_elsewhere(name, geometry):
    kernel = select.KERNELS[name]
    dims, (x, w, y_bar), expected = made(geometry)
    if kernel.unknown(dims):
        options = {key: getattr(dims, key) for key in ("stride", "padding", "dilation", "groups")}
        with pytest.raises(ValueError, match=f"algorithm: got '{name}', expected one that covers this convolution"):
            purecnn.conv2d(x, w, algorithm=name, **options)
        return
    functions = {e: getattr(kernel, e) for e in EQUATIONS if hasattr(kernel, e)}
    tolerance = 1e-5 if name == "winograd" and max(dims.size) > 3 else 0  # its 4 and 5 offsets have thirds
    got = results(functions, dims, x, w, y_bar)
    assert_trees_close(got, {e: expected[e] for e in functions}, tolerance)


STRIDED = [name for name, (*_, options) in GEOMETRIES.items() if "stride" in options and "groups" not in options]


@pytest.mark.parametrize("geometry", STRIDED)
def test_banded_has_y_of_any_stride(geometry):
    dims, arrays, expected = made(GEOMETRIES[geometry])
    got = results({"forward": conv_banded.forward}, dims, *arrays)
    assert_trees_close(got, {"forward": expected["forward"]}, 0)


def known_to(kernel):
    """A geometry that `kernel` knows; `None` stands for the page."""
    plain, depthwise = GEOMETRIES["wide"], GEOMETRIES["depthwise"]
    return plain if kernel is None or not kernel.unknown(made(plain)[0]) else depthwise


@pytest.mark.parametrize("name", ["xla", *select.KERNELS])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_result_has_the_dtype_of_the_input_and_is_rounded_once(name, dtype):
    """Against the loops in float64; in 16 bits half a unit in the last place, and a little for float32 sums."""
    rng, kernel = np.random.default_rng(1), select.KERNELS.get(name)

    def representable(shape):
        return np.asarray(jnp.asarray(rng.normal(size=shape), dtype), "float64")

    with jax.enable_x64(dtype == "float64"):
        dims, arrays, expected = made(known_to(kernel), representable, dtype)
        functions = PAGE if kernel is None else {e: getattr(kernel, e) for e in EQUATIONS if hasattr(kernel, e)}
        got = results(functions, dims, *arrays)
        for e in functions:
            assert got[e].dtype == dtype
            assert_close(got[e], expected[e], (0.51 if dtype in ("float16", "bfloat16") else 16) * jnp.finfo(dtype).eps)


@pytest.mark.parametrize("name", select.KERNELS)
def test_no_patch_matrix_is_kept_from_the_forward_pass(name):
    dims, (x, w, _), _ = made(known_to(select.KERNELS[name]))
    options = {key: getattr(dims, key) for key in ("stride", "padding", "dilation", "groups")}
    _, residuals = jax.eval_shape(lambda x, w: purecnn.conv2d_fwd(x, w, algorithm=name, **options), x, w)
    assert [r.shape for r in residuals[:2]] == [x.shape, w.shape]


@pytest.mark.parametrize("equation", EQUATIONS)
def test_a_faulty_kernel_is_noticed(equation):
    """The kernel flipped where it must not be, or not flipped where it must."""
    dims, (x, w, y_bar), expected = made(GEOMETRIES["same"])
    faulty = {
        "forward": lambda x, w, dims: PAGE["forward"](x, w[::-1], dims),
        "input_cotangent": lambda y_bar, w, dims: PAGE["input_cotangent"](y_bar, w[::-1, ::-1], dims),
        "weight_cotangent": lambda x, y_bar, dims: PAGE["weight_cotangent"](x, y_bar[:, ::-1], dims),
    }
    with pytest.raises(AssertionError):
        assert_trees_close(results({equation: faulty[equation]}, dims, x, w, y_bar), {equation: expected[equation]}, 0)
