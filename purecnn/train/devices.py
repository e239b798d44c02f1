"""One run on many devices and many machines: the batch is split over all of them, everything else is on each.

`jit` sees one array where there are many shards: a step means the same on any number of devices, batch statistics and
random draws included, and only sums are rounded in another order. A process puts on its devices what they need of a
batch, and reads no more of it where images stay in their files.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from purecnn.data.dataset import Split
from purecnn.data.guards import Refused
from purecnn.data.pipeline import feed, fits_on_device

T = TypeVar("T")
LONGEST = 2000  # bytes of what a process says to the others


def join(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Make this process one of many: call it before anything computes.

    With nothing given, JAX asks SLURM, Open MPI, Kubernetes or the TPU's own service. Raises ValueError or RuntimeError
    if there is no one to ask, or no answer.
    """
    jax.config.update("jax_cpu_collectives_implementation", "gloo")  # without it, CPUs of several processes sum nothing
    # Under SLURM, JAX shows a process one GPU, its own. One that is alone on its machine is to have all of them: [].
    tasks, nodes = (os.environ.get(f"SLURM_STEP_NUM_{what}") for what in ("TASKS", "NODES"))
    alone = tasks is not None and tasks == nodes and "JAX_LOCAL_DEVICE_IDS" not in os.environ
    sigterm = signal.getsignal(signal.SIGTERM)
    jax.distributed.initialize(coordinator, num_processes, process_id, [] if alone else None)
    # JAX handles SIGTERM by only noting it: until the training handles it, the signal would not end the process.
    signal.signal(signal.SIGTERM, sigterm)


@dataclass(frozen=True)
class Devices:
    """Those that a run computes on, in one row."""

    mesh: Mesh

    @property
    def count(self) -> int:
        return self.mesh.size

    @property
    def everywhere(self) -> NamedSharding:
        return NamedSharding(self.mesh, P())

    @property
    def split(self) -> NamedSharding:
        """Of (K, N, …), indices or what they are of: every device has its part of the N."""
        return NamedSharding(self.mesh, P(None, "data"))

    def replicate(self, array: np.ndarray) -> jax.Array:
        return _place(array, self.everywhere)

    def scatter(self, array: np.ndarray) -> jax.Array:
        return _place(array, self.split)

    def gather(self, array: Any, rows: np.ndarray) -> jax.Array:
        """`array[rows]` (K, N, …), split like `rows` (K, N): this process looks up its devices' columns alone."""
        shape = (*rows.shape, *array.shape[1:])
        indices: Any = self.split.addressable_devices_indices_map(shape)
        numbers = np.arange(rows.shape[1])
        columns = np.unique(np.concatenate([numbers[index[1]] for index in indices.values()]))
        mine = array[rows[:, columns]]

        def shard(index: Any) -> np.ndarray:
            wanted = numbers[index[1]]
            first = int(np.searchsorted(columns, wanted[0]))
            return mine[:, first : first + len(wanted)]

        return jax.make_array_from_callback(shape, self.split, shard)


def all_devices() -> Devices:
    """All devices of all processes."""
    return Devices(jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,)))


def is_first_process() -> bool:
    """Whether this is the process that prints and writes."""
    return jax.process_index() == 0


def any_process(*said: bool) -> tuple[bool, ...]:
    """For each flag whether it is True in any process; processes that act differently would wait forever."""
    if jax.process_count() == 1:
        return said
    return tuple(bool(yes) for yes in multihost_utils.process_allgather(np.array(said)).any(axis=0))


def together(act: Callable[[], T]) -> T:
    """`act()` in every process. If it fails in one it raises in all: a process that continues alone waits forever.

    Raises OSError in all if it was one in any process, else `Refused`; a single process raises what `act` raises.
    """
    if jax.process_count() == 1:
        return act()
    found: Any = None
    fault: Exception | None = None
    try:
        found = act()
    except Exception as error:
        fault = error
    failed, is_system = any_process(fault is not None, isinstance(fault, OSError))
    if failed:
        known = fault is None or isinstance(fault, Refused | OSError)
        said = _said_by_all(str(fault or "") if known else f"{type(fault).__name__}: {fault}")
        raise (OSError if is_system else Refused)("; ".join(dict.fromkeys(filter(None, said)))) from fault
    return found


def _said_by_all(words: str) -> list[str]:
    """What each process says, cut off after LONGEST bytes."""
    letters = words.encode("utf-8", "backslashreplace")[:LONGEST]
    said = multihost_utils.process_allgather(np.frombuffer(letters.ljust(LONGEST, b"\0"), np.uint8))
    return [bytes(each).rstrip(b"\0").decode("utf-8", "ignore") for each in np.asarray(said)]


def wait_for_all(what: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)


@dataclass(frozen=True)
class Supply:
    """A split as compiled steps take it: on the devices as a whole, or if too large one part at a time."""

    split: Split
    devices: Devices
    whole: tuple[jax.Array, jax.Array] | None

    def parts(
        self, parts: Iterable[np.ndarray], first_step: int | None = None
    ) -> Iterator[tuple[jax.Array, jax.Array, jax.Array | None]]:
        """For every (K, N) of indices into the split, on the devices: its images and labels, and the indices.

        Or those of the part alone, (K, N, …), and None. `first_step` is the number of the first, where they train.
        """
        if self.whole is not None:
            return ((*self.whole, self.devices.scatter(part)) for part in parts)
        return feed(self.split, parts, first_step=first_step, place=self.devices.gather)

    def like(self, count: int, batch_size: int) -> tuple[Any, Any, Any]:
        """The shapes of what `parts` gives for (count, batch size) indices, to compile for."""
        if self.whole is not None:
            images, labels = (jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=a.sharding) for a in self.whole)
            return images, labels, jax.ShapeDtypeStruct((count, batch_size), np.int32, sharding=self.devices.split)
        return like_of(self.split.images, self.split.labels, count, batch_size, self.devices)


def like_of(images: Any, labels: Any, count: int, batch_size: int, devices: Devices) -> tuple[Any, Any, None]:
    """The shapes of `count` batches of such images and labels."""
    shapes = ((count, batch_size, *images.shape[1:]), images.dtype), ((count, batch_size), np.int32)
    first, second = (jax.ShapeDtypeStruct(*each, sharding=devices.split) for each in shapes)
    return first, second, None


def supply(split: Split, devices: Devices) -> Supply:
    whole = (devices.replicate(split.images), devices.replicate(split.labels)) if fits_on_device(split) else None
    return Supply(split, devices, whole)


def _place(array: np.ndarray, sharding: NamedSharding) -> jax.Array:
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])
