"""The lecture's loop (row 2): the two-layer sigmoid net f₂ = σ(w₂ σ(w₁ x)), one sample at a time, until it converges.

The task is exclusive-or. The lecture's net has no biases, so each x carries a constant 1 as its third entry. In purecnn
a sample is a row and w is (inputs, outputs), so that the lecture's w x is written x w.
"""

import jax
import jax.numpy as jnp
import numpy as np

import purecnn as p
from experiments.comparing import largest_difference
from experiments.lecture.narration import line

X = jnp.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
Y = jnp.array([[0.0], [1], [1], [0]])
RATE, BATCH, LONGEST = 2.0, 2, 5000


@jax.jit
def sample(w, x, y):
    """1 prediction, 2 measure error, 3 back-propagation: all that is computed on the way, in the order it is."""
    a1, kept_a1 = p.dense_fwd(x, w["w1"])
    f1, kept_f1 = p.sigmoid_fwd(a1)
    a2, kept_a2 = p.dense_fwd(f1, w["w2"])
    f2, kept_f2 = p.sigmoid_fwd(a2)
    L, kept_L = p.squared_error_fwd(f2, y)

    dLdf2, _ = p.squared_error_bwd(kept_L, jnp.ones_like(L))
    (dLda2,) = p.sigmoid_bwd(kept_f2, dLdf2)
    dLdf1, dLdw2, _ = p.dense_bwd(kept_a2, dLda2)
    (dLda1,) = p.sigmoid_bwd(kept_f1, dLdf1)
    _, dLdw1, _ = p.dense_bwd(kept_a1, dLda1)
    forward = {"a1": a1, "f1": f1, "a2": a2, "f2": f2, "L": L}
    return forward, {"dLdf2": dLdf2, "dLda2": dLda2, "dLdw2": dLdw2, "dLdf1": dLdf1, "dLda1": dLda1, "dLdw1": dLdw1}


def by_the_chain_rule(w, x, y):
    """The same gradients written out in NumPy and float64, with σ' = σ (1 − σ), and none of our functions."""
    w1, w2, x, y = (np.asarray(a, np.float64) for a in (w["w1"], w["w2"], x, y))
    f1 = 1 / (1 + np.exp(-x @ w1))
    f2 = 1 / (1 + np.exp(-f1 @ w2))
    dLdf2 = 2 * (f2 - y)
    dLda2 = dLdf2 * f2 * (1 - f2)
    dLdf1 = dLda2 @ w2.T
    dLda1 = dLdf1 * f1 * (1 - f1)
    return {
        "dLdf2": dLdf2,
        "dLda2": dLda2,
        "dLdw2": f1.T @ dLda2,
        "dLdf1": dLdf1,
        "dLda1": dLda1,
        "dLdw1": x.T @ dLda1,
    }


EQUATIONS = {
    "a1": "x w1",
    "f1": "σ(a1)",
    "a2": "f1 w2",
    "f2": "σ(a2), the prediction ŷ",
    "L": "Σ (ŷ − y)²",
    "dLdf2": "2 (ŷ − y)",
    "dLda2": "dLdf2 · f2 (1 − f2)",
    "dLdw2": "f1ᵀ dLda2",
    "dLdf1": "dLda2 w2ᵀ",
    "dLda1": "dLdf1 · f1 (1 − f1)",
    "dLdw1": "xᵀ dLda1",
}


def start():
    one, two = jax.random.split(jax.random.key(3))
    return {"w1": 2 * jax.random.normal(one, (3, 4)), "w2": 2 * jax.random.normal(two, (4, 1))}


def descend(w):
    """While not converged: sample a mini-batch; for each sample 1, 2, 3; update by the summed gradient.

    Converged is: no prediction is further than 0.1 from its target. Gives the weights and, for every round, the loss
    summed over the mini-batch.
    """
    rng, losses = np.random.default_rng(0), []
    while len(losses) < LONGEST and jnp.abs(sample(w, X, Y)[0]["f2"] - Y).max() > 0.1:
        loss, total = 0.0, jax.tree.map(jnp.zeros_like, w)
        for n in rng.choice(4, BATCH, replace=False):
            forward, gradient = sample(w, X[n : n + 1], Y[n : n + 1])
            loss += float(forward["L"][0])
            total = {name: total[name] + gradient[f"dLd{name}"] for name in w}
        w = {name: w[name] - RATE * total[name] for name in w}
        losses.append(loss)
    return w, losses


def narrate() -> tuple[list[str], float]:
    """What there is to read aloud, and the largest difference of a gradient from the chain rule's."""
    w, (x, y) = start(), (X[1:2], Y[1:2])
    forward, gradient = sample(w, x, y)
    expected = by_the_chain_rule(w, x, y)
    away = {name: largest_difference(gradient[name], expected[name]) for name in gradient}
    said = [
        "ROW 2. A net of two layers, f2 = σ(w2 σ(w1 x)), learns exclusive-or.",
        f"One sample: x = {x[0].tolist()}, the target y = {y[0].tolist()}; w1 is 3×4, w2 is 4×1.",
        "",
        "1. Prediction, and 2. its error:",
        *(line(name, equation, forward[name]) for name, equation in EQUATIONS.items() if name in forward),
        "",
        "3. Back-propagation, from the error down. Beside each: how far it is from the chain rule in NumPy, float64.",
        *(line(n, what, gradient[n], f"apart {away[n]:.0e}") for n, what in EQUATIONS.items() if n in gradient),
        "",
        f"The loop: draw {BATCH} of the 4 samples, add their gradients, w ← w − γ ∂L/∂w with γ = {RATE:g}.",
    ]
    w, losses = descend(w)
    told = [n for n in (1, 10, 100, len(losses)) if n <= len(losses)]
    said += [f"  round {n:5}: the loss of its {BATCH} samples is {losses[n - 1]:.4f}" for n in told]
    said.append("Converged: no prediction is further than 0.1 from its target.")
    for x, y, f2 in zip(X.tolist(), Y.tolist(), sample(w, X, Y)[0]["f2"].tolist(), strict=True):
        said.append(f"  {x[0]:.0f} xor {x[1]:.0f} is {y[0]:.0f}: the net says {f2[0]:.3f}")
    return said, max(away.values())
