"""purecnn against autodiff of plain `lax`, Flax NNX and PyTorch on the same work. Run `make bench`.

    python -m experiments.benchmark.run [--quick] [--only lenet …] [--compile] [--out FOLDER]

All ways of a row take turns of a tenth of a second, round by round, in one process. Loss and gradients are compared
before anything is timed. Flax and torch are the extra `bench`; without them their columns are left out, with a line
that says so. Where JAX finds a GPU, the rows of `gpu.py` run instead.
"""

import argparse
import importlib.util
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmark import gpu, layers, page, with_jax
from experiments.benchmark.agreement import apart, correct
from experiments.benchmark.measure import Timing, taking_turns
from experiments.benchmark.memory import memory_of
from experiments.benchmark.nets import NETS, PREDICTS, example, plain_loss, step_flops
from purecnn.backend import describe_hardware, keep_freed_memory

HAS_TORCH = importlib.util.find_spec("torch") is not None
HAS_FLAX = importlib.util.find_spec("flax") is not None
TURN_S = 0.1
if HAS_TORCH:
    from experiments.benchmark import with_torch
if HAS_FLAX:
    from experiments.benchmark import with_flax


def whole_steps(name: str, compiled: bool) -> dict[str, Callable]:
    net = NETS[name]
    ways: dict[str, Callable] = {"purecnn": with_jax.purecnn_step(net), "autodiff": with_jax.autodiff_step(net)}
    if HAS_FLAX:
        ways["flax nnx"] = with_flax.Way(net, with_jax.optimizer(net))
    if HAS_TORCH:
        for layout in with_torch.LAYOUTS:
            ways[f"torch {layout}"] = with_torch.step(net, layout)
        if compiled:
            ways["torch compiled"] = with_torch.step(net, "channels last", compiled=True)
    return ways


def per_sample_gradients() -> dict[str, Callable]:
    net = NETS["lenet"]
    params, x, labels = example(net)

    def ours(params, x, label):
        import purecnn

        return purecnn.softmax_cross_entropy(net.chain.apply(params, x[None]), label[None]).mean()

    losses = {"purecnn": ours, "autodiff": lambda p, x, y: plain_loss(net, p, x[None], y[None])}
    ways: dict[str, Callable] = {
        way: _blocking(jax.jit(jax.vmap(jax.grad(loss), (None, 0, 0))), (params, x, labels))
        for way, loss in losses.items()
    }
    if HAS_TORCH:
        ways |= {f"torch {layout}": with_torch.per_sample(net, layout) for layout in with_torch.LAYOUTS}
    return ways


def forward_ways(name: str) -> dict[str, Callable]:
    """Compared before they are timed."""
    net = PREDICTS[name]
    functions, args = with_jax.forwards(net)
    difference = apart(functions["purecnn"](*args), functions["autodiff"](*args))
    assert difference < 1e-4, f"{name}: the outputs are apart by {difference:.1e}"
    ways = {way: _blocking(f, args) for way, f in functions.items()}
    if HAS_FLAX:
        ways["flax nnx"] = with_flax.forward(net, *args)
    if HAS_TORCH:
        ways |= {f"torch {layout}": with_torch.forward(net, *args, layout) for layout in with_torch.LAYOUTS}
    return ways


# kind: the sizes of its rows, JAX's two ways for one of them, PyTorch's, and what of arrays and sizes that one takes
KINDS: dict[str, tuple[dict, Callable, str, Callable]] = {
    "conv forward": (
        layers.CONVS,
        lambda *size: layers.conv_forward(*size[:4]),
        "conv_forward",
        lambda args, size: (*args, *size[2:4]),
    ),
    "conv backward": (
        layers.CONVS,
        layers.conv_backward,
        "conv_backward",
        lambda args, size: (args[0], args[1], args[3], *size[2:]),
    ),
    "depthwise": (layers.DEPTHWISE, layers.depthwise, "depthwise", lambda args, size: (*args, size[2])),
    "batch norm": (layers.BATCH_NORMS, lambda *shape: layers.batch_norm(shape), "batch_norm", lambda args, _: args),
    "layer norm": (layers.LAYER_NORMS, lambda *shape: layers.layer_norm(shape), "layer_norm", lambda args, _: args),
    "transposed": (
        layers.TRANSPOSED,
        layers.conv_transpose,
        "conv_transpose",
        lambda args, size: (*args, *size[3:]),
    ),
}


def layer_ways(kind: str, name: str) -> dict[str, Callable]:
    table, of_jax, of_torch, arguments = KINDS[kind]
    functions, args = of_jax(*table[name])
    ways = {way: _blocking(jax.jit(f), args) for way, f in functions.items()}
    return ways | _torch_layouts(of_torch, *arguments(args, table[name]))


def pool_ways(name: str) -> dict[str, Callable]:
    functions, args = layers.pool_backward(*layers.POOLS[name])
    ways = {way: _blocking(jax.jit(f), args[way]) for way, f in functions.items()}
    return ways | _torch_layouts("pool_backward", *args["autodiff"], *layers.POOLS[name][1:])


def _torch_layouts(function: str, *args: Any) -> dict[str, Callable]:
    """PyTorch's way in each layout, where there is PyTorch."""
    layouts = with_torch.LAYOUTS if HAS_TORCH else ()
    return {f"torch {layout}": getattr(with_torch, function)(*args, layout) for layout in layouts}


def flops(row: str) -> float:
    """What a row's work takes at the least, 0 where products are not what it consists of."""
    name, _, way = row.rpartition(" ")
    if name in layers.CONVS:
        *geometry, input_too = layers.CONVS[name]
        return layers.conv_flops(*geometry) * (1 if way == "forward" else 1 + input_too)
    if way == "step":
        return step_flops(NETS[name])
    if way == "predict":
        return PREDICTS[name].chain.summary(PREDICTS[name].shape).flops
    return 0.0


def _blocking(function: Callable, args: tuple) -> Callable[[], object]:
    return lambda: jax.block_until_ready(function(*args))


def peak_gflops() -> float:
    """The best of a few products of large square matrices: what the machine can do at all."""
    a = jnp.ones((2048, 2048))
    product = jax.jit(lambda a: a @ a)
    jax.block_until_ready(product(a))
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(product(a))
        best = min(best, time.perf_counter() - start)
    return 2 * 2048**3 / best / 1e9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and no AlexNet: under two minutes")
    parser.add_argument("--only", nargs="*", default=[], help="rows whose names begin with one of these")
    parser.add_argument("--compile", action="store_true", help="torch.compile too (it needs a C++ compiler)")
    parser.add_argument("--out", type=Path, help="write results.json, README-table and plot here")
    parser.add_argument("--tiny", action="store_true", help="the GPU half at tiny sizes, on a CPU too")
    parser.add_argument("--dtype", nargs="*", default=list(gpu.DTYPES), choices=gpu.DTYPES, help="of the GPU half")
    parser.add_argument("--mode", nargs="*", default=list(gpu.MODES), choices=gpu.MODES, help="of the GPU half")
    parser.add_argument("--ways", nargs="*", default=[], choices=gpu.BUILDERS, help="of the GPU half: these alone")
    options = parser.parse_args()
    keeps = keep_freed_memory()  # before JAX has threads: theirs would take large arrays from the system all the same
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # a GPU's memory is for the processes of its rows
    if options.tiny or jax.default_backend() == "gpu":
        chosen = options.dtype, options.mode, options.ways
        return gpu.main(options.only, options.compile or not options.tiny, options.tiny, options.out, *chosen)
    for library, there in (("flax", HAS_FLAX), ("torch", HAS_TORCH)):
        if not there:
            print(f"{library} is not installed (pip install 'purecnn[bench]'): its columns are left out")
    print(f"hardware: {describe_hardware()}")
    peak = peak_gflops()
    print(f"largest matrix product: {peak:.0f} GFLOP/s")
    print(f"freed memory is {'kept' if keeps else 'given back'} by the C library, for every way alike")
    rounds = 3 if options.quick else 11
    rows = {f"{name} step": lambda name=name: whole_steps(name, options.compile) for name in NETS}
    rows["lenet gradients per sample"] = per_sample_gradients
    rows |= {f"{name} predict": lambda name=name: forward_ways(name) for name in PREDICTS}
    rows |= {f"{name} backward": lambda name=name: pool_ways(name) for name in layers.POOLS}
    for kind in ("depthwise", "batch norm", "layer norm", "transposed"):
        rows |= {f"{name} both": lambda name=name, kind=kind: layer_ways(kind, name) for name in KINDS[kind][0]}
    for way in ("forward", "backward"):
        rows |= {f"{name} {way}": lambda name=name, way=way: layer_ways(f"conv {way}", name) for name in layers.CONVS}
    chosen = [
        row
        for row in rows
        if not (options.quick and row.startswith("alexnet"))
        and (not options.only or any(row.startswith(word) for word in options.only))
    ]
    print("correct?")
    for name in NETS:
        if f"{name} step" in chosen:
            correct(name, with_torch.gradients if HAS_TORCH else None)
    memory = {name: memory_of(NETS[name]) for name in NETS if f"{name} step" in chosen}
    for name, held in memory.items():
        print(page.memory_line(name, held), flush=True)
    results: dict[str, dict[str, Timing]] = {}
    for row in chosen:
        results[row] = taking_turns(rows[row](), rounds, TURN_S)
        print(page.line(row, results[row]), flush=True)
    if options.out:
        where = f"{describe_hardware()}; largest matrix product {peak:.0f} GFLOP/s"
        page.write(options.out, results, memory, {row: flops(row) / peak / 1e6 for row in results}, where)
        data = {"where": where, "rows": page.as_data(results), "memory": memory}
        (options.out / "results.json").write_text(json.dumps(data, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
