"""One row of the GPU's half, in a process of its own; the last line printed is the result as JSON.

python -m experiments.benchmark.gpu_row NET DTYPE [--ways WAY …] [--tiny]
"""

import argparse
import json
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from experiments.benchmark import with_jax
from experiments.benchmark.measure import taking_turns
from experiments.benchmark.nets import GPU_NETS, Net, gpu_net, step_flops

DTYPES = {"bfloat16": jnp.bfloat16, "float32": jnp.float32}  # whose products a GPU computes in TF32
ROUNDS, TURN_S, STEPS_BEFORE = 7, 0.2, 5


def _flax(net: Net, dtype):
    from experiments.benchmark import with_flax

    return with_flax.Way(net, with_jax.optimizer(net), dtype)


def _torch(compiled: bool) -> Callable:
    def build(net: Net, dtype):
        from experiments.benchmark import with_torch

        device = "cuda" if jax.default_backend() == "gpu" else "cpu"
        return with_torch.Way(net, device, dtype == jnp.bfloat16, compiled)

    return build


BUILDERS: dict[str, Callable] = {
    "purecnn": with_jax.purecnn_step,
    "autodiff": with_jax.autodiff_step,
    "flax nnx": _flax,
    "torch channels last": _torch(False),
    "torch compiled": _torch(True),
}


def measure(net: Net, dtype: str, ways: list[str], rounds: int = ROUNDS, turn_s: float = TURN_S) -> dict:
    """{way: its compilation in s, its step in ms, …, or how it failed}: one way's failure is not the others'.

    `losses` are those of the first step and of one after a few updates: a wrong gradient shows in the second.
    """
    found, running, seconds = {}, {}, []
    for name in ways:
        try:
            start = time.perf_counter()
            way = BUILDERS[name](net, DTYPES[dtype])
            built = time.perf_counter()
            found[name] = way.compile() if hasattr(way, "compile") else {}
            losses = [way.steps(1)]
            if jax.config.jax_compilation_cache_dir is None:  # or the programs may have been compiled before
                found[name] |= {"compile_s": time.perf_counter() - built, "start_s": built - start}
            losses.append(way.steps(STEPS_BEFORE))
            start = time.perf_counter()
            way.steps(1)
            seconds.append(time.perf_counter() - start)
            found[name]["losses"], running[name] = losses, way
        except Exception as error:  # whatever a library raises: out of memory, no such kernel, not installed
            found[name] = {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
    calls = max(1, round(turn_s / min(seconds, default=turn_s)))
    timed = taking_turns({name: lambda way=way: way.steps(calls) for name, way in running.items()}, rounds)
    for name, timing in timed.items():
        found[name] |= {"ms": timing.median_ms / calls, "ratio": timing.ratio}
    return found


def peak_flops(dtype: str, n: int) -> float:
    """Per second, of the best of a few n×n products."""
    a = jnp.ones((n, n), DTYPES[dtype])
    product = jax.jit(lambda a: a @ a)
    best = float("inf")
    for _ in range(8):
        start = time.perf_counter()
        jax.block_until_ready(product(a))
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("net", choices=GPU_NETS)
    parser.add_argument("dtype", choices=DTYPES)
    parser.add_argument("--ways", nargs="*", default=list(BUILDERS), choices=BUILDERS)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    net = gpu_net(options.net, options.tiny)
    peak = peak_flops(options.dtype, 64 if options.tiny else 8192)
    how = {"rounds": 1, "turn_s": 0.0} if options.tiny else {}
    ways = measure(net, options.dtype, options.ways, **how)
    print(json.dumps({"peak_flops": peak, "flops": step_flops(net), "ways": ways}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
