"""The quick form: its figures are of some dozen images, so only that they are there is looked at."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.usefixtures("little_compilation")


@pytest.mark.slow
def test_the_quick_form_measures_rates_times_and_memory(tmp_path):
    command = [sys.executable, "-m", "experiments.streams.run", "--quick", "--out", str(tmp_path / "found.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["rates"]["the stream"] > 0
    runs = [found["before any program was compiled"], *found["runs"]]
    assert [run["images"] for run in runs] == [56, 560]
    assert all(0 < run["peak MB"] < 1500 for run in runs)
