"""How long does ResNet-50's step take to compile, and does a scan over equal blocks help? See the README."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import purecnn
from experiments.compile_time import scanned
from purecnn import nn
from purecnn.chain import Chain, Layer

RESULTS = Path(__file__).parent / "results"


def bottleneck_net(stages: tuple[int, ...] = (3, 4, 6, 3), features: int = 64) -> Chain:
    """ResNet-50 for the default stages."""
    layers = [*_conv_norm(features, 7, 2), nn.relu(), nn.max_pool2d(3, stride=2, padding=1)]
    for stage, blocks in enumerate(stages):
        for block in range(blocks):
            stride, narrow = 2 if stage and not block else 1, features * 2**stage
            first, second = (*_conv_norm(narrow, 1), nn.relu()), (*_conv_norm(narrow, 3, stride), nn.relu())
            shortcut = () if block else _conv_norm(4 * narrow, 1, stride)
            layers += [nn.residual(*first, *second, *_conv_norm(4 * narrow, 1), shortcut=shortcut), nn.relu()]
    return Chain("bottleneck", (*layers, nn.global_avg_pool(), nn.dense(1000)))


def _conv_norm(channels: int, window: int, stride: int = 1) -> tuple[Layer, ...]:
    return nn.conv2d(channels, window, stride=stride, padding=window // 2, bias=False), nn.batch_norm()


def steps(net: Chain) -> dict[str, Callable[..., Any]]:
    """(params, state, x, labels) -> loss, gradients; four ways to the same numbers."""

    def by_grad(net, loss):
        def mean(params, state, x, labels):
            return loss(net.apply(params, x, state=state, train=True), labels).mean()

        return jax.value_and_grad(mean)

    def lists(params, state, x, labels):
        return purecnn.backprop(net, params, x, labels, state=state, train=True)

    def scans(params, state, x, labels):
        return scanned.backprop(net, params, x, labels, state=state)

    return {
        "backprop": lists,
        "backprop, scanned": scans,
        "jax.grad": by_grad(net, purecnn.softmax_cross_entropy),
        "autodiff": by_grad(net.without_rules(), purecnn.softmax_cross_entropy.primal),
    }


def arguments(net: Chain, size: int, batch: int):
    shape = (size, size, 3)
    params, state = jax.jit(lambda: (net.init(jax.random.key(0), shape), net.init_state(shape)))()
    return params, state, jax.random.normal(jax.random.key(1), (batch, *shape)), jnp.arange(batch) % 1000


def compiled(step, arguments) -> tuple[dict[str, float], Any]:
    """Seconds of CPU time, of all threads, to trace, lower and compile from nothing, and the program."""
    jax.clear_caches()
    start = time.process_time()
    traced = jax.jit(step).trace(*arguments)
    at_trace = time.process_time()
    lowered = traced.lower()
    at_lowered = time.process_time()
    program = lowered.compile()
    at_end = time.process_time()
    seconds = {"trace": at_trace - start, "lower": at_lowered - at_trace, "compile": at_end - at_lowered}
    return seconds, program


def step_time(program, arguments, rounds: int) -> float:
    jax.block_until_ready(program(*arguments))
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a net of four blocks, one round")
    parser.add_argument("--stages", type=int, nargs=4, default=[3, 4, 6, 3], help="blocks; 3 8 36 3 is ResNet-152")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", help="of the ways")
    options = parser.parse_args()
    net = bottleneck_net((1, 3), 8) if options.quick else bottleneck_net(tuple(options.stages))
    size, batch, rounds = (32, 2, 1) if options.quick else (options.size, options.batch, options.rounds)
    given, results = arguments(net, size, batch), {}
    for name, step in steps(net).items():
        if options.only and name not in options.only:
            continue
        seconds, program = compiled(step, given)
        memory = program.memory_analysis().temp_size_in_bytes
        results[name] = {**seconds, "step": step_time(program, given, rounds), "temporaries_mb": memory / 1e6}
        print(f"{name:18}", "  ".join(f"{what} {number:8.3f}" for what, number in results[name].items()), flush=True)
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        layers = 2 + 3 * sum(options.stages)
        path = RESULTS / f"{jax.default_backend()}_{layers}_layers_{size}_{batch}.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**known, **results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
