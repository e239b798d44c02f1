from experiments.benchmark import phases


def test_slow_rounds_are_told_from_fast_ones():
    rounds = [
        {phases.PRODUCT: product, "a copy": 2.0, "a step": step} for product, step in ((1.0, 4.0), (1.2, 6.0)) * 6
    ]
    _, _, first, second, *_, ratios = phases.rows(rounds)
    assert (first, second) == ("| 1 | 1.00 | 2.00 | 4.00 |", "| 2 (slow) | 1.20 | 2.00 | 6.00 |")
    assert ratios == "| slow, of fast | 1.20 | 1.00 | 1.50 |"
    assert "slow" not in "".join(phases.rows(rounds[::2]))


def test_every_kind_of_work_has_a_turn_in_a_round():
    (one,) = phases.rounds_of(dict.fromkeys(("a", "b"), lambda: None), 1, pause_s=0.0)
    assert list(one) == ["a", "b"]
    assert min(one.values()) > 0
