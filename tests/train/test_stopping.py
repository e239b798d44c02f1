import math
import os

import numpy as np
import pytest

from purecnn.data.dataset import Dataset, Split
from purecnn.data.files import open_files
from purecnn.train.config import Config
from purecnn.train.stopping import (
    Diverged,
    best_line,
    converged,
    how_to_go_on,
    how_to_mend,
    reason_to_stop,
    require_finite,
    untrained,
)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([], False),
        ([1.0, 1.0], False),  # only as many as the patience: nothing before them to compare with
        ([1.0, 1.0, 1.0], True),
        ([1.0, 0.5, 0.25, 0.125], False),  # still falling
        ([1.0, 0.995, 0.991], True),  # falling by less than 1 %
        ([1.0, 0.995, 0.989], False),  # by more than 1 %, over the two epochs together
        ([1.0, 0.99], False),
        ([1.0, 0.2, 5.0, 0.3], True),  # not below the best before, however noisy
        ([1.0, 0.2, 5.0, 0.1], False),
        ([0.0, 0.0, 0.0], True),  # nothing left to gain
    ],
)
def test_converged_with_a_patience_of_two_and_one_percent(losses, expected):
    assert converged(losses, patience=2, tolerance=0.01) is expected


def test_exactly_the_tolerance_is_no_progress():
    assert converged([1.0, 0.75], patience=1, tolerance=0.25)
    assert not converged([1.0, 0.7499], patience=1, tolerance=0.25)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_step_with_a_non_finite_loss_is_named(bad):
    with pytest.raises(Diverged, match=f"the loss became {bad} at step 12") as caught:
        require_finite([1.0, 2.0, bad, 3.0, math.nan], first_step=10)
    assert caught.value.step == 12


def test_finite_losses_pass():
    require_finite([0.0, -1.0, 1e38], first_step=1)


def lines(train, test):
    return [{"train_loss": a, "val_loss": b} for a, b in zip(train, test, strict=True)]


def test_a_run_stops_at_its_last_epoch_or_for_the_reason_it_was_told_to_look_for():
    falling, still = [4.0, 3.0, 2.0, 1.0], [4.0, 3.0, 3.0, 3.0]
    rules = {"patience": 2, "tolerance": 0.01, "epochs": 9}
    never, settle = Config(**rules), Config(until_converged=True, **rules)
    early = Config(early_stopping=True, **rules)
    assert reason_to_stop([], never) == ""
    assert reason_to_stop(lines(still, still), never) == ""
    assert reason_to_stop(lines(still, falling), settle).startswith("converged: 2 epochs")
    assert reason_to_stop(lines(falling, still), settle) == ""
    assert reason_to_stop(lines(falling, still), early).startswith("stopped early: 2 epochs")
    assert reason_to_stop(lines(still, falling), early) == ""
    assert reason_to_stop(lines(falling, falling), Config(epochs=4)) == "all epochs are done"


def test_the_best_epoch_has_the_highest_accuracy_of_equal_ones_the_lowest_loss_then_it_is_the_first():
    measured = enumerate([(0.5, 1), (0.9, 3), (0.9, 2), (0.9, 2)])
    lines = [{"epoch": n, "val_accuracy": accuracy, "val_loss": loss} for n, (accuracy, loss) in measured]
    assert best_line(lines)["epoch"] == 2
    assert best_line(lines[:2])["epoch"] == 1
    assert best_line([{"epoch": 1}, {"epoch": 2}])["epoch"] == 2  # nothing validates
    assert best_line([]) == {"epoch": 0}


def test_what_resumes_a_run_that_is_over_is_said():
    still = lines([1.0] * 4, [1.0] * 4)
    assert how_to_go_on(still, Config(epochs=4)) == "more epochs go on with it"
    assert how_to_go_on(still, Config(epochs=9, early_stopping=True)) == "a larger patience goes on with it"


def test_images_that_are_all_predicted_as_one_class_are_told():
    labels, one = np.arange(20) % 2, np.ones(20, int)
    assert untrained(one, labels, ("cat", "dog")).startswith("all 20 images are predicted as dog: more epochs, or a")
    assert untrained(labels, labels, ("cat", "dog")) == ""
    badly = untrained(np.arange(20) // 2 % 2, labels, ("cat", "dog"))
    assert badly.startswith("no more of the 20 images are right than if all were called cat: more epochs, or a")
    assert untrained(one, one, ("cat", "dog")) == ""  # they are all dogs
    assert untrained(one[:9], labels[:9], ("cat", "dog")) == ""


def test_what_to_do_about_an_image_that_can_be_read_no_longer_is_told(tmp_path):
    held = Split(open_files(tmp_path, [str(tmp_path / "a.png")], (2, 2, 3)), np.zeros(1, np.int32))
    data = Dataset("pets", held, None, ("cat", "dog"))
    assert how_to_mend("a.png: there is no such file", data).startswith("put an image there")
    assert how_to_mend(f"a.png: {os.strerror(13)}", data).startswith("make it readable")
    tmp_path.rmdir()
    assert how_to_mend("a.png: there is no such file", data).startswith(f"{tmp_path} is there no longer; put it back, ")
