import pytest

from purecnn.geometry import conv_dims
from purecnn.kernels import conv_banded


@pytest.mark.parametrize(("in_channels", "out_channels", "block"), [(1, 6, 4), (16, 2, 4), (6, 16, 2), (16, 3, 2)])
def test_the_fewer_numbers_the_larger_the_block(in_channels, out_channels, block):
    dims = conv_dims("test", (1, 9, 9, in_channels), (3, 3, in_channels, out_channels))
    assert conv_banded._block(dims) == block


@pytest.mark.parametrize("channels", [1, 9], ids=["blocks of 4", "blocks of 2"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize(("extent", "size"), [(4, 1), (5, 2), (5, 3), (12, 3)])
def test_a_block_of_outputs_reads_as_many_blocks_of_the_input_as_it_must(channels, stride, dilation, extent, size):
    options = {"stride": stride, "padding": ((0, 0), (2, 3)), "dilation": dilation}
    dims = conv_dims("test", (1, 1, extent, channels), (1, size, channels, 4), **options)
    over, block = conv_banded._to_depth(dims), conv_banded._block(dims)
    columns = [[stride * p + dilation * j for j in range(size)] for p in range(dims.output[1])]
    read = {column // (stride * block) - p // block for p, row in enumerate(columns) for column in row}
    assert min(read) == 0
    assert max(read) < over.size[1]
    if len(columns) >= block:
        assert max(read) == over.size[1] - 1
    assert over.output[1] == -(-len(columns) // block)
    assert over.input[1] == over.output[1] + over.size[1] - 1
