import itertools

import pytest

from purecnn.geometry import conv_dims, integer, pair, window_dims
from tests.oracles import loops

SIZES = list(itertools.product((1, 4, 5), (1, 2, 3), (1, 2, 3), (1, 2)))  # extent, size, stride, dilation


def rows(extent, size, stride, dilation, padding):
    return window_dims(
        "test", (1, extent, 1, 1), (size, 1), stride=(stride, 1), padding=padding, dilation=(dilation, 1)
    )


@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 0), (0, 0)), ((0, 2), (0, 0)), ((2, 3), (0, 0))])
def test_offsets_read_the_rows_that_counting_gives(padding):
    """Slices of the padded input, against the windows laid down one after the other."""
    for extent, size, stride, dilation in SIZES:
        expected = loops.reads(extent, size, stride, dilation, padding[0])
        if not expected:
            with pytest.raises(ValueError, match="test: window: got size"):
                rows(extent, size, stride, dilation, padding)
            continue
        window = rows(extent, size, stride, dilation, padding)
        assert window.output == (len(expected), 1)
        for i in range(size):
            start, limit, step = (numbers[1] for numbers in window.offset_slice((i, 0), 1, 1))
            seen = [row - padding[0][0] for row in range(start, limit, step)]
            assert [row if 0 <= row < extent else None for row in seen] == [row_reads[i] for row_reads in expected]


def test_offset_pad_is_where_every_row_was_read():
    """low + o·stride is the input row that output row o read, and the whole has the input's height."""
    for (extent, size, stride, dilation), padding in itertools.product(SIZES, [((0, 0), (0, 0)), ((2, 3), (0, 0))]):
        expected = loops.reads(extent, size, stride, dilation, padding[0])
        if not expected:
            continue
        window = rows(extent, size, stride, dilation, padding)
        for i in range(size):
            low, high, interior = window.offset_pad((i, 0))[1]
            assert low + (len(expected) - 1) * (interior + 1) + 1 + high == extent
            for o, row_reads in enumerate(expected):
                row = low + o * (interior + 1)
                assert (row if 0 <= row < extent else None) == row_reads[i]


def test_the_transposed_convolution_reads_the_outputs_that_read_a_row():
    """At stride 1: row h at offset k − 1 − i is output o, if output o at offset i is row h."""
    for (extent, size, stride, dilation), edges in itertools.product(SIZES, [(0, 0), (2, 3)]):
        reads = loops.reads(extent, size, stride, dilation, edges)
        if stride != 1 or not reads:
            continue
        options = {"dilation": (dilation, 1), "padding": (edges, (0, 0))}
        transposed = conv_dims("test", (1, extent, 1, 2), (size, 1, 2, 3), **options).transposed()
        assert (transposed.in_channels, transposed.out_channels) == (3, 2)
        back = loops.reads(len(reads), size, 1, dilation, transposed.padding[0])
        assert transposed.output[0] == len(back) == extent
        for h, outputs in enumerate(back):
            saw = {(o, size - 1 - i) for o, seen in enumerate(reads) for i, row in enumerate(seen) if row == h}
            assert {(o, i) for i, o in enumerate(outputs) if o is not None} == saw


def test_same_is_the_least_padding_for_enough_outputs():
    for extent, size, stride, dilation in SIZES:
        window = rows(extent, size, stride, dilation, "SAME")
        assert window.padding[0] == loops.same_edges(extent, size, stride, dilation)
        assert window.output[0] == -(-extent // stride)


def test_inside_are_the_rows_that_counting_gives_but_for_the_padding():
    for (extent, size, stride, dilation), edges in itertools.product(SIZES, [(0, 0), (1, 0), (2, 3), (7, 7)]):
        expected = loops.reads(extent, size, stride, dilation, edges)
        for i in range(size if expected else 0):
            read, by = rows(extent, size, stride, dilation, (edges, (0, 0))).inside(0, i)
            pairs = list(zip(range(extent)[read], range(len(expected))[by], strict=True))
            assert pairs == [(r[i], o) for o, r in enumerate(expected) if r[i] is not None]


@pytest.mark.parametrize(
    ("given", "edges"),
    [
        ("VALID", ((0, 0), (0, 0))),
        (2, ((2, 2), (2, 2))),
        (((1, 2), (3, 4)), ((1, 2), (3, 4))),
    ],
)
def test_every_way_to_write_padding(given, edges):
    assert window_dims("test", (1, 9, 9, 1), 3, padding=given).padding == edges


def test_a_pair_is_rows_then_columns():
    assert pair("test", "size", 3) == (3, 3)
    assert pair("test", "size", [2, 3]) == (2, 3)
    window = window_dims("test", (7, 5, 6, 2), (2, 3), stride=(1, 2), dilation=(2, 1))
    assert (window.input, window.output) == ((5, 6), (3, 2))
    assert list(window.offsets()) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


@pytest.mark.parametrize("value", [True, 1.0, "3", None])
def test_only_integers_count(value):
    with pytest.raises(TypeError, match=r"test: stride: got .*, expected an integer"):
        integer("test", "stride", value, 1)


def test_integers_have_a_least_value():
    with pytest.raises(ValueError, match="test: stride: got 0, expected at least 1"):
        pair("test", "stride", (1, 0))


def test_the_correlation_padding_ends_on_the_last_entry_that_is_read():
    """ȳ, dilated by the stride, fits under the padded input at as many positions as the kernel has offsets."""
    for (extent, size, stride, dilation), edges in itertools.product(SIZES, [(0, 0), (2, 3)]):
        reads = loops.reads(extent, size, stride, dilation, edges)
        if not reads:
            continue
        options = {"stride": (stride, 1), "dilation": (dilation, 1), "padding": (edges, (0, 0))}
        dims = conv_dims("test", (1, extent, 1, 1), (size, 1, 1, 1), **options)
        (low, high), _ = dims.correlation_padding
        assert low == edges[0]
        assert (low + extent + high - stride * (len(reads) - 1) - 1) // dilation + 1 == size


def test_a_convolution_has_the_channels_of_its_groups():
    dims = conv_dims("test", (7, 5, 6, 4), (2, 3, 2, 6), groups=2)
    assert (dims.batch, dims.in_channels, dims.out_channels, dims.groups) == (7, 4, 6, 2)
    with pytest.raises(
        ValueError, match="test: groups: got 3, expected a divisor of the 4 input and 6 output channels"
    ):
        conv_dims("test", (7, 5, 6, 4), (2, 3, 2, 6), groups=3)
    with pytest.raises(ValueError, match=r"test: w: got shape \(2, 3, 2, 6\), expected 4 input channels"):
        conv_dims("test", (7, 5, 6, 4), (2, 3, 2, 6))
