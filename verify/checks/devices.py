"""Many devices: the placement of the arrays must not change the numbers.

A sum over the batch, as in a weight's cotangent, becomes a sum over devices. Under `jit` with arrays laid out over a
mesh the compiler inserts it, unless the rule itself says otherwise; under `shard_map` each device sees its part of the
batch, the weights' cotangents are summed by hand, and a rule that sums already counts twice, one that should and does
not counts once. All layouts are compared with one device. Functions that mix samples (batch statistics) differ by
design under `shard_map`; there only `jit` is asked.
"""

from dataclasses import replace

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from verify.call_under_test import CallUnderTest
from verify.function_under_test import first_line
from verify.generate import shapes
from verify.generate.generated_inputs import fill
from verify.oracle.compare import differences
from verify.oracle.tolerance import ROOM, unit_roundoff
from verify.report.finding import Finding, NotRunError
from verify.running import OWN, call, is_float, pullback, quickly
from verify.settings import unoptimised

NAME = "devices"
EVERY_CASE = False
AXIS = "verify"


def findings(case: CallUnderTest) -> list[Finding]:
    devices = jax.devices()
    if len(devices) < 2:
        raise NotRunError("there is one device only; `python -m verify` and JAX's jax_num_cpu_devices give more")
    case, batch, last = _divisible(case, len(devices))
    mesh = Mesh(np.array(devices), (AXIS,))
    flat = case.tested.flat(case.tested.rule, case.options)
    pull = pullback(flat, case.perturbed)
    run = quickly(pull)
    expected_y, expected = jax.device_get(call(run, OWN, list(case.arrays), list(case.y_bar)))
    runs = [("batch-sharded jit", _sharded(run, mesh, batch)), ("channel-sharded jit", _sharded(run, mesh, last))]
    if batch and _separable(case, flat, mesh, batch, expected_y):
        runs.append(("shard_map", _shard_map(pull, mesh, case, batch)))
        runs.append(("pmap", _pmap(pull, len(devices), case, batch)))
    for name, run in runs:
        if run is None:
            continue
        try:
            got = [np.asarray(b) for b in call(run, OWN, list(case.arrays), list(case.y_bar))]
        except NotRunError:
            raise
        except Exception as error:
            text = f"under {name} on {len(devices)} devices the rule raises {first_line(error)}"
            return [Finding(NAME, "the backward rule", None, None, None, "raises", text, f"{case.label}, {name}")]
        allowed = [_room(e) for e in expected]
        found = differences(NAME, case, expected, got, allowed, names=case.names, what="one device's")
        if found:
            return [replace(f, case=f"{case.label}, {name}") for f in found]
    return _on_explicit_axes(case, flat, batch, expected) if batch else []


def _on_explicit_axes(case: CallUnderTest, flat, batch, expected: list[np.ndarray]) -> list[Finding]:
    """On the mesh that `jax.make_mesh` makes, where an array's type holds its sharding: a rule that raises there is a
    note, as its message says what is missing; other numbers are wrong."""
    label = f"{case.label}, a mesh with explicit axes"
    mesh = jax.make_mesh((len(jax.devices()),), (AXIS,), axis_types=(AxisType.Explicit,))

    def run(fun, arrays, y_bar):
        pull = pullback(fun, case.perturbed, lambda g, y: jax.sharding.reshard(g, jax.typeof(y).sharding))
        with jax.set_mesh(mesh):
            placed = [jax.device_put(a, NamedSharding(mesh, _spec(mesh, n, a, batch))) for n, a in enumerate(arrays)]
            return [np.asarray(b) for b in quickly(pull)(placed, y_bar)[1]]

    try:
        got = call(lambda *args: run(flat, *args), OWN, list(case.arrays), list(case.y_bar))
    except Exception as error:
        try:
            call(lambda *args: run(case.tested.oracle(case.options), *args), OWN, list(case.arrays), list(case.y_bar))
        except Exception:
            return []  # the function itself does not state the sharding of its results
        text = (
            f"raises {first_line(error)}. Where an operation cannot infer the sharding of its result, give it by "
            "out_sharding=, or bring its operands together first with jax.sharding.reshard"
        )
        return [Finding(NAME, "the rule", None, None, None, "", text, label, note=True)]
    allowed = [_room(e) for e in expected]
    found = differences(NAME, case, expected, got, allowed, names=case.names, what="one device's")
    return [replace(f, case=label) for f in found]


def _room(e: np.ndarray) -> np.ndarray:
    unit = unit_roundoff(e.dtype)
    return np.full(e.shape, 4 * ROOM * unit * np.sqrt(e.size) * float(np.abs(e.astype(float)).max(initial=0)))


def _divisible(case: CallUnderTest, count: int):
    """The case with its batch, and its last axis if that may change, multiples of the device count."""
    sizes = [tuple(a.shape) for a in case.arrays]
    classes = shapes.free_classes(case)
    first = case.perturbed[0]
    batch = next((c for c in classes if (first, 0) in c and len(sizes[first]) > 1), None)
    last = next((c for c in classes if (first, len(sizes[first]) - 1) in c and c != batch), None)
    new = sizes
    for axes in (batch, last):
        if axes is not None:
            new = shapes.set_class(new, axes, count)
    if batch is None and last is None:
        raise NotRunError("neither the batch nor the channels of the example may be made divisible")
    if not shapes.accepted(case, new, case.options):
        raise NotRunError("the function refuses sizes divisible by the number of devices")
    arrays = fill(case, np.random.default_rng((case.seed, 10)), {}, new)
    outs = jax.eval_shape(case.tested.flat(case.tested.rule, case.options), *arrays)
    rng = np.random.default_rng((case.seed, 11))
    y_bar = tuple(np.asarray(rng.standard_normal(o.shape)).astype(o.dtype) for o in outs if is_float(o))
    moved = replace(case, arrays=arrays, y_bar=y_bar, label=f"{case.label} on {count} devices", example=False)
    return moved, batch, last


def _sharded(run, mesh, axes):
    if axes is None:
        return None

    def placed(arrays, y_bar):
        laid_out = [jax.device_put(a, NamedSharding(mesh, _spec(mesh, n, a, axes))) for n, a in enumerate(arrays)]
        return run(laid_out, y_bar)[1]

    return placed


def _spec(mesh, n: int, a, axes) -> PartitionSpec:
    # An axis that only follows another by a ratio (channels in groups) need not be divisible itself.
    split = {k for m, k in axes if m == n and a.shape[k] % mesh.devices.size == 0}
    # One mesh axis can lay out one axis of an array.
    chosen = min(split) if split else None
    return PartitionSpec(*[AXIS if k == chosen else None for k in range(np.ndim(a))])


def _separable(case: CallUnderTest, flat, mesh, batch, expected_y) -> bool:
    """Whether the function treats samples one by one: on each device's part of the batch it gives that part of the
    result. Each is asked: a random draw may be the same for some parts and differ for others."""
    count = mesh.devices.size
    size = case.arrays[batch[0][0]].shape[batch[0][1]]
    outs = list(expected_y)
    if size % count or any(y.ndim == 0 or y.shape[0] != size for y in outs):
        return False
    rows = size // count
    one_part = quickly(lambda arrays: flat(*arrays))
    for start in range(0, size, rows):
        part = [_part(n, a, batch, start, start + rows) for n, a in enumerate(case.arrays)]
        try:
            got = call(one_part, OWN, part)
        except Exception:
            return False
        pairs = [
            (np.asarray(g, float), np.asarray(y, float)[start : start + rows]) for g, y in zip(got, outs, strict=True)
        ]
        if not all(np.allclose(g, y, rtol=1e-3, atol=1e-5) for g, y in pairs):
            return False
    return True


def _part(n: int, a, axes, start: int, stop: int):
    index = [slice(None)] * np.ndim(a)
    for m, k in axes:
        if m == n:
            index[k] = slice(start, stop)
    return a[tuple(index)]


def _shard_map(pull, mesh, case: CallUnderTest, batch):
    split = dict(batch)

    def local(arrays, y_bar):
        # A replicated weight must become varying first, or JAX sums its cotangent a second time.
        own = [a if n in split else _varying(a) for n, a in enumerate(arrays)]
        bars = pull(own, y_bar)[1]
        return [b if n in split else jax.lax.psum(b, AXIS) for n, b in zip(case.perturbed, bars, strict=True)]

    specs = [_spec(mesh, n, a, batch) for n, a in enumerate(case.arrays)]
    out = [specs[n] for n in case.perturbed]
    rows = [PartitionSpec(AXIS)] * len(case.y_bar)
    return quickly(jax.shard_map(local, mesh=mesh, in_specs=(specs, rows), out_specs=out))


def _varying(a):
    return jax.lax.pcast(a, AXIS, to="varying")


def _pmap(pull, count: int, case: CallUnderTest, batch):
    split = dict(batch)

    def run(arrays, y_bar):
        pieces = [np.stack(np.split(a, count, split[n])) if n in split else a for n, a in enumerate(arrays)]
        axes = [0 if n in split else None for n in range(len(arrays))]
        rows = [np.stack(np.split(g, count, 0)) for g in y_bar]

        def local(parts, g):
            bars = pull(parts, g)[1]
            return [b if n in split else jax.lax.psum(b, AXIS) for n, b in zip(case.perturbed, bars, strict=True)]

        with unoptimised():
            bars = jax.pmap(local, axis_name=AXIS, in_axes=(axes, 0))(pieces, rows)
        joined = zip(case.perturbed, bars, strict=True)
        return [np.concatenate(list(np.asarray(b)), split[n]) if n in split else np.asarray(b)[0] for n, b in joined]

    return run
