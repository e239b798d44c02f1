import math

import pytest

from purecnn.train.stopping import Diverged, converged, require_finite


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
def test_the_first_step_with_a_loss_that_is_no_number_is_named(bad):
    with pytest.raises(Diverged, match=f"the loss became {bad} at step 12") as caught:
        require_finite([1.0, 2.0, bad, 3.0, math.nan], first_step=10)
    assert caught.value.step == 12


def test_finite_losses_pass():
    require_finite([0.0, -1.0, 1e38], first_step=1)
