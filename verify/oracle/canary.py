"""Small known answers that expose a backend which computes wrong numbers, asked before any rule is blamed.

jaxlib 0.10.2 to 0.12.0.1 on CPU fuse a reduction into a matrix product and get NaN or 1e30 where the answer is 0; that
is the very form of a backward rule with a zero cotangent. A list of versions would be out of date soon, so the
programs themselves are run.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

REPAIR = "set XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type=-reduce before JAX starts (jaxlib 0.10.2 and newer)"


@dataclass(frozen=True)
class Canary:
    """A program, its answer, and what came instead (`error` 0 if right)."""

    name: str
    error: float
    allowed: float
    repair: str = ""

    @property
    def ok(self) -> bool:
        return self.error <= self.allowed  # false for NaN too

    def __str__(self) -> str:
        state = "right" if self.ok else f"WRONG by {self.error:.3g} (allowed {self.allowed:.2g})"
        return f"{self.name}: {state}" + ("" if self.ok or not self.repair else f"; {self.repair}")


def _numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _zero_product() -> float:
    e = _numbers(300, 300)
    got = jax.jit(lambda e: ((e @ jnp.zeros((300, 300), e.dtype)) * e).sum(1))(e)
    return float(np.abs(np.asarray(got)).max())


def _squared_product() -> float:
    m, r = _numbers(64, 300), _numbers(300)
    got = float(jax.jit(lambda m, r: ((m @ r) ** 2).sum())(m, r))
    want = float(((m.astype(float) @ r.astype(float)) ** 2).sum())
    return abs(got / want - 1)


def _convolution() -> float:
    x, w = _numbers(2, 6, 6, 3), _numbers(3, 3, 3, 4)

    def loss(x, w):
        return (
            jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")) ** 2
        ).sum()

    got = np.asarray(jax.jit(jax.grad(loss, 1))(x, w), np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(float), (3, 3), (1, 2))  # n h w c i j
    y = np.einsum("nhwcij,ijcd->nhwd", windows, w.astype(float))
    want = 2 * np.einsum("nhwcij,nhwd->ijcd", windows, y)
    return float(np.abs(got - want).max() / np.abs(want).max())


def _masked_sum() -> float:
    g, x = _numbers(16, 12, 12, 8), _numbers(16, 12, 12, 8)
    got = jax.jit(lambda g, x: jnp.where(x > 0, g, jnp.zeros_like(g)).sum((0, 1, 2)))(g, x)
    want = np.where(x > 0, g.astype(float), 0).sum((0, 1, 2))
    return float(np.abs(np.asarray(got) - want).max() / np.abs(want).max())


PROGRAMS: tuple[tuple[str, Callable[[], float], float, str], ...] = (
    ("a product with zeros, times itself, summed", _zero_product, 0.0, REPAIR),
    ("the squared norm of a product", _squared_product, 1e-4, REPAIR),
    ("the weight cotangent of a convolution", _convolution, 1e-4, ""),
    ("a masked sum over a batch", _masked_sum, 1e-4, REPAIR),
)


@functools.cache
def canaries() -> tuple[Canary, ...]:
    """Run every program once per process, at full precision of products."""
    with jax.default_matmul_precision("highest"):
        return tuple(Canary(name, run(), allowed, repair) for name, run, allowed, repair in PROGRAMS)


def symptoms() -> str:
    """What is wrong with the backend, in one line; empty if nothing is."""
    return "; ".join(str(c) for c in canaries() if not c.ok)
