import subprocess
import sys
from pathlib import Path


def test_eight_devices_compute_what_one_does():
    """`shard_map` and `jit` over a sharded batch, in a process of its own: the number of devices is set only once."""
    root = Path(__file__).parent.parent
    run = subprocess.run([sys.executable, "-m", "tests.sharded"], cwd=root, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "right on eight devices\n"
