"""What is saved comes back to the bit; what is damaged is reported, and the one before is taken."""

import dataclasses
import functools
import shutil

import jax
import numpy as np
import optax
import pytest

from purecnn.data.digits import read_digits
from purecnn.models import mlp
from purecnn.train import checkpoints as saved
from purecnn.train.checkpoints import Progress, identity_of, open_checkpoints, restore, save
from purecnn.train.config import Config
from purecnn.train.step import initial_state

OPTIMIZER = optax.MultiSteps(optax.adam(0.1), 2).gradient_transformation()


@functools.cache  # drawing it compiles
def state(step, seed=0, hidden=4):
    now = initial_state(mlp(10, hidden=(hidden,)), OPTIMIZER, (8, 8, 1), seed)
    return now._replace(step=now.step + step)


def progress(step):
    return Progress([{"epoch": 1, "train_loss": 1 / 3}], [0.1 * step, 2 / 3], step, 0.5, 1.5)


def same(a, b):
    bits = [[np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(s._replace(key=jax.random.key_data(s.key)))]
            for s in (a, b)]  # fmt: skip
    return bits[0] == bits[1] and jax.tree.structure(a) == jax.tree.structure(b)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A run saved at steps 1 and 2, with different weights."""
    folder = tmp_path_factory.mktemp("two")
    checkpoints = open_checkpoints(folder)
    for step in (1, 2):
        save(checkpoints, state(step, seed=step), progress(step), identity())
    return folder


def identity():
    return {"config": {"batch_size": 32}, "data": "some", "classes": ["a"], "arrays": {"params.1.w": "float32[64, 4]"}}


def go_on(folder, messages=None, identity=identity()):  # noqa: B008
    messages = [] if messages is None else messages
    return restore(open_checkpoints(folder), state(0, seed=9), identity, messages.append)


def test_what_is_saved_comes_back_to_the_bit_with_what_the_host_knew(two):
    now, known = go_on(two)
    assert same(now, state(2, seed=2))
    assert not same(now, state(2, seed=1))
    assert known == progress(2)


def test_where_nothing_was_saved_there_is_nothing(tmp_path):
    assert go_on(tmp_path) is None


def test_the_last_two_are_kept(tmp_path):
    checkpoints = open_checkpoints(tmp_path)
    for step in range(4):
        save(checkpoints, state(step), progress(step), identity())
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["2", "3"]


DAMAGES = {
    "truncated": lambda data: data[: len(data) // 2],
    "a bit flipped": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_last_checkpoint_is_told_of_and_the_one_before_is_taken(two, tmp_path, damage):
    """Whichever of its files it is: never wrong numbers, never an end of the run."""
    files = [path.relative_to(two) for path in sorted((two / "checkpoints" / "2").rglob("*")) if path.is_file()]
    assert len(files) > 10
    for i, file in enumerate(files):
        folder, messages = tmp_path / str(i), []
        shutil.copytree(two, folder)
        (folder / file).write_bytes(DAMAGES[damage]((folder / file).read_bytes()))
        now, known = go_on(folder, messages)
        assert same(now, state(1, seed=1)), file
        assert known == progress(1)
        assert len(messages) == 1
        assert "checkpoints/2 is damaged (" in messages[0]


def test_after_falling_back_the_same_step_is_saved_again(two, tmp_path):
    shutil.copytree(two, tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "2" / "crc32.json").unlink()  # as if killed before the last thing written
    messages = []
    assert int(go_on(tmp_path / "run", messages)[0].step) == 1
    assert "checkpoints/2 is damaged (it was not finished)" in messages[0]
    save(open_checkpoints(tmp_path / "run"), state(2, seed=2), progress(2), identity())
    assert same(go_on(tmp_path / "run")[0], state(2, seed=2))


def test_where_none_was_ever_finished_it_is_from_the_start(two, tmp_path):
    shutil.copytree(two, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").rglob("crc32.json"):
        path.unlink()
    messages = []
    assert go_on(tmp_path / "run", messages) is None
    assert len(messages) == 2


def test_a_copy_of_a_finished_run_whose_checkpoints_lack_their_seals_is_not_begun_anew(two, tmp_path):
    shutil.copytree(two, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").rglob("crc32.json"):
        path.unlink()
    (tmp_path / "run" / "test.json").write_text("{}")
    with pytest.raises(
        ValueError, match=r"checkpoints/2 is damaged \(it was not finished\), .* --init-weights \S+/run"
    ):
        go_on(tmp_path / "run")


def test_all_damaged_is_refused_and_nothing_is_removed(two, tmp_path):
    shutil.copytree(two, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").rglob("crc32.json"):
        path.write_text("")
    for _ in range(2):  # not only at the first time
        with pytest.raises(ValueError, match=r"checkpoints/2 is damaged .* no other .* --init-weights \S+/run"):
            go_on(tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == ["1", "2"]


def test_another_model_or_data_is_refused_with_the_difference_and_nothing_is_lost(two):
    other = identity() | {"data": "others"}
    with pytest.raises(
        ValueError,
        match=r"of another model or other data: data: got others, expected some; with these a .*run",
    ):
        go_on(two, identity=other)
    fewer = other | {"config": {"batch_size": 16}, "classes": ["a", "b"]}  # a small set is one batch
    with pytest.raises(ValueError, match=r"other data: classes: got \['a', 'b'\], expected \['a'\]"):
        go_on(two, identity=fewer)
    other = identity() | {"config": {"batch_size": 16}}
    with pytest.raises(ValueError, match=r"of another config: batch_size: got 16, expected 32, as when it was saved"):
        go_on(two, identity=other)
    other = identity() | {"arrays": {"params.1.w": "float32[64, 8]"}}
    with pytest.raises(ValueError, match=r"params\.1\.w: got float32\[64, 8\], expected float32\[64, 4\]"):
        go_on(two, identity=other)
    assert int(go_on(two)[0].step) == 2


def test_the_identity_sees_one_changed_pixel_and_one_changed_shape():
    data = read_digits()
    known = identity_of(data, state(0), Config())
    assert known == identity_of(
        read_digits(), state(5, seed=3), Config(epochs=9, data_dir="moved", checkpoint_every=1.0)
    )
    assert known == identity_of(dataclasses.replace(data, name="renamed"), state(0), Config())
    assert known["config"] != identity_of(data, state(0), Config(batch_size=16))["config"]
    assert known["arrays"] != identity_of(data, state(0, hidden=5), Config())["arrays"]
    assert "params.1.w" in known["arrays"]
    data.test.images[0, 0, 0, 0] += 1
    assert known["data"] != identity_of(data, state(0), Config())["data"]


REASONS = [
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "Permission denied",
    "Read-only file system",
]


@pytest.mark.parametrize("reason", REASONS)
def test_what_cannot_be_written_leaves_the_ones_before(two, tmp_path, monkeypatch, reason):
    shutil.copytree(two, tmp_path / "run")
    checkpoints = open_checkpoints(tmp_path / "run")

    def full_disk(*args, **options):
        raise ValueError(f"RESOURCE_EXHAUSTED: writing 9 [OS error 27: {reason}] [source locations='a.cc:9']\nmore")

    monkeypatch.setattr(saved.ocp.CheckpointManager, "save", full_disk)
    with pytest.raises(OSError, match=f"step 3 could not be saved: {reason}$"):
        save(checkpoints, state(3), progress(3), identity())
    assert int(go_on(tmp_path / "run")[0].step) == 2


def test_too_few_file_handles_say_what_allows_more(tmp_path, monkeypatch):
    checkpoints = open_checkpoints(tmp_path / "run")

    def none_left(*args, **options):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(saved.ocp.CheckpointManager, "save", none_left)
    with pytest.raises(OSError, match=r"step 3 could not be saved: too many open files; ulimit -n 1024 allows more$"):
        save(checkpoints, state(3), progress(3), identity())


def test_a_run_whose_folder_was_moved_away_says_so(tmp_path, monkeypatch):
    checkpoints = open_checkpoints(tmp_path / "run")

    def gone(*args, **options):
        raise FileNotFoundError(2, "No such file or directory", "3.orbax-checkpoint-tmp")

    monkeypatch.setattr(saved.ocp.CheckpointManager, "save", gone)
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"step 3 could not be saved: the folder of the run is no longer there$"):
        save(checkpoints, state(3), progress(3), identity())
