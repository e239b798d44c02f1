"""Every rule beside PyTorch's in float64: the value and all gradients, over random shapes and options.

Run `python -m experiments.against_pytorch.run` (the extra `bench` has torch); `--rules gelu layer_norm` for some,
`--draws N` for how many shapes, `--seed N` for others, `--out FILE` to keep the table. Exits with 1 if anything differs
by more than 1e-10 of the largest entry of its array.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", 4)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

from experiments.against_pytorch.entries import ENTRIES, Entry  # noqa: E402

LIMIT = 1e-10
UNOPTIMISED = {"xla_backend_optimization_level": 0}  # each program runs once


def is_float(a: Any) -> bool:
    return isinstance(a, np.ndarray) and a.dtype == np.float64


def ours(entry: Entry, args: tuple[Any, ...], options: dict[str, Any], y_bar=None):
    """The values (a list: some rules return several), and the gradients of Σ ȳ · y by each floating array."""
    chosen = [i for i, a in enumerate(args) if is_float(a)]

    def of(some):
        full = list(args)
        for i, a in zip(chosen, some, strict=True):
            full[i] = a
        return jax.tree.leaves(entry.rule(*full, **options))

    some = [jnp.asarray(args[i]) for i in chosen]
    if y_bar is None:
        return [np.empty(y.shape) for y in jax.eval_shape(of, some)]

    def both(some, y_bar):
        y, pullback = jax.vjp(of, some)
        return y, pullback(y_bar)[0]

    return jax.jit(both, compiler_options=UNOPTIMISED)(some, [jnp.asarray(b) for b in y_bar])


def theirs(entry: Entry, args: tuple[Any, ...], options: dict[str, Any], y_bar):
    """The same in PyTorch."""
    tensors = [torch.from_numpy(a.copy()) if isinstance(a, np.ndarray) else a for a in args]
    some = [t.requires_grad_() for t in tensors if isinstance(t, torch.Tensor) and t.is_floating_point()]
    y = entry.torch(*tensors, **options)
    y = list(y) if isinstance(y, tuple | list) else [y]
    gradients = torch.autograd.grad(y, some, [torch.from_numpy(np.asarray(b)) for b in y_bar])
    return [t.detach().numpy() for t in y], [g.numpy() for g in gradients]


def apart(got, expected) -> float:
    """The largest difference, relative to the largest expected number; of the worst array."""
    worst = 0.0
    for g, e in zip(got, expected, strict=True):
        g, e = np.asarray(g), np.asarray(e)
        if g.shape != e.shape or not np.isfinite(g).all():
            return float("inf")
        scale = max(np.abs(e).max(initial=0), np.finfo(float).tiny)
        worst = max(worst, float(np.abs(g - e).max(initial=0) / scale))
    return worst


def compare(entry: Entry, draws: int, seed: int = 0) -> tuple[float, float]:
    """The worst difference of a value and of a gradient."""
    worst = [0.0, 0.0]
    for draw in range(draws):
        rng = np.random.default_rng((seed, draw))
        args, options = entry.draw(rng)
        y_bar = [np.asarray(rng.normal(size=y.shape)) for y in ours(entry, args, options)]
        got, expected = ours(entry, args, options, y_bar), theirs(entry, args, options, y_bar)
        worst = [max(w, apart(g, e)) for w, g, e in zip(worst, got, expected, strict=True)]
    return worst[0], worst[1]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", nargs="+", choices=[entry.name for entry in ENTRIES], metavar="RULE", help="some")
    parser.add_argument("--draws", type=int, default=20, help="random shapes and options for each rule")
    parser.add_argument("--seed", type=int, default=0, help="of the shapes, options and numbers")
    parser.add_argument("--out", type=Path, help="write the table here")
    chosen = parser.parse_args(arguments)
    lines = [
        f"JAX {jax.__version__}, PyTorch {torch.__version__}, float64, {chosen.draws} draws a rule, seed {chosen.seed}",
        "",
        "| rule | value | gradients |",
        "|---|---:|---:|",
    ]
    found = []
    for entry in ENTRIES:
        if not chosen.rules or entry.name in chosen.rules:
            value, gradient = compare(entry, chosen.draws, chosen.seed)
            found += [value, gradient]
            lines.append(f"| `{entry.name}` | {value:.1e} | {gradient:.1e} |")
    print("\n".join(lines))
    if chosen.out:
        chosen.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if max(found) <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
