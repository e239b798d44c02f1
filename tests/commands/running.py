"""The command as a user runs it: a process of its own, in a folder of its own."""

import os
import subprocess
import sys

# On some processors XLA itself logs, of each kept program it loads, that a hint to its compiler is no feature of the
# machine (docs/train.md). What purecnn writes is another matter.
QUIET_XLA = {"TF_CPP_MIN_LOG_LEVEL": "3"}


def purecnn(*arguments, cwd, module="purecnn", env=os.environ, **options):
    command = [sys.executable, "-m", module, *map(str, arguments)]
    options |= {"capture_output": True, "text": True, "encoding": "utf-8", "timeout": 300}
    return subprocess.run(command, cwd=cwd, env=env | QUIET_XLA, **options)
