import asyncio
import gc
import io
import os
import signal
import subprocess
import sys
import time

import jax
import pytest

from purecnn.cli import main
from purecnn.commands import complain, process
from purecnn.commands.process import ended_by_ctrl_c, speak_any_encoding
from tests.commands.running import purecnn
from tests.data.making import write_folder


@pytest.mark.parametrize(("encoding", "said"), [
    ("utf-8", "3×4 → Käfer…"),
    ("latin-1", "3×4 -> Käfer..."),
    ("ascii", "3x4 -> K\\xe4fer..."),
])  # fmt: skip
def test_what_a_terminal_cannot_show_is_spelled(monkeypatch, encoding, said):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    speak_any_encoding()
    print("3×4 → Käfer…", end="")
    out.flush()
    assert out.buffer.getvalue().decode(encoding) == said


def test_a_terminal_of_ascii_is_told_of_classes_in_any_script(tmp_path):
    write_folder(tmp_path / "家族", classes=("Käfer", "Ōkami"))
    words = ("data", "show", "--data", "folder", "--data-dir", tmp_path / "家族")
    done = purecnn(*words, cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "2 classes, 6x8 RGB" in done.stdout
    (tmp_path / "家族" / "Käfer" / "0.png").write_bytes(b"")
    done = purecnn(*words, cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2
    assert "K\\xe4fer/0.png: is empty" in done.stderr


def test_who_has_read_enough_of_the_output_is_not_told_of_an_error(tmp_path):
    command = [sys.executable, "-m", "purecnn", "summary"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.skipif(os.name != "posix", reason="needs a shell that closes an output")
@pytest.mark.parametrize(
    ("words", "code"), [("--version >&-", 0), ("summary --input-shape 8 8 1 >&-", 0), ("trian 2>&-", 2)]
)
def test_what_is_printed_to_a_closed_output_is_lost_and_on_no_other(tmp_path, words, code):
    done = subprocess.run(["sh", "-c", f'"$0" -m purecnn {words}', sys.executable], cwd=tmp_path, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a file that is always full")
@pytest.mark.parametrize("options", [["--version"], ["train", "--help"], ["summary"]])
def test_an_output_that_cannot_be_written_is_one_line(monkeypatch, capsys, options):
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(options) == 1
        assert capsys.readouterr().err == "purecnn: the output could not be written: No space left on device\n"


def test_a_working_folder_that_was_removed_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(FileNotFoundError) as caught:
        os.getcwd()
    assert complain(caught.value, 2) == 2
    assert capsys.readouterr().err == "purecnn: the working folder is there no longer; cd to another one\n"


def test_an_interrupt_that_a_callback_of_the_collector_forgot_is_raised_again(monkeypatch):
    monkeypatch.setattr(process, "GRACE", 60.0)  # a busy machine's collection of a test run's heap may outlast it
    calls = []

    def collect(phase, info):
        calls.append(phase)
        if len(calls) == 1:
            signal.raise_signal(signal.SIGINT)
            time.sleep(0)  # where Python looks for signals

    try:
        with pytest.raises(KeyboardInterrupt), ended_by_ctrl_c():  # noqa: PT012
            gc.callbacks.append(collect)  # not before: a collection may come at any time
            gc.collect()
            time.sleep(1)
            raise AssertionError("was forgotten")
    finally:
        gc.callbacks.remove(collect)
    assert calls
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_event_loop_that_never_began_is_not_told_of(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    with ended_by_ctrl_c():
        asyncio.SelectorEventLoop.__new__(asyncio.SelectorEventLoop)  # as one is for want of file handles
        gc.collect()
    assert told == []


def test_the_command_interrupted_says_so_in_one_line(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("purecnn.cli._main", interrupted)
    assert main(["summary"]) == 130
    assert capsys.readouterr() == ("", "purecnn: interrupted\n")


@pytest.mark.parametrize(
    ("ending", "code", "said"),
    [(KeyboardInterrupt(), 130, "interrupted"), (BrokenPipeError(), 1, "the output was closed, which ends the run")],
)
def test_what_is_known_of_a_run_that_ends_is_said_with_it(monkeypatch, tmp_path, ending, code, said):
    def ends(*_):
        raise ending

    ending.add_note("step 3 is saved")
    monkeypatch.setattr("purecnn.cli._main", ends)
    with open(tmp_path / "out", "w") as out:  # which is closed at the end, as it is a pipe without a reader
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        assert main(["train"]) == code
        assert sys.stderr.getvalue() == f"purecnn: {said}; step 3 is saved\n"


def interrupted_in(code, after):
    """Exit code and stderr of a process that runs `code` after it has printed a line, and gets SIGINT then."""
    script = f"from purecnn.commands.process import ended_by_ctrl_c\nimport hashlib\n{code}"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline()
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    return process.returncode, said


def test_a_process_that_computes_in_c_ends_all_the_same():
    code = "with ended_by_ctrl_c():\n    print(flush=True)\n    hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"
    assert interrupted_in(code, 0.1) == (130, "purecnn: interrupted\n")


def test_a_handler_of_ones_own_has_its_time():
    code = (
        "import signal, time\nwith ended_by_ctrl_c():\n    signal.signal(signal.SIGINT, lambda *_: None)\n"
        "    print(flush=True)\n    end = time.time() + 3\n    while time.time() < end:\n        time.sleep(0.1)"
    )
    assert interrupted_in(code, 0.1) == (0, "")


@pytest.mark.parametrize(("made", "kind"), [("mkdir", "folder"), ("touch", "npz")])
def test_a_path_in_the_place_of_a_kind_of_data_is_told_where_it_belongs(tmp_path, monkeypatch, capsys, made, kind):
    monkeypatch.chdir(tmp_path)
    getattr(tmp_path / "mine", made)()
    assert main(["train", "--data", "mine"]) == 2
    expected = f"purecnn: data: got a path, expected its kind: --data {kind} --data-dir mine\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("of_python", [False, True])
def test_too_little_memory_is_one_line_that_says_what_takes_less(monkeypatch, capsys, of_python):
    def fail(command):
        if of_python:
            raise MemoryError
        jax.numpy.zeros(2**45).block_until_ready()  # more than any machine has: 128 TiB

    monkeypatch.setattr("purecnn.commands.train.run", fail)
    assert main(["train"]) == 1
    words = "no more can be had" if of_python else "RESOURCE_EXHAUSTED: Out of memory allocating 140737488355328 bytes."
    err = capsys.readouterr().err
    assert err.startswith(f"purecnn: out of memory: {words}; less takes a smaller --batch-size (with --accumulate")
    assert err.count("\n") == 1
    monkeypatch.setattr("purecnn.commands.doctor.run", fail)
    assert main(["doctor"]) == 1
    assert capsys.readouterr().err == f"purecnn: out of memory: {words}\n"
