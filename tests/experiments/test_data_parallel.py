"""Three ways to split a batch over devices: the gradients, the collectives, and the model of what a step costs."""

import pytest

from experiments.data_parallel.model import Link, fit
from experiments.data_parallel.run import main
from experiments.data_parallel.ways import WAYS, collectives

pytestmark = pytest.mark.usefixtures("little_compilation")


@pytest.mark.slow
def test_three_ways_one_gradient_and_the_bytes_that_must_be_summed(tmp_path):
    result = main(["--quick", "--out", str(tmp_path)])
    for way in WAYS:
        split, alone = result["4 devices"][way], result["1 devices"][way]
        assert max(split["apart"] + alone["apart"]) < 1e-5
        assert split["collectives"]["all-reduce"]["bytes"] >= result["gradient_bytes"] + 4  # the loss too
    for way in ("pmap", "shard_map"):  # nothing else goes between devices
        only = result["4 devices"][way]["collectives"]
        assert only == {"all-reduce": {"operations": 1, "arrays": 5, "bytes": result["gradient_bytes"] + 4}}
    # The compiler finds the sums by itself; no loop over chunks of the batch may have it fetch activations.
    assert result["4 devices"]["jit"]["collectives"].keys() == {"all-reduce"}
    assert result["4 devices"]["same_to_the_bit"]["pmap = shard_map"]
    assert (tmp_path / "scaling.png").stat().st_size < 100_000


def test_collectives_are_read_in_a_compiled_program():
    text = """
  %a = (f32[3,3,1,8]{3,2,1,0}, f32[]) all-reduce(%x, %y), channel_id=1
  %b = f32[10]{0} all-reduce(%z), channel_id=2
  %c = f32[4,2]{1,0} all-gather(%w), dimensions={0}
"""
    assert collectives(text) == {
        "all-reduce": {"operations": 2, "arrays": 3, "bytes": 4 * (72 + 1 + 10)},
        "all-gather": {"operations": 1, "arrays": 1, "bytes": 32},
    }


def test_the_model_of_a_ring():
    link = Link(alpha=1e-5, beta=1e9)
    assert link.ring(1, 1e6) == 0
    assert link.ring(2, 1e6) == pytest.approx(2e-5 + 1e-3)  # half of it one way, half back
    assert link.ring(1000, 1e6) == pytest.approx(2 * 999 * (1e-5 + 1e-6))
    assert link.step(4, 0.1, 1e6, all_reduces=5) > link.step(4, 0.1, 1e6)
    sizes = [1e3, 1e5, 1e7]
    assert fit(sizes, [link.ring(2, s) for s in sizes]) == Link(pytest.approx(1e-5), pytest.approx(1e9))
