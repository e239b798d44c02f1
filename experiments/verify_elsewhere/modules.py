"""Every function of whole modules of JAX that takes one, two or three plain arguments, each with the first arguments of
a fixed list at which its values are finite floating-point numbers."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.stats as stats
import numpy as np

MODULES = {
    "jnp": jnp,
    "jax.nn": jax.nn,
    "lax": jax.lax,
    "jnp.linalg": jnp.linalg,
    "jnp.fft": jnp.fft,
    "special": jax.scipy.special,
    "scipy.linalg": jax.scipy.linalg,
    "signal": jax.scipy.signal,
    "image": jax.image,
    "ops": jax.ops,
} | {
    f"stats.{name}": module
    for name, module in sorted(vars(stats).items())
    if inspect.ismodule(module) and hasattr(module, "logpdf")
}
# They read or write files or memory, or draw other numbers every time.
LEFT_OUT = {"save", "savez", "load", "fromfile", "infeed", "outfeed", "rng_uniform", "frompyfunc", "from_dlpack"}


def arguments() -> list[tuple[Any, ...]]:
    """What is tried, in this order: matrices, positive ones, vectors, a positive definite matrix, pairs and numbers."""
    rng = np.random.default_rng(66)
    normal = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    between = lambda *shape: rng.uniform(0.2, 0.8, shape).astype(np.float32)  # noqa: E731
    x, p, v, root = normal(4, 5), between(4, 5), normal(5), normal(4, 4)
    definite = root @ root.T + 4 * np.eye(4, dtype=np.float32)
    one = [(x,), (p,), (v,), (definite,)]
    two = [(x, normal(4, 5)), (p, between(4, 5)), (v, normal(5)), (definite, normal(4)), (definite, definite + 1)]
    return [*one, *two, (x, 2), (x, 1), (p, between(4, 5), between(4, 5)), (v, normal(5), normal(5))]


def functions() -> Iterator[tuple[str, Callable]]:
    """Each once, by the first name that it has."""
    seen = set()
    for module, inside in MODULES.items():
        for name, function in sorted(vars(inside).items()):
            public = callable(function) and not inspect.isclass(function) and not name.startswith("_")
            if public and name not in LEFT_OUT and id(function) not in seen:
                seen.add(id(function))
                yield f"{module}.{name}", function


def call_of(function: Callable) -> tuple[Any, ...] | None:
    """The arguments for a function; None where none of them will do."""
    return next((args for args in arguments() if _has_finite_values(function, args)), None)


def _has_finite_values(function: Callable, args: tuple[Any, ...]) -> bool:
    try:
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(function(*args)) if hasattr(leaf, "dtype")]
    except Exception:
        return False
    numbers = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return bool(numbers) and all(np.isfinite(leaf).all() for leaf in numbers)
