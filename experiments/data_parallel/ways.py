"""One gradient, three ways to have many devices compute it: `pmap`, `shard_map`, and `jit` of a sharded batch.

Each makes, of a net and some devices, a compiled function of (params, x, labels) and the arrays to call it with.
"""

import re

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import purecnn


def with_pmap(net, devices, params, x, labels):
    """Replicas with an axis of their own in front: the batch is cut by hand, and the mean over devices asked for."""

    def one(params, x, labels):
        return jax.lax.pmean(purecnn.backprop(net, params, x, labels), "data")

    cut = [a.reshape(len(devices), -1, *a.shape[1:]) for a in (x, labels)]
    args = (params, *cut)
    return jax.pmap(one, "data", in_axes=(None, 0, 0), out_axes=None, devices=devices).lower(*args).compile(), args


def with_shard_map(net, devices, params, x, labels):
    """The same program for each device on its part of one array. Weights are made varying first, or JAX would take the
    cotangent of a replicated weight to be summed already."""
    mesh = Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,))

    def one(params, x, labels):
        params = jax.lax.pcast(params, "data", to="varying")
        return jax.lax.pmean(purecnn.backprop(net, params, x, labels), "data")

    step = jax.shard_map(one, mesh=mesh, in_specs=(P(), P("data"), P("data")), out_specs=P())
    return _compiled(step, mesh, params, x, labels)


def with_jit(net, devices, params, x, labels):
    """The program for one device, unchanged: where the batch is cut, the compiler finds out what must be summed."""
    mesh = Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,))
    return _compiled(lambda params, x, labels: purecnn.backprop(net, params, x, labels), mesh, params, x, labels)


def _compiled(step, mesh, params, x, labels):
    everywhere, split = NamedSharding(mesh, P()), NamedSharding(mesh, P("data"))
    args = (jax.device_put(params, everywhere), *(jax.device_put(a, split) for a in (x, labels)))
    return jax.jit(step, out_shardings=everywhere).lower(*args).compile(), args


WAYS = {"pmap": with_pmap, "shard_map": with_shard_map, "jit": with_jit}

COLLECTIVE = re.compile(r"= (\(.*?\)|\S+) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)\(")
ARRAY = re.compile(r"\b(f32|s32|pred)\[([\d,]*)\]")
BYTES = {"f32": 4, "s32": 4, "pred": 1}


def collectives(text: str) -> dict[str, dict[str, int]]:
    """kind: how many there are in a compiled program, how many arrays they carry and how many bytes."""
    found: dict[str, dict[str, int]] = {}
    for what, kind in COLLECTIVE.findall(text):
        arrays = [(dtype, [int(n) for n in shape.split(",") if n]) for dtype, shape in ARRAY.findall(what)]
        row = found.setdefault(kind, {"operations": 0, "arrays": 0, "bytes": 0})
        row["operations"] += 1
        row["arrays"] += len(arrays)
        row["bytes"] += sum(BYTES[dtype] * int(np.prod(shape, dtype=int)) for dtype, shape in arrays)
    return found
