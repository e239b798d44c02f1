"""The command as a user runs it: a process of its own, in a folder of its own."""

import subprocess
import sys


def purecnn(*arguments, cwd, module="purecnn", **options):
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=300, **options)
