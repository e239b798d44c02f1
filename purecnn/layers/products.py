"""Matrix products whose 16-bit sums run in float32, and what XLA on a CPU makes of some.

XLA on a CPU cannot run some such products of 16-bit arrays under `jax.vmap`, when one side is shared by all of them
("UNIMPLEMENTED: Unsupported element type for DotThunk::Execute: BF16 x BF16 = F32", jaxlib 0.10.1). There both sides
are widened first, which is what XLA does itself with those that it can run; no product of two 16-bit numbers is rounded
in float32 either way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array
from purecnn.arguments import accumulation_dtype

FEW, LARGE = 64, 1 << 20  # rows of a, numbers in b


def matmul(a: Array, b: Array) -> Array:
    """`jnp.matmul`, in the dtype sums are formed in."""
    return _product(jnp.matmul, a, b)


def matmul_transposed(a: Array, b: Array) -> Array:
    """a bᵀ, in the dtype sums are formed in.

    With few rows of a and a large b, XLA on a CPU writes b down in another order first, which takes longer than the
    product: 24 ms where (b aᵀ)ᵀ, the same sums with b read as it lies, takes 7 (16 × 4096 times 4096 × 9216). The
    barrier keeps XLA from turning that back.
    """
    if len(a) > FEW or b.size < LARGE:
        return matmul(a, b.T)
    return lax.platform_dependent(
        a,
        b,
        cpu=lambda a, b: lax.optimization_barrier(matmul(b, a.T)).T,
        default=lambda a, b: matmul(a, b.T),
    )


def einsum(subscripts: str, a: Array, b: Array) -> Array:
    """`jnp.einsum` of two arrays, in the dtype sums are formed in."""
    return _product(functools.partial(jnp.einsum, subscripts), a, b)


def _product(multiply: Callable[..., Array], a: Array, b: Array) -> Array:
    wide = accumulation_dtype(a.dtype)
    as_they_are = functools.partial(multiply, preferred_element_type=wide)
    if a.dtype == wide:
        return as_they_are(a, b)
    return lax.platform_dependent(a, b, cpu=lambda a, b: multiply(a.astype(wide), b.astype(wide)), default=as_they_are)
