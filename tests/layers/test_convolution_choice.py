import pytest

from purecnn.layers import convolution_choice as choice


@pytest.mark.parametrize(
    ("channels", "outputs", "groups", "forward", "weights"),
    [
        (1, 6, 1, "blocks", "blocks"),  # LeNet's two
        (6, 16, 1, "blocks", "blocks"),
        (1, 32, 1, "direct", "blocks"),
        (3, 32, 1, "direct", "chunks"),
        (64, 64, 1, "direct", "chunks"),
        (4, 16, 2, "direct", "chunks"),
    ],
)
def test_auto_on_a_cpu_and_elsewhere(channels, outputs, groups, forward, weights):
    assert choice.forward("auto", channels, outputs, groups) == (forward, "direct")
    assert choice.weight_cotangent("auto", channels, outputs, groups) == (weights, "exchanged")


@pytest.mark.parametrize("algorithm", ["direct", "im2col", "blocks"])
def test_what_is_asked_for_is_taken_everywhere(algorithm):
    assert choice.forward(algorithm, 64, 64, 1) == (algorithm, algorithm)
    assert choice.weight_cotangent(algorithm, 64, 64, 1) == (algorithm, algorithm)


def test_blocks_know_nothing_of_groups():
    assert choice.forward("blocks", 4, 4, 2) == choice.weight_cotangent("blocks", 4, 4, 2) == ("direct", "direct")
