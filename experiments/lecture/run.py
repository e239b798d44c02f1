"""The lecture's summary network (row 16), written out by hand: both of its lists, on one small image.

The forward list keeps what each backward function needs; the backward list is the forward one in reverse. Nothing is
differentiated by machine until the last lines, which compare with `jax.grad` of the same network in plain JAX
operations, none of them ours.

    python experiments/lecture/run.py
"""

import jax
import jax.numpy as jnp
from jax import lax

import purecnn as p


def parameters(key):
    """Two convolutions and two fully connected layers for a 12×12 image with one channel and five classes."""
    shapes = {"w1": (3, 3, 1, 4), "w4": (3, 3, 4, 8), "w10": (72, 16), "w12": (16, 5)}
    keys = dict(zip(shapes, jax.random.split(key, len(shapes)), strict=True))
    weights = {name: p.initializers.he_normal(keys[name], shape) for name, shape in shapes.items()}
    return weights | {f"b{name[1:]}": jnp.zeros(shape[-1]) for name, shape in shapes.items()}


def forward(w, x, label):
    """The lecture's first list; `kept` is what the second will need."""
    kept = {}
    pred1, kept["conv1"] = p.conv2d_fwd(x, w["w1"], w["b1"], padding="SAME")
    pred2, kept["relu2"] = p.relu_fwd(pred1)
    pred3, kept["pool3"] = p.max_pool2d_fwd(pred2)
    pred4, kept["conv4"] = p.conv2d_fwd(pred3, w["w4"], w["b4"], padding="SAME")
    pred5, kept["relu5"] = p.relu_fwd(pred4)
    pred6, kept["pool6"] = p.max_pool2d_fwd(pred5)
    pred9, kept["flatten"] = p.flatten_fwd(pred6)
    pred10, kept["fc10"] = p.dense_fwd(pred9, w["w10"], w["b10"])
    pred11, kept["relu11"] = p.relu_fwd(pred10)
    pred12, kept["fc12"] = p.dense_fwd(pred11, w["w12"], w["b12"])
    loss, kept["loss"] = p.softmax_cross_entropy_fwd(pred12, label)
    predictions = (pred1, pred2, pred3, pred4, pred5, pred6, pred9, pred10, pred11, pred12)
    return loss, kept, predictions


def backward(kept, dL):
    """The lecture's second list: each `_bwd` takes dLdx from the one after it and the values its forward kept."""
    grad = {}
    dLdx, _ = p.softmax_cross_entropy_bwd(kept["loss"], dL)
    dLdx, grad["w12"], grad["b12"] = p.dense_bwd(kept["fc12"], dLdx)
    (dLdx,) = p.relu_bwd(kept["relu11"], dLdx)
    dLdx, grad["w10"], grad["b10"] = p.dense_bwd(kept["fc10"], dLdx)
    (dLdx,) = p.flatten_bwd(kept["flatten"], dLdx)
    (dLdx,) = p.max_pool2d_bwd(kept["pool6"], dLdx)
    (dLdx,) = p.relu_bwd(kept["relu5"], dLdx)
    dLdx, grad["w4"], grad["b4"] = p.conv2d_bwd(kept["conv4"], dLdx, padding="SAME")
    (dLdx,) = p.max_pool2d_bwd(kept["pool3"], dLdx)
    (dLdx,) = p.relu_bwd(kept["relu2"], dLdx)
    dLdx, grad["w1"], grad["b1"] = p.conv2d_bwd(kept["conv1"], dLdx, padding="SAME")
    return dLdx, grad


def plain(w, x, label):
    """The same network without any of our rules, for `jax.grad`."""

    def conv(x, w, b):
        return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + b

    def pool(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    x = pool(jax.nn.relu(conv(x, w["w1"], w["b1"])))
    x = pool(jax.nn.relu(conv(x, w["w4"], w["b4"])))
    x = jax.nn.relu(x.reshape(len(x), -1) @ w["w10"] + w["b10"]) @ w["w12"] + w["b12"]
    return -jax.nn.log_softmax(x)[jnp.arange(len(label)), label]


def main() -> None:
    w = parameters(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (2, 12, 12, 1))
    label = jnp.array([3, 1])
    loss, kept, predictions = forward(w, x, label)
    for name, prediction in zip(kept, predictions, strict=False):
        print(f"{name:8} -> {'×'.join(map(str, prediction.shape[1:]))}")
    print(f"loss     -> {loss}")
    _, grad = backward(kept, jnp.ones_like(loss))
    by_machine = jax.grad(lambda w: plain(w, x, label).sum())(w)
    for name in grad:
        largest = jnp.abs(by_machine[name]).max()
        apart = jnp.abs(grad[name] - by_machine[name]).max() / largest
        print(f"dLd{name:4} {grad[name].shape!s:14} largest entry {largest:8.4f}   apart from jax.grad {apart:.1e}")


if __name__ == "__main__":
    main()
