import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("part", range(4))
def test_every_rule_and_net_on_every_mesh_of_four_devices(part):
    """In processes of their own: the number of devices is set only once."""
    command = [sys.executable, "-m", "tests.sharded", str(part), "4"]
    run = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "right on four devices\n"
