import jax
import pytest
from jax import export

import purecnn
from purecnn.geometry import conv_dims
from purecnn.kernels import (
    conv_banded,
    conv_col2im,
    conv_depthwise,
    conv_merged_groups,
    conv_space_to_depth,
    conv_wgrad_chunked,
    conv_wgrad_grouped,
    conv_wgrad_offsets,
    conv_wgrad_pairs,
    conv_winograd,
    select,
)

IMAGE = (1, 14, 14)


def page(a, b, dims):
    """Stands for the page's function."""


@pytest.fixture
def taken(monkeypatch):
    """(in, out, groups, …) -> what "auto" takes on a CPU for each equation; None for the page."""
    monkeypatch.setattr(select, "_by_platform", lambda page, cpu, accelerator: cpu or page)

    def taken(in_channels, out_channels, groups=1, algorithm="auto", size=3, batch=1, image=IMAGE[1:], **options):
        w_shape = (size, size) if isinstance(size, int) else size
        w_shape = (*w_shape, in_channels // groups, out_channels)
        dims = conv_dims("test", (batch, *image, in_channels), w_shape, groups=groups, **options)
        equations = (select.forward, select.input_cotangent, select.weight_cotangent)
        found = [equation(algorithm, dims, page) for equation in equations]
        return [None if kernel is page else kernel for kernel in found]

    return taken


BANDED = (conv_banded.forward, conv_banded.input_cotangent)
WINOGRAD = [conv_winograd.forward, conv_winograd.input_cotangent, conv_winograd.weight_cotangent]
CHUNKED = conv_wgrad_chunked.weight_cotangent
COL2IM = [conv_col2im.forward, conv_col2im.input_cotangent, CHUNKED]


@pytest.mark.parametrize(
    ("channels", "kernels"),
    [
        ((1, 6), [*BANDED, CHUNKED]),  # LeNet's two
        ((6, 16), [*BANDED, CHUNKED]),
        ((16, 16), [*BANDED, None]),
        ((16, 32), [None, None, None]),
        ((3, 32), [conv_banded.forward, None, CHUNKED]),  # colour images
        ((3, 64), [None, None, CHUNKED]),
        ((4, 16, 2), [None, None, CHUNKED]),
        ((96, 256), WINOGRAD),  # AlexNet's second
        ((96, 256, 2), [None, None, CHUNKED]),
    ],
    ids=["1 to 6", "6 to 16", "16 to 16", "16 to 32", "3 to 32", "3 to 64", "groups", "many", "many in groups"],
)
def test_auto_on_a_cpu(taken, channels, kernels):
    assert taken(*channels, padding="SAME", batch=8) == kernels


def test_winograd_needs_many_tiles_for_the_work_on_its_kernel_and_an_image_that_the_cache_holds(taken):
    assert taken(256, 96, padding="SAME", batch=1) == [None, None, CHUNKED]
    assert taken(256, 96, padding="SAME", batch=2) == WINOGRAD
    assert taken(8192, 700, padding="SAME", batch=8) == [None, None, CHUNKED]


def test_large_kernels_at_few_positions_are_read_in_memory_order(taken):
    """The last layers of ResNets; 16 positions an image here. For y at most as many as channels, for x̄ twice."""
    assert taken(512, 512, stride=3) == taken(256, 512, stride=3) == COL2IM
    assert taken(128, 128, stride=3) == [None, COL2IM[1], CHUNKED]
    assert taken(512, 512, stride=3, batch=32)[:2] == COL2IM[:2]
    assert taken(512, 512, stride=3, batch=33)[:2] == taken(512, 512, stride=3, batch=64)[:2] == [None, COL2IM[1]]
    assert taken(512, 512, stride=3, batch=65)[:2] == [None, None]
    assert taken(512, 512, stride=3, groups=2) == taken(64, 64, stride=3) == [None, None, CHUNKED]


def test_xlas_weight_cotangent_is_taken_from_half_as_many_positions_as_channels_on(taken):
    assert taken(512, 512, stride=3, batch=16)[2] is CHUNKED
    assert taken(512, 512, stride=3, batch=17)[2] is None


def test_winograd_gives_way_where_it_saves_less_than_half_of_the_products(taken):
    """Outputs of 13×13 fill its tiles badly: 1.9 times fewer products; of 14×14 2.25."""
    assert taken(512, 512, padding=((1, 0), (1, 0)), batch=4) == [WINOGRAD[0], COL2IM[1], WINOGRAD[2]]
    assert taken(512, 512, padding=1, batch=4) == WINOGRAD


def test_x_bar_of_a_1x1_kernel_is_a_product(taken):
    assert taken(8, 16, size=1, batch=64)[1] is taken(64, 8, size=1, stride=2)[1] is COL2IM[1]
    assert taken(8, 16, size=1, groups=2)[1] is None


@pytest.mark.parametrize("batch", [1, "b"])
def test_depthwise_is_taken_on_a_cpu_but_for_a_symbolic_batch(taken, batch):
    batch = export.symbolic_shape(batch)[0] if batch == "b" else batch
    kernels = [conv_depthwise.forward, conv_depthwise.input_cotangent, conv_depthwise.weight_cotangent]
    for channels, stride in ((64, 1), (128, 2)):
        found = taken(64, channels, 64, stride=stride, batch=batch)
        assert found == (kernels if batch == 1 else [None, None, conv_wgrad_offsets.weight_cotangent])


@pytest.mark.parametrize(
    ("channels", "size", "stride", "there"),
    [
        (3, 11, 4, True),
        (3, 7, 2, True),
        (4, 3, 2, True),
        (3, 4, 4, True),
        (3, 2, 3, False),
        (3, 3, 1, False),
        (8, 3, 2, False),
    ],
)
def test_strided_images_go_to_depth_on_an_accelerator(taken, monkeypatch, channels, size, stride, there):
    monkeypatch.setattr(select, "_by_platform", lambda page, cpu, accelerator: accelerator or page)
    kernels = [conv_space_to_depth.forward, conv_space_to_depth.input_cotangent, conv_space_to_depth.weight_cotangent]
    assert taken(channels, 64, size=size, stride=stride) == (kernels if there else [None] * 3)


def test_a_stride_leaves_banded_to_y_of_few_channels(taken):
    assert taken(1, 16, stride=2) == [conv_banded.forward, None, CHUNKED]
    assert taken(8, 16, stride=2) == [None, None, CHUNKED]


@pytest.mark.parametrize(("size", "options"), [(3, {"stride": 2}), (1, {}), ((1, 3), {}), ((7, 3), {})])
def test_auto_does_without_winograd_where_it_saves_too_little_or_does_not_know(taken, size, options):
    assert taken(200, 200, size=size, **options)[::2] == [None, CHUNKED]
    assert taken(200, 200, size=size, **options)[1] is not WINOGRAD[1]


def test_large_kernels_over_few_images_of_many_channels_take_xlas_weight_cotangent(taken):
    assert taken(32, 32, size=7, batch=16) == taken(192, 192, size=7, stride=2, batch=25) == [None, None, None]
    assert taken(384, 384, size=7, stride=2)[2] is None
    for fewer in ({"size": (7, 4)}, {"size": 7, "batch": 70}, {"size": 7, "groups": 2}, {"size": 7, "dilation": 2}):
        assert taken(64, 64, **fewer)[2] is CHUNKED
    assert taken(31, 64, size=7)[2] is taken(64, 31, size=7)[2] is CHUNKED
    assert taken(32, 2048, size=5, batch=16)[2] is None  # 13 MB of ȳ
    assert taken(32, 4096, size=5, batch=16)[2] is CHUNKED


def test_small_images_of_eight_channels_or_more_take_xlas_weight_cotangent(taken):
    """Where ȳ is at most a megabyte, eight between at most 16 channels; ResNet-20's first stage and third."""
    assert taken(16, 16, batch=64, padding=1)[2] is taken(64, 64, batch=20, padding=1)[2] is None
    assert taken(8, 32, batch=2)[2] is taken(64, 64, batch=8, stride=2)[2] is None
    assert taken(32, 32, size=(1, 3), batch=4)[2] is None
    assert taken(64, 64, batch=21, padding=1)[2] is taken(16, 16, batch=1000)[2] is CHUNKED


@pytest.mark.parametrize(
    "other",
    [{"size": 1}, {"dilation": 2}, {"groups": 2}, {"batch": 1}, {"padding": 2}, {"padding": ((0, 0), (0, 3))}],
    ids=str,
)
def test_but_not_where_xlas_is_slow(taken, other):
    """A product alone, dilated, grouped, what `vmap` makes grouped, and an output that is larger than the input."""
    assert taken(32, 32, **({"batch": 8} | other))[2] is CHUNKED


def test_nor_under_large_kernels_that_make_the_output_larger(taken):
    assert taken(32, 32, size=7, batch=16, padding=3)[2] is None
    assert taken(32, 32, size=7, batch=16, padding=4)[2] is CHUNKED


def test_many_groups_have_products_where_a_cpu_has_chunks(taken, monkeypatch):
    """And where the batch is no number; a convolution for each of 64 groups nowhere."""
    (b,) = export.symbolic_shape("b")
    assert taken(64, 128, 32, batch=b)[2] is conv_wgrad_offsets.weight_cotangent
    assert taken(64, 64, 8, batch=b)[2] is None


@pytest.mark.parametrize(
    ("devices", "of_groups", "of_channels"),
    [
        (1, conv_wgrad_grouped.weight_cotangent, conv_wgrad_grouped.weight_cotangent),
        (2, conv_wgrad_offsets.weight_cotangent, conv_depthwise.weight_cotangent),
    ],
)
def test_a_gpu_takes_cudnns_convolutions_in_groups_and_w_bar_in_batch_groups_where_it_is_one(
    taken, monkeypatch, devices, of_groups, of_channels
):
    monkeypatch.setattr(select, "_by_platform", lambda page, cpu, accelerator: accelerator or page)
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    assert taken(64, 128, 32) == [None, None, of_groups]
    assert taken(64, 64, 64, stride=2) == [None, None, of_channels]
    assert taken(64, 64, 64, size=IMAGE[1], padding="SAME")[2] is conv_depthwise.weight_cotangent  # ȳ no larger than w̄
    pairs = conv_wgrad_pairs.weight_cotangent if devices == 1 else conv_depthwise.weight_cotangent
    assert taken(64, 64, 64, size=7, stride=2, padding=3)[2] is conv_depthwise.weight_cotangent  # 14×14 positions of x
    assert taken(64, 64, 64, size=7, stride=2, padding=3, image=(8, 8))[2] is pairs


@pytest.mark.parametrize("layer", [(128, 128, 32), (256, 256, 32), (192, 192, 48)])
def test_groups_of_four_to_eight_channels_are_merged_on_an_accelerator(taken, monkeypatch, layer):
    """To groups of 64; w̄ on one device alone."""
    monkeypatch.setattr(select, "_by_platform", lambda page, cpu, accelerator: accelerator or page)
    kernels = [conv_merged_groups.forward, conv_merged_groups.input_cotangent]
    assert taken(*layer) == [*kernels, conv_merged_groups.weight_cotangent]
    for other in ((64, 64, 32), (512, 512, 32), (64, 192, 16), (48, 48, 12)):  # 2, 16, 4 to 12, and 48 in all
        assert taken(*other) == [None, None, conv_wgrad_grouped.weight_cotangent]
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    assert taken(*layer) == [*kernels, conv_wgrad_offsets.weight_cotangent]


def test_where_the_batch_is_no_number_the_page_is_taken(taken):
    (b,) = export.symbolic_shape("b")
    assert taken(96, 256, batch=b) == taken(1, 6, batch=b) == [None] * 3


@pytest.mark.parametrize("algorithm", select.KERNELS)
def test_what_is_asked_for_is_taken_where_it_has_the_equation(taken, algorithm):
    kernel = select.KERNELS[algorithm]
    names = ("forward", "input_cotangent", "weight_cotangent")
    groups = {"depthwise": 64, "merged_groups": 16, "wgrad_pairs": 64}.get(algorithm, 1)
    assert taken(64, 64, groups, algorithm=algorithm, image=(8, 8)) == [getattr(kernel, name, None) for name in names]
    assert taken(64, 64, groups, algorithm="xla") == [None] * 3


@pytest.mark.parametrize(
    ("algorithm", "options", "message"),
    [
        ("banded", {"stride": 2}, "got 'banded', expected one that covers this convolution: stride 1 and 1 group"),
        ("banded", {"groups": 2}, "got 'banded', expected one that covers this convolution: stride 1 and 1 group"),
        (
            "winograd",
            {"stride": 2},
            "got 'winograd', expected one that covers .*: stride and dilation 1, 1 group, kernels",
        ),
        (
            "winograd",
            {"dilation": 2},
            "got 'winograd', expected one that covers this convolution: stride and dilation 1",
        ),
        ("winograd", {"size": (6, 1)}, "got 'winograd', expected one that covers this convolution: .* kernels to 5×5"),
    ],
)
def test_a_kernel_that_does_not_cover_the_convolution_raises(taken, algorithm, options, message):
    with pytest.raises(ValueError, match=f"conv2d: algorithm: {message}"):
        taken(4, 4, algorithm=algorithm, **options)


def test_every_algorithm_is_documented():
    assert all(f'"{name}"' in (purecnn.conv2d.__doc__ or "") for name in select.ALGORITHMS)
