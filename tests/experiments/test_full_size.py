"""The same oracle on a small set: read, train, Ctrl-C, resume, evaluate."""

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_a_run_on_files_of_the_true_format_is_interrupted_resumed_and_evaluated(tmp_path):
    command = [sys.executable, "-m", "experiments.full_size.run", "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=os.environ)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "cpu.json").read_text())["mlp"]
    assert found["test_accuracy"] > 0.15  # ten greys, of which a two-layer net tells some apart in 1,080 steps
    assert (found["images"], found["test_images"], found["steps"]) == (1150, 200, 1080)
    assert 0 < found["interrupted_after_step"] < 1080
