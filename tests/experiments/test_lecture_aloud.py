"""The script to read aloud from says what was committed, and no gradient in it is wrong."""

import re
from pathlib import Path

import jax
import pytest

from experiments.lecture import descent
from experiments.lecture.run import TOLERANCE, main

pytestmark = pytest.mark.usefixtures("little_compilation")

COMMITTED = Path(__file__).parents[2] / "experiments" / "lecture" / "results" / "transcript.txt"


@pytest.fixture(autouse=True)
def as_written():
    """The plain network that is compared with adds biases as NumPy does."""
    with jax.numpy_rank_promotion("allow"):
        yield


def without_last_digits(text):
    """Another processor rounds otherwise, and may need a round more or less to converge."""
    return re.sub(r"[+-]?\d+\.\d+|\d+e-\d+|round +\d+", "number", text)


@pytest.mark.slow
def test_it_says_what_the_transcript_says_and_every_gradient_is_right(tmp_path):
    assert main(["--quick", "--out", str(tmp_path)]) <= TOLERANCE
    said = (tmp_path / "transcript.txt").read_text(encoding="utf-8")
    assert without_last_digits(said) == without_last_digits(COMMITTED.read_text(encoding="utf-8"))
    assert said.count("apart") == 6 + 11 + 8
    assert "Every gradient agrees" in said


def test_a_wrong_gradient_is_noticed(monkeypatch):
    def forgets_a_factor(*args):
        forward, gradient = right(*args)
        return forward, gradient | {"dLdw1": gradient["dLdw1"] / 2}

    right = descent.sample
    monkeypatch.setattr(descent, "sample", forgets_a_factor)
    assert descent.narrate()[1] > TOLERANCE


def test_the_loop_converges_to_exclusive_or():
    w, losses = descent.descend(descent.start())
    assert 10 < len(losses) < descent.LONGEST
    assert (descent.sample(w, descent.X, descent.Y)[0]["f2"].round() == descent.Y).all()
