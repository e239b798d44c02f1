"""How long does `verify` take? Run from the repository: `python -m experiments.verify_cost.run`.

Each layer of LeNet, batch 8, and one large convolution, all default checks, in a fresh process held to one core; then
`import verify`; then, with `--suite`, the whole suite as `make verify` runs it.
"""

import argparse
import json
import os
import subprocess
import sys
import time

LAYERS = {
    "conv2d, first": ("purecnn:conv2d", "f32[8,28,28,1]", "f32[5,5,1,6]", "f32[6]"),
    "conv2d, second": ("purecnn:conv2d", "f32[8,14,14,6]", "f32[5,5,6,16]", "f32[16]"),
    "max_pool2d": ("purecnn:max_pool2d", "f32[8,28,28,6]"),
    "relu": ("purecnn:relu", "f32[8,28,28,6]"),
    "flatten": ("purecnn:flatten", "f32[8,5,5,16]"),
    "dense": ("purecnn:dense", "f32[8,400]", "f32[400,120]", "f32[120]"),
    "conv2d, 8×56×56×32": ("purecnn:conv2d", "f32[8,56,56,32]", "f32[3,3,32,32]", "f32[32]"),
    "softmax_cross_entropy": ("purecnn:softmax_cross_entropy", "f32[8,10]", "i32[8]<10"),
}


def seconds(*command: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def checked(*command: str) -> tuple[float, float]:
    """Seconds of the check itself, as its report says, and of the whole process."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *command, "--json", "-"], check=True, capture_output=True, text=True)
    (report,) = json.loads(done.stdout)["reports"]
    return report["seconds"], time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", action="store_true", help="also time the whole suite, on every core")
    options = parser.parse_args()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    for name, (rule, *args) in LAYERS.items():
        given = ("-m", "verify", rule, *args, "--reference", rule.replace("purecnn:", "verify.oracle.references:"))
        (alone, alone_process), (many, many_process) = (checked(*given, "--devices", str(n)) for n in (1, 8))
        print(
            f"{name:22} {alone:5.1f} s on one device (the process {alone_process:.1f} s), "
            f"{many:5.1f} s with the checks on 8 devices ({many_process:.1f} s)",
            flush=True,
        )
    with_it, without = (sorted(seconds("-c", code) for _ in range(5))[2] for code in ("import verify", ""))
    print(f"import verify          {with_it - without:5.2f} s")
    os.sched_setaffinity(0, cores)
    if options.suite:
        print(f"the suite              {seconds('-m', 'verify'):5.0f} s on {len(cores)} cores")


if __name__ == "__main__":
    main()
