"""One input of every kind; `experiments/hostile_data` runs five of each, the bombs too, and watches the memory."""

import numpy as np
import pytest

from purecnn.data.readers import read
from tests.data.hostile import KINDS, intact


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "bomb" not in kind])
def test_it_is_refused_in_one_line_that_names_the_file_and_nothing_is_written(tmp_path, kind):
    made = KINDS[kind](tmp_path / "data", np.random.default_rng(11))
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(ValueError, match=": ") as caught:
        read(made.data, str(made.path), **made.options)
    message = str(caught.value)
    assert message.startswith(str(made.path))
    assert made.culprit in message
    assert "\n" not in message
    assert message.isprintable()
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_without_the_fault_they_are_read(tmp_path):
    for made in intact(tmp_path):
        assert len(read(made.data, str(made.path)).test) > 0
