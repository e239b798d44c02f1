"""The quick form: its times are of a few steps, so only that both ways were timed is looked at."""

import json
import math
import subprocess
import sys

import pytest

pytestmark = pytest.mark.usefixtures("little_compilation")


@pytest.mark.slow
def test_the_quick_form_times_the_tool_and_the_bare_step(tmp_path):
    out = tmp_path / "found.json"
    command = [sys.executable, "-m", "experiments.logging_cost.throughput", "--quick", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))["mlp"]
    assert found["steps in an epoch"] == 4
    times = [found["bare: ms a step"], *found["the tool's share of the bare rate"].values()]
    assert len(times) == 3
    assert all(0 < each < math.inf for each in times)
