import jax
import jax.numpy as jnp
import numpy as np

from purecnn.geometry import window_dims
from purecnn.offsets import no_offset, pad_from_offset, read_axis, read_offsets, sum_over_windows
from tests.oracles import loops
from verify.running import quickly

OPTIONS = {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 2)}


def test_an_offset_reads_what_the_loops_say_and_padding_as_fill():
    x = jnp.arange(1 * 4 * 4 * 1.0).reshape(1, 4, 4, 1)
    window = window_dims("test", x.shape, (2, 2), **OPTIONS)
    positions = loops.windows(x.shape, (2, 2), **OPTIONS)
    seen = list(quickly(lambda x: list(read_offsets(x, window, fill=-1.0)))(x))
    for offset, values in enumerate(seen):
        for (o, p), entries in positions.items():
            at = entries[offset][1]
            assert values[0, o, p, 0] == (-1 if at is None else x[0, *at, 0])


def test_writing_is_the_adjoint_of_reading():
    x = jnp.zeros((2, 5, 4, 3))
    window = window_dims("test", x.shape, (2, 2), **OPTIONS)
    shape = (2, *window.output, 3)
    cotangents = [jnp.asarray(np.random.default_rng(i).integers(-3, 4, shape), x.dtype) for i in range(4)]

    @quickly
    def both(cotangents):
        read = jax.vjp(lambda x: list(read_offsets(x, window)), x)[1]
        return read(cotangents)[0], sum(
            pad_from_offset(c, window, t) for c, t in zip(cotangents, window.offsets(), strict=True)
        )

    expected, got = both(cotangents)
    np.testing.assert_array_equal(got, expected)


def test_one_axis_after_the_other_reads_what_all_offsets_do():
    window = window_dims("test", (2, 7, 9, 3), (2, 3), stride=(2, 1), padding=((1, 0), (0, 2)), dilation=(3, 2))
    x = np.random.default_rng(0).integers(-9, 9, (2, 7, 9, 3)).astype("float32")
    padded = np.pad(x, ((0, 0), *window.padding, (0, 0)))
    columns = read_axis(jnp.asarray(padded), window, 1, at=2, along=3)
    np.testing.assert_array_equal(
        read_axis(columns, window, 0, at=1, along=3), np.concatenate(list(read_offsets(jnp.asarray(x), window)), axis=3)
    )


def test_a_dilated_window_is_gathered_at_no_more_shifts_than_it_has_offsets():
    terms = []

    def term(offset, y_bar):
        terms.append(offset)
        return jnp.where(offset == no_offset(window), 0, y_bar)

    for stride, shifts in (((1, 1), 9), ((2, 3), 3)):
        window = window_dims("test", (1, 9, 9, 1), (3, 3), stride=stride, dilation=(4, 1))
        terms.clear()
        quickly(lambda y_bar, window=window: sum_over_windows(window, term, y_bar))(jnp.ones((1, *window.output, 1)))
        assert len(terms) == shifts
