"""A net in plain JAX, and the same net on purecnn's rules: three calls change.

    python -m experiments.drop_in.plain_jax

Images are N H W C and kernels H W I O in both.
"""

import jax
import jax.numpy as jnp
from jax import lax

import purecnn


def conv(x, w, b):
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + b


def max_pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def as_it_was(params, x):
    x = max_pool(jax.nn.relu(conv(x, params["w1"], params["b1"])))
    x = max_pool(jax.nn.relu(conv(x, params["w2"], params["b2"])))
    return x.reshape(len(x), -1) @ params["w3"] + params["b3"]


def swapped(params, x):
    x = purecnn.max_pool2d(purecnn.relu(purecnn.conv2d(x, params["w1"], params["b1"], padding="SAME")))
    x = purecnn.max_pool2d(purecnn.relu(purecnn.conv2d(x, params["w2"], params["b2"], padding="SAME")))
    return x.reshape(len(x), -1) @ params["w3"] + params["b3"]


def forms(side: int):
    """name: (parameters, a function of them and of a batch N H W C to logits)."""
    shapes = {"w1": (3, 3, 3, 16), "w2": (3, 3, 16, 32), "w3": (32 * (side // 4) ** 2, 10)}
    keys = dict(zip(shapes, jax.random.split(jax.random.key(0), 3), strict=True))
    params = {name: purecnn.initializers.he_normal(keys[name], shape) for name, shape in shapes.items()}
    params |= {f"b{name[1]}": jnp.zeros(shape[-1]) for name, shape in shapes.items()}
    return {"as it was": (params, as_it_was), "swapped": (params, swapped)}


if __name__ == "__main__":
    from experiments.drop_in.run import compare, steps

    print(compare(steps("plain_jax")))
