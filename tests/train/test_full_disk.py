"""A file system that is really full, in a mount namespace of the test's own."""

import json
import subprocess
import sys

import pytest

from experiments.kill_and_resume.full_disk import possible


@pytest.mark.slow
@pytest.mark.skipif(not possible(), reason="needs Linux's unshare and the right to mount a file system for oneself")
def test_a_disk_that_fills_up_is_told_of_in_a_line_and_the_run_goes_on_to_the_same_bits(tmp_path):
    command = [sys.executable, "-m", "experiments.kill_and_resume.full_disk", "--disks", "2", "--out"]
    command.append(str(tmp_path / "found.json"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["wrong"] == []
    assert sum(found["full_at"].values()) == found["disks"] == 2
