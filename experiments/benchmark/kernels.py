"""Every kernel of a convolution beside the page: `python -m experiments.benchmark.kernels [--out FILE]`.

For each layer of the benchmark and each equation, the page (XLA's convolution) and every kernel that supports the layer
are compared and then timed by turns. `auto` marks what `kernels.select` chooses here.
"""

import argparse
from pathlib import Path

import jax

from experiments.benchmark.layers import CONVS
from experiments.benchmark.measure import taking_turns
from experiments.benchmark.page import print_table
from experiments.comparing import largest_difference
from purecnn.backend import describe_hardware, keep_freed_memory
from purecnn.geometry import conv_dims
from purecnn.kernels import select
from purecnn.layers import conv2d as page

EQUATIONS = ("forward", "input_cotangent", "weight_cotangent")
SYMBOLS: dict[str, str] = dict(zip(EQUATIONS, ("y", "x̄", "w̄"), strict=True))
PAGE = "page"


def ways_of(equation: str, dims) -> dict:
    """{"page" or a kernel's name: function of two arrays and dims}."""
    ways = {PAGE: getattr(page, equation)}
    for name, kernel in select.KERNELS.items():
        if name != "im2col" and hasattr(kernel, equation) and not kernel.unknown(dims):
            ways[name] = getattr(kernel, equation)
    return ways


def taken(equation: str, dims) -> str:
    """The name of what "auto" runs on a CPU."""
    by_platform, select._by_platform = select._by_platform, lambda page, cpu, accelerator: cpu or page
    try:
        chosen = getattr(select, equation)("auto", dims, getattr(page, equation))
    finally:
        select._by_platform = by_platform
    names = [name for name, kernel in select.KERNELS.items() if getattr(kernel, equation, None) is chosen]
    return names[0] if names else PAGE


def row(name: str, equation: str, rounds: int, turn_s: float = 0.1) -> str:
    x_shape, w_shape, stride, padding, _ = CONVS[name]
    dims = conv_dims("conv2d", x_shape, w_shape, stride=stride, padding=padding)
    keys = jax.random.split(jax.random.key(0), 3)
    y_shape = (x_shape[0], *dims.output, w_shape[3])
    x, w, y_bar = (jax.random.normal(k, s) for k, s in zip(keys, (x_shape, w_shape, y_shape), strict=True))
    args = {"forward": (x, w / 10), "input_cotangent": (y_bar, w / 10), "weight_cotangent": (x, y_bar)}[equation]
    compiled = {way: jax.jit(lambda a, b, f=f: f(a, b, dims)) for way, f in ways_of(equation, dims).items()}
    results = {way: f(*args) for way, f in compiled.items()}
    for way, result in results.items():
        apart = largest_difference(result, results[PAGE])
        assert apart < 1e-4, f"{name} {equation}: {way} is apart by {apart:.1e}"
    runs = {way: lambda f=f: jax.block_until_ready(f(*args)) for way, f in compiled.items()}
    timed = taking_turns(runs, rounds, turn_s, base=PAGE)
    auto = taken(equation, dims) if jax.default_backend() == "cpu" else PAGE
    cells = [f"{PAGE} {timed[PAGE].median_ms:.2f} ms"]
    cells += [f"{way} {timed[way].ratio:.2f}{' (auto)' if way == auto else ''}" for way in timed if way != PAGE]
    return f"| {name} | {SYMBOLS[equation]} | {', '.join(cells)}{' (auto: the page)' if auto == PAGE else ''} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="layers whose names begin with one of these")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="write the table here")
    options = parser.parse_args()
    keep_freed_memory()
    head = [f"Of the page's time, on {describe_hardware()}.", "", "| layer | equation | times |", "|---|---|---|"]
    names = [name for name in CONVS if not options.only or name.startswith(tuple(options.only))]
    rows = (row(name, equation, options.rounds) for name in names for equation in EQUATIONS)
    print_table(head, rows, options.out)


if __name__ == "__main__":
    main()
