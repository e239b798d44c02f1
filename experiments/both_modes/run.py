"""Which transformations work for every rule that is defined for both modes, and at what compile time? See the README.

python -m experiments.both_modes.run [--only RULE …]
python -m experiments.both_modes.run --compile [--custom-vjp]
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp

if "--custom-vjp" not in sys.argv:
    from experiments.both_modes.joined import BothModes

    jax.custom_vjp = BothModes  # before the rules are joined

import purecnn
from purecnn import models
from verify import suite

RESULTS = Path(__file__).parent / "results"
TOLERANCE = 2e-4  # float32: of the largest entry


def scalar(function, args):
    """(loss of the floating arguments, those arguments)."""
    moving = [i for i, a in enumerate(args) if hasattr(a, "dtype") and jnp.issubdtype(a.dtype, jnp.floating)]

    def loss(*arrays):
        full = list(args)
        for i, array in zip(moving, arrays, strict=True):
            full[i] = array
        leaves = jax.tree.leaves(function(*full))
        return sum((jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape) * y**2).sum() for y in leaves)

    return loss, tuple(jnp.asarray(args[i]) for i in moving)


def directional(grad, v):
    return lambda *x: sum((g * d).sum() for g, d in zip(grad(*x), v, strict=True))


def transformations(loss, x):
    """name -> a function of x, and which of the four numbers of autodiff it is."""
    every = tuple(range(len(x)))
    grad, v = jax.grad(loss, every), tuple(jnp.sin(jnp.arange(a.size, dtype=a.dtype)).reshape(a.shape) for a in x)

    def mapped(*x):
        twice = jax.vmap(grad)(*(jnp.stack([a, a]) for a in x))
        return tuple(t[1] for t in twice)

    def mapped_product(*x):
        twice = jax.vmap(lambda *x: jax.jvp(grad, x, v)[1])(*(jnp.stack([a, a]) for a in x))
        return tuple(t[1] for t in twice)

    def scanned(*x):
        def total(*x):
            return jax.lax.scan(lambda t, f: (t + loss(*(f * a for a in x)), None), 0.0, jnp.ones(1))[0]

        return jax.grad(total, every)(*x)

    return {
        "grad": (grad, "grad"),
        "vmap of grad": (mapped, "grad"),
        "grad of scan": (scanned, "grad"),
        "grad of remat": (jax.grad(jax.checkpoint(loss), every), "grad"),
        "grad of grad": (jax.grad(directional(grad, v), every), "hvp"),
        "jvp": (lambda *x: jax.jvp(loss, x, v)[1], "jvp"),
        "linearize": (lambda *x: jax.linearize(loss, *x)[1](*v), "jvp"),
        "jacfwd": (lambda *x: directional(jax.jacfwd(loss, every), v)(*x), "jvp"),
        "jvp of grad": (lambda *x: jax.jvp(grad, x, v)[1], "hvp"),
        "grad of jvp": (jax.grad(lambda *x: jax.jvp(loss, x, v)[1], every), "hvp"),
        "vmap of jvp of grad": (mapped_product, "hvp"),
    }


def without_rules(rule):
    if isinstance(rule, functools.partial):
        return functools.partial(rule.func.primal, *rule.args, **rule.keywords)
    return rule.primal


def outcome(run, expected, x) -> str:
    """ "" where it holds."""
    try:
        got = jax.jit(run)(*x)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:150]}"
    errors = [
        float(jnp.abs(g - e).max() / jnp.maximum(jnp.abs(e).max(), 1e-3))
        for g, e in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True)
        if e.size
    ]
    return "" if max(errors) <= TOLERANCE else f"differs by {max(errors):.1e}"


def hold(only) -> dict[str, dict[str, str]]:
    failures: dict[str, dict[str, str]] = {}
    for entry in suite.ENTRIES:
        if only and entry.name not in only:
            continue
        plain, x = scalar(without_rules(entry.rule), entry.args)
        names = {"grad": "grad", "jvp": "jvp", "hvp": "jvp of grad"}
        ways = transformations(plain, x)
        expected = jax.jit(
            lambda *x, ways=ways, names=names: {what: ways[name][0](*x) for what, name in names.items()}
        )(*x)
        loss, x = scalar(entry.rule, entry.args)
        found = {name: outcome(run, expected[what], x) for name, (run, what) in transformations(loss, x).items()}
        failures[entry.name] = {name: text for name, text in found.items() if text}
        print(entry.name, failures[entry.name] or "holds", flush=True)
    return failures


def compile_time() -> dict[str, float]:
    net, shape = models.resnet_cifar(), (32, 32, 3)
    params, state = jax.jit(lambda: (net.init(jax.random.key(0), shape), net.init_state(shape)))()
    x, labels = jax.random.normal(jax.random.key(1), (32, *shape)), jnp.arange(32) % 10

    def loss(params):
        return purecnn.softmax_cross_entropy(net.apply(params, x, state=state, train=True), labels).mean()

    seconds = {}
    jax.clear_caches()
    start = time.process_time()
    lowered = jax.jit(jax.grad(loss)).lower(params)
    seconds["trace and lower"] = time.process_time() - start
    start = time.process_time()
    program = lowered.compile()
    seconds["compile"] = time.process_time() - start
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        jax.block_until_ready(program(params))
        best = min(best, time.perf_counter() - start)
    return {**seconds, "step": best}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--compile", action="store_true", help="time ResNet-8's step in place of it")
    parser.add_argument("--custom-vjp", action="store_true", help="joined as they are")
    options = parser.parse_args()
    join = "custom_vjp" if options.custom_vjp else "hijax"
    if options.compile:
        found = compile_time()
        print(join, {name: round(number, 3) for name, number in found.items()})
    else:
        found = hold(options.only)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{'compile' if options.compile else 'hold'}_{join}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
