"""Nets trained under one vmap are the nets trained one by one, at their own seeds and learning rates."""

import json

import pytest

from experiments.one_program_sweep import run

pytestmark = pytest.mark.usefixtures("little_compilation")


@pytest.mark.slow
def test_quick(tmp_path):
    run.main(["--quick", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "accuracy.json").read_text())
    for rate in ("0.02", "0.05"):
        agreement = found["agreement"]["after 20"][rate]
        assert agreement["weights_apart"]["worst"] < 1e-6
        assert agreement["same_test_accuracy"] == "2 of 2"
    # Nets that start at 10 % and learn at different speeds: neither the rate nor the seed is lost on the way.
    assert found["test_accuracy"]["0.02"]["mean"] != found["test_accuracy"]["0.05"]["mean"]
    assert all(row["mean"] > 20 and row["spread"] > 0 for row in found["test_accuracy"].values())
    rows = json.loads((tmp_path / "timing.json").read_text())["rows"]
    assert rows["vmap of 4"]["grouped_convolutions"] == ["4"] * 3  # y, y and x̄ of LeNet's two layers
    assert rows["loop"]["grouped_convolutions"] == []
    assert rows["vmap of 4"]["bytes_in_and_out"] > 3 * rows["loop"]["bytes_in_and_out"]
    assert (tmp_path / "sweep.png").stat().st_size > 1000
