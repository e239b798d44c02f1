"""`purecnn train --resume`: after Ctrl-C, kills and a full disk, to the bits of a run that was never stopped."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys

import pytest

from purecnn.train.run_folder import read_metrics
from tests.commands.running import FILES, QUICK, here


def test_ctrl_c_saves_and_says_how_to_resume_and_a_damaged_checkpoint_is_not_the_end(tmp_path):
    options = (*QUICK, "--epochs", 6, "--steps-per-dispatch", 9, "--checkpoint-every", 0)
    assert here("train", *options, "--run-dir", "whole", "--quiet", cwd=tmp_path).stdout == ""
    command = [sys.executable, "-m", "purecnn", "train", *map(str, options), "--run-dir", "run"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.startswith("epoch 2/6") for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    step = int(re.search(r"interrupted after step (\d+), which is saved", complaint)[1])
    assert complaint.endswith("; resume with: purecnn train --run-dir run --resume\n")
    assert 82 <= step < 246

    before = 9 if step % 41 else 5  # an epoch is four dispatches of 9 steps and one of 5
    (tmp_path / "run" / "checkpoints" / str(step) / "host" / "metadata").write_text("half")
    (tmp_path / "run" / "metrics.jsonl").write_text("")  # it comes back from the checkpoint
    done = here("train", "--run-dir", "run", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"checkpoints/{step} is damaged (host/metadata is not as it was written) and removed" in done.stdout
    assert f"resuming after step {step - before} of 246" in done.stdout
    for name in ("weights.safetensors", "best.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert [losses(line) for line in read_metrics(tmp_path / "run")] == [
        losses(line) for line in read_metrics(tmp_path / "whole")
    ]


def losses(line):
    return {name: value for name, value in line.items() if "loss" in name or "accuracy" in name or name == "step"}


@pytest.mark.parametrize(
    ("kills", "data"), [pytest.param(2, (), marks=pytest.mark.slow), (1, ("--stream",))], ids=["digits", "stream"]
)
def test_killed_and_resumed_it_gives_the_same_bits(tmp_path, kills, data):
    """`make prove-resume` kills each 50 times."""
    command = [
        sys.executable,
        "-m",
        "experiments.kill_and_resume.run",
        "--kills",
        str(kills),
        "--steps-per-save",
        "3",
        *data,
        "--out",
        "kills.json",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "kills.json").read_text())
    assert result["kills"] == kills
    assert result["runs_finished"] >= 1
    assert result["runs_not_the_same"] == 0


@pytest.mark.slow
def test_a_full_disk_ends_the_run_in_words_and_it_resumes_once_there_is_room(tmp_path):
    """No file may grow beyond a limit: the weights fit, and a checkpoint or a picture does not."""
    options = (*QUICK, "--optimizer", "adam", "--epochs", 2, "--run-dir", "run")
    command = shlex.join([sys.executable, "-m", "purecnn", "train", *map(str, options), "--no-cache"])
    small_files = ["bash", "-c", f"ulimit -f 19; exec {command}"]  # KiB
    full = subprocess.run(small_files, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert full.returncode == 1, full.stderr
    assert full.stderr.startswith("purecnn: ")
    assert "File too large" in full.stderr
    assert full.stderr.count("\n") == 1
    done = here("train", "--run-dir", "run", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(read_metrics(tmp_path / "run")) == 2
    assert set(os.listdir(tmp_path / "run")) == FILES
