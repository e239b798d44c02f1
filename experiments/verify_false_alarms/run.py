"""How often does `verify` call a right rule wrong? Run `python -m experiments.verify_false_alarms.run`.

Every right rule of tests/verify/faulty_rules, every rule of purecnn, and the layers of LeNet at its own sizes: fresh
numbers for each seed, through the checks that compare numbers; every tenth seed also through every generated content
(ties, zeros, saturation, …). One line per rule and dtype, with its reference and without.
"""

import argparse
import multiprocessing
import os
import time
from functools import partial

# What ties="all" returns at a tie is no subgradient, so without a reference `verify` is right to refuse it.
NEEDS_ITS_REFERENCE = {"max_pool2d to every tie"}
SEEDS = {"float32": 1000, "float64": 1000, "bfloat16": 200, "float16": 200}


def rules() -> dict[str, tuple]:
    """name -> (rule, reference or None, the arguments of one call)."""
    import purecnn
    from tests.verify.faulty_rules.all import RIGHT
    from verify.oracle import references
    from verify.suite import ENTRIES, LABELS, distinct, normal

    sizes = {
        "conv2d": (normal(8, 14, 14, 6), normal(5, 5, 6, 16), normal(16)),
        "max_pool2d": (distinct(8, 28, 28, 6),),
        "relu": (normal(8, 28, 28, 6),),
        "dense": (normal(8, 400), normal(400, 120), normal(120)),
        "softmax_cross_entropy": (normal(6, 10), LABELS),
    }
    return {
        **{f"test's {name}": (rule, reference, args) for name, rule, reference, args in RIGHT},
        **{e.name: (e.rule, e.reference, e.args) for e in ENTRIES},
        **{f"LeNet's {n}": (getattr(purecnn, n), getattr(references, n), args) for n, args in sizes.items()},
    }


def line(task: tuple[str, str, bool], scale: float) -> tuple[int, str]:
    """(alarms, the line to print) of one rule at one dtype."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from tests.verify.seeds import alarms

    name, dtype, alone = task
    rule, reference, args = rules()[name]
    seeds, start = max(1, int(SEEDS[dtype] * scale)), time.time()
    with jax.enable_x64(dtype == "float64"):
        cast = [a.astype(jnp.dtype(dtype)) if getattr(a, "dtype", None) == np.float32 else a for a in args]
        found = alarms(rule, cast, None if alone else reference, range(seeds), every_content=10)
    words = f"{name} {dtype} {'without' if alone else 'with'} reference: {len(found)} alarms in {seeds} seeds"
    return len(found), "\n".join([f"{words}, {time.time() - start:.0f} s", *map(str, found[:2])])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the seeds to run")
    parser.add_argument("--dtype", nargs="*", default=list(SEEDS))
    parser.add_argument("--only", nargs="*", default=[""], help="rules whose names begin with one of these")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    tasks = [
        (name, dtype, alone)
        for dtype in options.dtype
        for name, (_, reference, _) in rules().items()
        for alone in (False, True)
        if (name not in NEEDS_ITS_REFERENCE if alone else reference) and name.startswith(tuple(options.only))
    ]
    total = 0
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=8) as pool:
        for count, text in pool.imap(partial(line, scale=options.scale), tasks):
            total += count
            print(text, flush=True)
    print(f"{total} alarms in {len(tasks)} runs")
    return int(total > 0)


if __name__ == "__main__":
    raise SystemExit(main())
