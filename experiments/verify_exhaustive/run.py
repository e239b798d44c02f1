"""Is any small geometry computed wrong? Run `make verify-exhaustive`, or `python -m experiments.verify_exhaustive.run`.

Rows and columns of a window do not meet in its geometry, so every geometry of one axis is tried once on the rows and
once on the columns, each time beside a random one of the other axis. The arrays hold small integers, so that
`verify`'s exact check asks for bit equality with autodiff of a plain forward. Prints one line per rule, and the report
of each failure.
"""

import argparse
import itertools
import multiprocessing
import os
from collections import Counter
from functools import partial

import numpy as np

RULES = {
    "conv2d xla": ("conv2d", {"algorithm": "xla"}),
    "conv2d auto, two groups": ("conv2d", {"algorithm": "auto", "groups": 2}),
    "conv2d im2col": ("conv2d", {"algorithm": "im2col"}),
    "im2col": ("im2col", {}),
    "col2im": ("col2im", {}),
    "max_pool2d first": ("max_pool2d", {"ties": "first"}),
    "max_pool2d last": ("max_pool2d", {"ties": "last"}),
    "max_pool2d all": ("max_pool2d", {"ties": "all"}),
}


def axes() -> list[tuple[int, int, int, int, int, int]]:
    """Every (extent, size, stride, dilation, pad before, pad after) with small numbers in which the window fits."""
    ranges = itertools.product(range(1, 6), (1, 2, 3), (1, 2, 3), (1, 2), (0, 1, 2), (0, 1))
    return [
        (extent, size, stride, dilation, before, after)
        for extent, size, stride, dilation, before, after in ranges
        if before + extent + after > dilation * (size - 1) and (size > 1 or dilation == 1)
    ]


def outputs(axis) -> int:
    extent, size, stride, dilation, before, after = axis
    return (before + extent + after - dilation * (size - 1) - 1) // stride + 1


def plain_conv2d(x, w, b, *, stride, padding, dilation, groups=1, algorithm):
    """From slices and one product: over autodiff of `lax`'s own convolution XLA aborts in some of these geometries."""
    import jax.numpy as jnp

    from verify.oracle import references

    stack = references.input_at_offsets(x, w.shape[:2], stride, padding, dilation, 0)
    stack = stack.reshape(*stack.shape[:4], groups, -1)
    y = jnp.einsum("tnopgc,tcgd->nopgd", stack, w.reshape(len(stack), w.shape[2], groups, -1))
    return y.reshape(*stack.shape[1:4], -1) + b[None, None, None]


def verdict(rule: str, rows, columns) -> tuple[str, str]:
    """(right, wrong or could not be checked; the report where it is not right) of one rule in one geometry."""
    import purecnn
    import verify
    from verify.oracle import references

    name, options = RULES[rule]
    options |= {
        "stride": (rows[2], columns[2]),
        "dilation": (rows[3], columns[3]),
        "padding": ((rows[4], rows[5]), (columns[4], columns[5])),
    }
    rng = np.random.default_rng(0)
    window, shape, groups = (rows[1], columns[1]), (2, rows[0], columns[0], 2), options.get("groups", 1)

    def draw(*sizes):
        return rng.standard_normal(sizes).astype(np.float32)

    if name == "conv2d":
        args = (draw(*shape), draw(*window, 2 // groups, 4), draw(4))
    elif name == "im2col":
        args = (draw(*shape), window)
    elif name == "col2im":
        args = (draw(2, outputs(rows), outputs(columns), 2 * window[0] * window[1]), shape, window)
    else:
        args, options["window"] = (draw(*shape),), window
    checked = partial(getattr(purecnn, name), **options)
    plain = partial(plain_conv2d if name == "conv2d" else getattr(references, name), **options)
    report = verify.check(checked, *args, reference=plain, checks=("exact",), cases=0, name=f"{rule} {rows} {columns}")
    return report.verdict, "" if report.ok else str(report)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take every n-th geometry only")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    along = axes()
    across = [along[k] for k in np.random.default_rng(0).permutation(len(along))]
    pairs = list(zip(along, across, strict=True))[:: options.every]
    wrong = 0
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=500) as pool:
        for rule in RULES:
            verdicts: Counter[str] = Counter()
            for said, report in pool.starmap(partial(verdict, rule), pairs, chunksize=20):
                verdicts[said] += 1
                if report and verdicts[said] <= 2:
                    print(report)
            wrong += len(pairs) - verdicts["right"]
            print(f"{rule}: {dict(verdicts)} of {len(pairs)} geometries", flush=True)
    print(f"{wrong} geometries not right")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
