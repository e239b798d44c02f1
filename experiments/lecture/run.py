"""The lecture's loop (row 2) and its summary network (row 16), run as written, as a script to read aloud from.

    python -m experiments.lecture.run

In row 16 the forward list keeps what each backward function needs; the backward list is the forward one in reverse.
Nothing is differentiated by machine but for the comparison: `jax.grad` of the same network in plain JAX operations,
none of them ours, with respect to every weight and to every intermediate value. The numbers of the values are the
lecture's; this network is shorter than its own, so some are not there.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import lax

import purecnn as p
from experiments.comparing import largest_difference
from experiments.lecture import descent
from experiments.lecture.narration import line, shape

TOLERANCE = 1e-5  # a hundred roundings of float32; the longest sum has 288 terms


def parameters(key):
    """Two convolutions and two fully connected layers for a 12×12 image with one channel and five classes."""
    shapes = {"w1": (3, 3, 1, 4), "w4": (3, 3, 4, 8), "w10": (72, 16), "w12": (16, 5)}
    keys = dict(zip(shapes, jax.random.split(key, len(shapes)), strict=True))
    weights = {name: p.initializers.he_normal(keys[name], shape) for name, shape in shapes.items()}
    return weights | {f"b{name[1:]}": jnp.zeros(shape[-1]) for name, shape in shapes.items()}


def forward(w, x, label):
    """The lecture's first list, value by value; `kept` is what the second will need."""
    pred, kept = {}, {}
    pred[1], kept[1] = p.conv2d_fwd(x, w["w1"], w["b1"], padding="SAME")
    pred[2], kept[2] = p.relu_fwd(pred[1])
    pred[3], kept[3] = p.max_pool2d_fwd(pred[2])
    pred[4], kept[4] = p.conv2d_fwd(pred[3], w["w4"], w["b4"], padding="SAME")
    pred[5], kept[5] = p.relu_fwd(pred[4])
    pred[6], kept[6] = p.max_pool2d_fwd(pred[5])
    pred[9], kept[9] = p.flatten_fwd(pred[6])
    pred[10], kept[10] = p.dense_fwd(pred[9], w["w10"], w["b10"])
    pred[11], kept[11] = p.relu_fwd(pred[10])
    pred[12], kept[12] = p.dense_fwd(pred[11], w["w12"], w["b12"])
    pred[16], kept[16] = p.softmax_cross_entropy_fwd(pred[12], label)
    return pred, kept


def backward(kept, dL):
    """The second list: each `_bwd` takes dLdx from the one after it and the values its forward kept.

    dLdx[n] is with respect to pred n; dLdx[0] to the image.
    """
    dLdx, grad = {}, {}
    dLdx[12], _ = p.softmax_cross_entropy_bwd(kept[16], dL)
    dLdx[11], grad["w12"], grad["b12"] = p.dense_bwd(kept[12], dLdx[12])
    (dLdx[10],) = p.relu_bwd(kept[11], dLdx[11])
    dLdx[9], grad["w10"], grad["b10"] = p.dense_bwd(kept[10], dLdx[10])
    (dLdx[6],) = p.flatten_bwd(kept[9], dLdx[9])
    (dLdx[5],) = p.max_pool2d_bwd(kept[6], dLdx[6])
    (dLdx[4],) = p.relu_bwd(kept[5], dLdx[5])
    dLdx[3], grad["w4"], grad["b4"] = p.conv2d_bwd(kept[4], dLdx[4], padding="SAME")
    (dLdx[2],) = p.max_pool2d_bwd(kept[3], dLdx[3])
    (dLdx[1],) = p.relu_bwd(kept[2], dLdx[2])
    dLdx[0], grad["w1"], grad["b1"] = p.conv2d_bwd(kept[1], dLdx[1], padding="SAME")
    return dLdx, grad


def plain(w, nought, label):
    """The same network without any of our rules, for `jax.grad`; `nought` is added to each value, the image included,
    so that a derivative with respect to nought[n] is one with respect to pred n."""

    def conv(x, w, b):
        return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + b

    def pool(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    pred = {1: conv(nought[0], w["w1"], w["b1"]) + nought[1]}
    pred[2] = jax.nn.relu(pred[1]) + nought[2]
    pred[3] = pool(pred[2]) + nought[3]
    pred[4] = conv(pred[3], w["w4"], w["b4"]) + nought[4]
    pred[5] = jax.nn.relu(pred[4]) + nought[5]
    pred[6] = pool(pred[5]) + nought[6]
    pred[9] = pred[6].reshape(len(label), -1) + nought[9]
    pred[10] = pred[9] @ w["w10"] + w["b10"] + nought[10]
    pred[11] = jax.nn.relu(pred[10]) + nought[11]
    pred[12] = pred[11] @ w["w12"] + w["b12"] + nought[12]
    return -jax.nn.log_softmax(pred[12])[jnp.arange(len(label)), label].sum()


FORWARD = {
    1: "conv(x, w1) + b1",
    2: "relu(pred1)",
    3: "pool(pred2)",
    4: "conv(pred3, w4) + b4",
    5: "relu(pred4)",
    6: "pool(pred5)",
    9: "flatten(pred6)",
    10: "fc(pred9, w10) + b10",
    11: "relu(pred10)",
    12: "fc(pred11, w12) + b12",
    16: "loss_ce_sm(pred12, label)",
}
BACKWARD = {
    12: ("softmax(pred12) − onehot(label)", ()),
    11: ("dLdx12 w12ᵀ", ("w12", "b12")),
    10: ("dLdx11 where pred10 > 0", ()),
    9: ("dLdx10 w10ᵀ", ("w10", "b10")),
    6: ("dLdx9 in the shape of pred6", ()),
    5: ("dLdx6 to each window's winner", ()),
    4: ("dLdx5 where pred4 > 0", ()),
    3: ("dLdx4 ⋆ w4 rotated by 180°", ("w4", "b4")),
    2: ("dLdx3 to each window's winner", ()),
    1: ("dLdx2 where pred1 > 0", ()),
    0: ("dLdx1 ⋆ w1 rotated by 180°", ("w1", "b1")),
}
WEIGHTS = {
    "w12": "pred11ᵀ dLdx12",
    "w10": "pred9ᵀ dLdx10",
    "w4": "Σ pred3 at each offset · dLdx4",
    "w1": "Σ x at each offset · dLdx1",
    "b12": "Σ dLdx12",
    "b10": "Σ dLdx10",
    "b4": "Σ dLdx4",
    "b1": "Σ dLdx1",
}


def narrate() -> tuple[list[str], float]:
    """What there is to read aloud of row 16, and the largest difference of a gradient from jax.grad's."""
    w = parameters(jax.random.key(0))
    x, label = jax.random.normal(jax.random.key(1), (2, 12, 12, 1)), jnp.array([3, 1])
    pred, kept = jax.jit(forward)(w, x, label)
    dLdx, grad = jax.jit(backward)(kept, jnp.ones_like(pred[16]))
    nought = {n: jnp.zeros_like(pred[n]) if n else x for n in dLdx}
    expected_grad, expected_dLdx = jax.jit(jax.grad(plain, argnums=(0, 1)))(w, nought, label)
    worst, back = 0.0, []
    for n, (equation, names) in BACKWARD.items():
        rows = [(f"dLdx{n}" if n else "dLdx", equation, dLdx[n], expected_dLdx[n])]
        rows += [(f"dLd{name}", WEIGHTS[name], grad[name], expected_grad[name]) for name in names]
        for name, meaning, mine, machines in rows:
            away = largest_difference(mine, machines)
            worst = max(worst, away)
            back.append(line(name, meaning, mine, f"apart {away:.0e}"))
    return [
        "ROW 16. The whole network, both lists, on two images.",
        f"x is {shape(x)}, the labels are {label.tolist()}. Beside each: its shape, its first entries that are not 0.",
        "",
        "The forward list:",
        *(line(f"pred{n}", FORWARD[n], a) for n, a in sorted(pred.items())),
        "",
        "The same list in reverse. Beside each: how far it is from jax.grad of the same net without our rules.",
        *back,
    ], worst


def main(arguments=None) -> float:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the same: it takes seconds")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args(arguments)
    row2, worst2 = descent.narrate()
    row16, worst16 = narrate()
    worst = max(worst2, worst16)
    end = f"Every gradient agrees to {TOLERANCE:.0e} of its largest entry." if worst <= TOLERANCE else "THEY DISAGREE."
    text = "\n".join([*row2, "", *row16, "", end]) + "\n"
    print(text, end="")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "transcript.txt").write_text(text, encoding="utf-8")
    return worst


if __name__ == "__main__":
    raise SystemExit(main() > TOLERANCE)
