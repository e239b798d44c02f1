import os
import subprocess
import sys

import pytest

from purecnn.train.occupied import alone_in


def test_a_folder_has_one_run_at_a_time_and_is_free_however_that_ended(tmp_path):
    with alone_in(tmp_path), pytest.raises(FileExistsError, match=f"another process trains in {tmp_path}"):
        alone_in(tmp_path).__enter__()
    with pytest.raises(ZeroDivisionError), alone_in(tmp_path):
        _ = 1 / 0
    holding = "import os, sys; from purecnn.train.occupied import alone_in"
    holding = f"{holding}; a = alone_in(sys.argv[1]); a.__enter__(); print('in', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", holding, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        with pytest.raises(FileExistsError), alone_in(tmp_path):
            pass
        other.kill()
    with alone_in(tmp_path):
        pass
    assert os.listdir(tmp_path) == []
