"""How a faulty rule is put together."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np


@dataclass(frozen=True)
class Wrong:
    """A rule with one fault, its right reference, one ordinary call, and the words of which one must occur in the
    pattern that the report names. `alone` is False where the fault cannot be told without the reference: another
    legal convention at ties, or a forward function that is wrong itself."""

    name: str
    rule: Callable
    reference: Callable
    args: tuple[Any, ...]
    patterns: tuple[str, ...]
    alone: bool = True
    options: dict[str, Any] = field(default_factory=dict)


def joined(primal: Callable, backward: Callable, **settings: Any) -> Callable:
    """`primal(*args, **options)` with `backward(args, y, g, **options, **settings)` as its `custom_vjp` rule."""

    @functools.wraps(primal)
    def rule(*args, **options):
        @jax.custom_vjp
        def function(*args):
            return primal(*args, **options)

        def fwd(*args):
            y = primal(*args, **options)
            return y, (args, y)

        def bwd(residuals, g):
            return backward(*residuals, g, **options, **settings)

        function.defvjp(fwd, bwd)
        return function(*args)

    return rule


def faults(layer: str, primal: Callable, backward: Callable, args: tuple, table: dict[str, Any]) -> tuple[Wrong, ...]:
    """One `Wrong` per row of a table {fault: patterns} or {fault: (patterns, {field: value})}."""
    rows = []
    for fault, entry in table.items():
        patterns, changes = entry if isinstance(entry[-1], dict) else (entry, {})
        given = {"args": args, **changes}
        rows.append(
            Wrong(f"{layer}: {fault}", joined(primal, backward, fault=fault), primal, patterns=patterns, **given)
        )
    return tuple(rows)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def distinct(seed: int, *shape: int) -> np.ndarray:
    """No two elements closer than 1/n."""
    n = int(np.prod(shape))
    return ((np.random.default_rng(seed).permutation(n) - n / 2 + 0.3) * (4 / n)).reshape(shape).astype(np.float32)
