import os
import subprocess
import sys

from purecnn.commands.xla_log import HINTS, without_hints

CODE = """
import os, sys
from purecnn.commands.xla_log import without_hints
with without_hints():
    for line in sys.argv[1:]:
        os.write(2, line.encode() + b"\\n")
    print("from Python", file=sys.stderr)
    os.write(2, b"half a line")
    if sys.argv[-1] == "crash":
        os.kill(os.getpid(), 9)
print(" and the end", file=sys.stderr)
"""
LINES = [f"E1127 cpu_aot_loader.cc:195] Loading. Target machine feature {hint} is not  supported" for hint in HINTS]


def said(*lines):
    return subprocess.run([sys.executable, "-c", CODE, *lines], capture_output=True, text=True)


def test_the_hints_are_left_out_and_nothing_else():
    others = ["E1127 rendezvous.cc:99] This thread may be stuck", "Target machine feature +avx512f is not supported"]
    done = said(LINES[0], others[0], *LINES, others[1])
    assert done.returncode == 0
    assert sorted(done.stderr.replace("half", "\nhalf").split("\n")) == sorted(
        ["", *others, "from Python", "half a line and the end", ""]
    )


def test_the_last_words_of_a_crash_are_passed_on():
    done = said(LINES[1], "F1127 Check failed", "crash")
    assert done.returncode == -9
    assert "F1127 Check failed\n" in done.stderr
    assert "half a line" in done.stderr
    assert "prefer" not in done.stderr


def test_where_stderr_is_no_file_nothing_is_done(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    before = os.fstat(2)
    with without_hints():
        assert os.path.samestat(os.fstat(2), before)
