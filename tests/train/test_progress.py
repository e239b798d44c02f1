"""The bar of a run on terminals of several widths."""

import io

import pytest
from rich.console import Console

from purecnn.train.progress import progress_bar


@pytest.mark.parametrize(("width", "rate"), [(40, False), (69, False), (70, True), (100, True)])
def test_the_bar_fits_with_the_steps_and_the_time_left_and_room_for_what_ctrl_c_writes(width, rate):
    console = Console(force_terminal=True, record=True, width=width, file=io.StringIO())
    with progress_bar(console, 2460) as (advance, _):
        advance(2050, loss=0.0562, images_per_second=13630.0)
    line = console.export_text().rpartition("step ")[2].strip()  # the last time that it was drawn
    assert line.startswith("2050/2460 ")
    assert "loss 0.0562" in line
    assert ":" in line.split()[-1]  # the time that is left
    assert ("13,630 images/s" in line) == rate
    assert "…" not in line
    assert len("step " + line) <= width - len("^C")
