import pytest

from purecnn.geometry import window2d
from purecnn.layers import convolution_choice as choice

PLACES = window2d("conv2d", (1, 14, 14, 1), 3, padding="SAME")
EQUATIONS = (choice.forward, choice.input_cotangent, choice.weight_cotangent)


@pytest.mark.parametrize(
    ("channels", "outputs", "groups", "forward", "inputs", "weights"),
    [
        (1, 6, 1, "blocks", "blocks", "blocks"),  # LeNet's two
        (6, 16, 1, "blocks", "blocks", "chunks"),
        (16, 16, 1, "blocks", "blocks", "chunks"),
        (16, 32, 1, "direct", "direct", "chunks"),
        (1, 32, 1, "direct", "direct", "chunks"),
        (3, 32, 1, "even", "direct", "chunks"),  # colour images
        (3, 64, 1, "direct", "direct", "chunks"),
        (64, 64, 1, "direct", "direct", "chunks"),
        (4, 16, 2, "direct", "direct", "chunks"),
        (96, 256, 1, "winograd", "winograd", "winograd"),  # AlexNet's second
        (96, 256, 2, "direct", "direct", "chunks"),
    ],
)
def test_auto_on_a_cpu_and_elsewhere(channels, outputs, groups, forward, inputs, weights):
    taken = [equation("auto", PLACES, channels, outputs, groups) for equation in EQUATIONS]
    assert taken == [(forward, "direct"), (inputs, "direct"), (weights, "exchanged")]


@pytest.mark.parametrize(("size", "options"), [(3, {"stride": 2}), (1, {}), ((1, 3), {}), (7, {}), (13, {})])
def test_auto_does_without_tiles_where_they_save_too_little_or_do_not_fit(size, options):
    places = window2d("conv2d", (1, 14, 14, 1), size, **options)
    assert choice.forward("auto", places, 384, 384, 1) == ("direct", "direct")


@pytest.mark.parametrize("algorithm", ["direct", "im2col", "blocks", "winograd"])
def test_what_is_asked_for_is_taken_everywhere(algorithm):
    forward, inputs, weights = (equation(algorithm, PLACES, 64, 64, 1) for equation in EQUATIONS)
    assert forward == inputs == weights == (algorithm, algorithm)


def test_what_a_form_does_not_know_is_direct():
    strides = window2d("conv2d", (1, 14, 14, 1), 3, stride=2)
    for equation in EQUATIONS:
        assert equation("blocks", PLACES, 4, 4, 2) == ("direct", "direct")
        assert equation("winograd", PLACES, 4, 4, 2) == ("direct", "direct")
        assert equation("winograd", strides, 4, 4, 1) == ("direct", "direct")


def test_a_stride_of_two_leaves_blocks_to_y_of_few_channels():
    strides = window2d("conv2d", (1, 14, 14, 1), 3, stride=2)
    taken = [equation("auto", strides, 1, 16, 1)[0] for equation in EQUATIONS]
    assert taken == ["blocks", "direct", "chunks"]
    assert choice.forward("auto", strides, 8, 16, 1)[0] == "direct"
    assert choice.input_cotangent("blocks", strides, 1, 16, 1) == ("direct", "direct")  # which blocks do not know
