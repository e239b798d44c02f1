import signal
import subprocess
import sys
import time

import pytest

from purecnn import startup

RUN = [sys.executable, "-m", "purecnn", "train", "--no-cache", "--epochs", "99999", "--run-dir", "run"]


def test_this_process_is_not_the_command():
    assert not startup.is_command()
    assert signal.getsignal(signal.SIGINT) is not startup.end


@pytest.mark.parametrize(("words", "program", "expected"), [
    (["python", "-m", "purecnn", "train"], "-m", True),
    (["python", "-X", "dev", "-m", "purecnn.cli"], "-m", True),
    (["python", "/usr/bin/purecnn", "doctor"], "/usr/bin/purecnn", True),
    (["python", "-m", "pytest"], "-m", False),
    (["python", "-m", "verify"], "-m", False),
    (["python", "mine.py", "purecnn"], "mine.py", False),
    (["python"], "", False),
])  # fmt: skip
def test_the_command_is_known_by_how_it_was_started(monkeypatch, words, program, expected):
    monkeypatch.setattr(sys, "orig_argv", words)
    monkeypatch.setattr(sys, "argv", [program])
    assert startup.is_command() == expected


@pytest.mark.parametrize("after", [0.4, 1.5])
def test_an_interrupt_while_libraries_are_imported_ends_the_command_in_one_line(tmp_path, after):
    with subprocess.Popen(RUN, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=10)
    assert (process.returncode, out, said) == (130, "", "purecnn: interrupted\n")


def test_a_command_in_the_background_goes_on_ignoring_it():
    code = "import sys; sys.orig_argv = ['python', '-m', 'purecnn']; import purecnn, signal; print(signal.getsignal(2))"
    shell = ["sh", "-c", f'trap "" INT; exec "{sys.executable}" -c "{code}"']
    done = subprocess.run(shell, capture_output=True, text=True)
    assert done.stdout == "1\n", done.stderr
    assert int(signal.SIG_IGN) == 1
