"""The checkpoints from which a run resumes, bit for bit: orbax keeps the last two, each complete or absent.

A checkpoint holds the arrays and the state of the host. A seal with the checksum of every file is written last; a
checkpoint whose seal is missing or does not match is not read.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shlex
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from purecnn.data.dataset import Dataset
from purecnn.data.guards import NO_ROOM
from purecnn.train.config import FREE, Config
from purecnn.train.devices import is_first_process, wait_for_all
from purecnn.train.step import TrainState
from purecnn.train.weights import name_of, write_whole

KEPT = 2
SEAL = "crc32.json"
UNFINISHED = "it was not finished"


@dataclass
class Progress:
    """What the host knows of a run beside its TrainState. The position in the data is the TrainState's step."""

    metrics: list[dict[str, Any]] = field(default_factory=list)  # of every epoch that is over
    losses: list[float] = field(default_factory=list)  # of the steps of this epoch
    correct: int = 0  # predictions of this epoch
    stepping: float = 0.0  # seconds that these steps took
    seconds: float = 0.0  # of the whole run until it was saved
    norms: list[list[float]] = field(default_factory=list)  # of the layers' gradients at this epoch's measured steps


Manager = ocp.CheckpointManager


def open_checkpoints(folder: Path) -> Manager:
    """The checkpoints of the run in `folder`; remains of an interrupted save are removed."""
    options = ocp.CheckpointManagerOptions(
        max_to_keep=KEPT, enable_async_checkpointing=False, cleanup_tmp_directories=True
    )
    return ocp.CheckpointManager((folder / "checkpoints").absolute(), options=options)


def save(checkpoints: Manager, now: TrainState, progress: Progress, identity: dict[str, Any]) -> None:
    """Write a checkpoint. Raises OSError if it cannot be written; earlier checkpoints are not changed."""
    host = {"progress": asdict(progress), "identity": identity}
    items = ocp.args.Composite(arrays=ocp.args.StandardSave(now), host=ocp.args.JsonSave(host))
    step = int(now.step)
    # After one write has failed the others of the same save do too, and tensorstore prints a traceback for each.
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            checkpoints.save(step, args=items, force=True)
        except Exception as error:  # what the libraries below raise for a full disk is not always an OSError
            time.sleep(1)
            words = str(error).strip()
            reason = next(
                (each for each in map(os.strerror, (*NO_ROOM, errno.EACCES, errno.EROFS)) if each in words),
                words.splitlines()[0],
            )
            if "Too many open files" in words:
                reason = "too many open files; ulimit -n 1024 allows more"
            if not Path(checkpoints.directory).parent.is_dir():
                reason = "the folder of the run is no longer there"
            raise OSError(f"{checkpoints.directory}: step {step} could not be saved: {reason}") from error
    if is_first_process():
        folder = Path(checkpoints.directory) / str(step)
        write_whole(folder / SEAL, json.dumps(_checksums(folder)).encode())
    wait_for_all("the seal is there")


def restore(
    checkpoints: Manager, like: TrainState, identity: dict[str, Any], tell: Callable[[str], None]
) -> tuple[TrainState, Progress] | None:
    """The newest complete checkpoint, arranged and placed as `like`; None if none was ever finished.

    Damaged ones are reported and removed. Raises ValueError, naming the difference, if the model or the data differ,
    and where all that was finished is damaged: to begin anew would undo the run.
    """
    steps = sorted(checkpoints.all_steps(), reverse=True)
    damage = {step: _damage(Path(checkpoints.directory) / str(step)) for step in steps}
    folder = Path(checkpoints.directory).parent
    over = (folder / "test.json").is_file()  # whose only checkpoint was finished, though a copy may lack its seal
    if steps and all(damage.values()) and (over or any(reason != UNFINISHED for reason in damage.values())):
        raise ValueError(
            f"{checkpoints.directory / str(steps[0])} is damaged ({damage[steps[0]]}), and there is no other to resume "
            f"from; a new run may begin with --init-weights {shlex.quote(str(folder))}"
        )
    for step in steps:
        if damage[step]:
            tell(
                f"{checkpoints.directory / str(step)} is damaged ({damage[step]}) and removed; the one before is taken"
            )
            checkpoints.delete(step)
            continue
        host = checkpoints.restore(step, args=ocp.args.Composite(host=ocp.args.JsonRestore()))["host"]
        _require_same(checkpoints, host["identity"], identity)
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        items = ocp.args.Composite(arrays=ocp.args.StandardRestore(abstract))
        return checkpoints.restore(step, args=items)["arrays"], Progress(**host["progress"])
    return None


def identity_of(data: Dataset, like: TrainState, config: Config) -> dict[str, Any]:
    """What identifies a run's config, model and data: every array's shape, and a checksum over the images.

    Data are identified by their content, not by the path or the name of their folder.
    """
    arrays = jax.tree_util.tree_leaves_with_path({"params": like.params, "state": like.state, "opt": like.opt_state})
    splits = [f"{len(split):,} {name} images, crc32 {split.checksum():08x}" for name, split in data.splits().items()]
    return {
        "config": {name: value for name, value in asdict(config).items() if name not in FREE},
        "data": "; ".join(splits),
        "classes": list(data.classes),
        "arrays": {name_of(place): f"{leaf.dtype}{list(leaf.shape)}" for place, leaf in arrays},
    }


def _require_same(checkpoints: Manager, found: dict[str, Any], expected: dict[str, Any]) -> None:
    was = asdict(Config()) | found["config"]  # what a run of an earlier version has not heard of is as by default
    changed = {name: f"{name}: got {value!r}, expected {was.get(name)!r}" for name, value in expected["config"].items()
               if was.get(name) != value}  # fmt: skip
    if found["data"] != expected["data"]:
        changed.pop("batch_size", None)  # fewer images than a batch are one
    if changed:
        first = next(iter(changed.values()))
        raise ValueError(f"{checkpoints.directory}: of another config: {first}, as when it was saved")
    differing = [f"{name}: got {expected[name]}, expected {found[name]}" for name in ("classes", "data")
                 if found[name] != expected[name]]  # fmt: skip
    there, here = found["arrays"], expected["arrays"]
    differing += [f"{name}: got {here.get(name, 'none')}, expected {there.get(name, 'none')}"
                  for name in sorted(there.keys() | here.keys()) if there.get(name) != here.get(name)]  # fmt: skip
    if differing:
        of_data = differing[0].startswith(("classes: ", "data: "))
        run = shlex.quote(str(Path(checkpoints.directory).parent))
        again = f"; with these a new run may begin, by --init-weights {run}" if of_data else ""
        raise ValueError(f"{checkpoints.directory}: of another model or other data: {differing[0]}{again}")


def _damage(folder: Path) -> str:
    """What is wrong with a checkpoint's files; "" if nothing is."""
    try:
        sealed, found = json.loads((folder / SEAL).read_bytes()), _checksums(folder)
        if not isinstance(sealed, dict):
            return f"{SEAL} is not a list of files"
        differing = [name for name in sorted(sealed.keys() | found.keys()) if sealed.get(name) != found.get(name)]
        return f"{differing[0]} is not as it was written" if differing else ""
    except FileNotFoundError:
        return UNFINISHED
    except ValueError:
        return f"{SEAL} cannot be read"


def _checksums(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != SEAL)
    return {str(path.relative_to(folder)): zlib.crc32(path.read_bytes()) for path in files}
