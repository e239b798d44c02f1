"""What both scripts say of an array."""

import jax.numpy as jnp


def shape(a) -> str:
    return "×".join(map(str, a.shape)) or "one number"


def glimpse(a) -> str:
    """Its first entries that are not nought, for of a gradient behind a ReLU or a pool most are."""
    flat = jnp.ravel(a)
    some = flat[flat != 0][:3]
    return " ".join(f"{float(value):+.4f}" for value in some) + (" …" if flat.size > 3 else "")


def line(name: str, equation: str, a, compared: str = "") -> str:
    return f"  {name:<8} = {equation:<38} {shape(a):<10} {glimpse(a):<27} {compared}".rstrip()
