"""How often does `verify` call a right rule wrong? Run `python -m experiments.verify_false_alarms.run`.

Every right rule of tests/verify/wrong_rules, fresh numbers for each seed, through the checks that compare numbers;
every tenth seed also through every generated content (ties, zeros, saturation, …). One line per rule and dtype.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np

from tests.verify.seeds import alarms
from tests.verify.wrong_rules.all import RIGHT

SEEDS = {"float32": 1000, "float64": 1000, "bfloat16": 200, "float16": 200}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the seeds to run")
    parser.add_argument("--dtype", nargs="*", default=list(SEEDS))
    options = parser.parse_args()
    total = 0
    for dtype in options.dtype:
        seeds = max(1, int(SEEDS[dtype] * options.scale))
        for name, rule, reference, args in RIGHT:
            for oracle in (reference, None):
                start = time.time()
                with jax.enable_x64(dtype == "float64"):
                    cast = tuple(a.astype(jnp.dtype(dtype)) if a.dtype == np.float32 else a for a in args)
                    found = alarms(rule, cast, oracle, range(seeds), every_content=10)
                total += len(found)
                alone = "with" if oracle else "without"
                took = f"{time.time() - start:.0f} s"
                print(f"{name} {dtype} {alone} reference: {len(found)} alarms in {seeds} seeds, {took}", flush=True)
                for finding in found[:2]:
                    print(finding)
    print(f"{total} alarms")


if __name__ == "__main__":
    main()
