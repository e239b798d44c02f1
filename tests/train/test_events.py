import contextlib
import errno
import os
import struct

import pytest
from tensorboardX import SummaryWriter
from tensorboardX.event_file_writer import EventFileWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from purecnn.train.events import FOLDER, event_log, scalars
from tests.commands.running import here

LINE = {
    "epoch": 2,
    "step": 82,
    "train_loss": 0.5,
    "train_accuracy": 0.75,
    "gradient_norms": {"0 conv2d": 0.25, "4 dense": 2.0},
    "val_loss": 1.5,
    "val_accuracy": 0.625,
    "images_per_second": 1000.0,
    "hardware": "a machine",
    "seconds": 3.0,
}
SCALARS = {
    "loss/train": 0.5,
    "accuracy/train": 0.75,
    "loss/val": 1.5,
    "accuracy/val": 0.625,
    "gradient_norm/0 conv2d": 0.25,
    "gradient_norm/4 dense": 2.0,
    "images_per_second": 1000.0,
}


def events(folder):
    """All records of TensorBoard's files: a length, its checksum, so many bytes, their checksum."""
    for path in sorted(folder.glob("events.*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            yield Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]


def test_a_line_is_told_by_its_numbers():
    assert scalars(LINE) == SCALARS


def test_what_tensorboard_reads_are_the_lines(tmp_path):
    with event_log(tmp_path, []) as log:
        log(LINE)
    found = {value.tag: (event.step, value.simple_value) for event in events(tmp_path / FOLDER)
             for value in event.summary.value}  # fmt: skip
    assert {name.replace("_", " "): value for name, value in found.items()} == {
        name.replace("_", " "): (82, value) for name, value in SCALARS.items()
    }


def test_a_run_that_goes_on_strikes_out_what_comes_later(tmp_path):
    before = LINE | {"step": 41}
    for lines in ([], [before]):
        with event_log(tmp_path, lines) as log:
            log(LINE)
    started = [event.step for event in events(tmp_path / FOLDER) if event.session_log.status == SessionLog.START]
    assert started[-1] == 42  # TensorBoard hides what is from there on, in files before


def test_a_run_that_goes_on_with_it_for_the_first_time_has_the_epochs_before(tmp_path):
    for lines in ([LINE | {"step": 41}], [LINE | {"step": 41}, LINE]):
        with event_log(tmp_path, lines):
            pass
        for file in (tmp_path / FOLDER).glob("*.out.*"):  # another one in the same second would have the same name
            file.rename(file.with_name(f"events.{len(lines)}"))
    assert {event.step for event in events(tmp_path / FOLDER) for _ in event.summary.value} == {41}


def test_without_it_nothing_is_written(tmp_path):
    with event_log(None, []) as log:
        log(LINE)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_an_event_file(tmp_path):
    quick = ("--model", "mlp", "--augmentation", "none", "--epochs", 2, "--log", "tensorboard", "--run-dir", "run")
    done = here("train", *quick, cwd=tmp_path, quick=True)
    assert done.returncode == 0, done.stderr
    assert "  events               the metrics for tensorboard --logdir\n" in done.stdout
    steps = [event.step for event in events(tmp_path / "run" / FOLDER) for _ in event.summary.value]
    assert sorted(set(steps)) == [41, 82]


def test_a_run_that_begins_anew_strikes_out_all(tmp_path):
    """One that was killed before its first checkpoint has written epochs that come again."""
    for _ in range(2):
        with event_log(tmp_path, []) as log:
            log(LINE)
    started = [event.step for event in events(tmp_path / FOLDER) if event.session_log.status == SessionLog.START]
    assert {*started} == {1}


def test_a_full_disk_is_named_once(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(EventFileWriter, "flush", full)
    monkeypatch.setattr(SummaryWriter, "flush", full)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(event_log(tmp_path, []))
        with pytest.raises(OSError, match="No space left on device") as caught:
            log(LINE)
    assert caught.value.filename == str(tmp_path / FOLDER)
