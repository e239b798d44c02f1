"""Do the nets that torchvision also has compute the same as torchvision's?

    python -m experiments.against_torchvision.run                      every net; needs torch and torchvision
    python -m experiments.against_torchvision.run --only resnet18 …

Weights are drawn, by torchvision's own rules where it has some, and go through `models.from_torchvision`. Compared are
the logits in float32, and in float64 the gradient of every parameter in training, and every parameter and running
statistic after five steps of gradient descent. Dropout is off, because its draws cannot be made equal.
"""

import argparse
import inspect
import json
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

import purecnn
from purecnn import models
from purecnn.losses.softmax_cross_entropy import softmax_cross_entropy_bwd, softmax_cross_entropy_fwd
from purecnn.models.torchvision import TABLES

CLASSES, BATCH, STEPS = 10, 4, 5
RATE = 0.01
# Where the loss has curvature λ, differences, which begin as rounding errors of 1e-13, grow by 1 + rate · λ with each
# step. λ is about 6e4 for ResNet-50 as drawn, and 1e6 for ResNet-101.
RATES = {"resnet50": 1e-4, "resnet101": 1e-6, "mobilenet_v2": 1e-3}
SIDES = {"alexnet_one_tower": 96}  # its convolutions leave nothing of 64×64 that pools; 64×64 for all others
BOUNDS = {"logits": 1e-5, "gradients": 1e-8, "five steps": 1e-8}
# A bias before a normalisation has a zero gradient, of which only rounding errors remain: differences are relative to
# the largest entry of their gradient, or to this share of the largest of all gradients.
SMALL = 1e-6
RESULTS = Path(__file__).parent / "results" / "cpu.json"
AUTODIFF = ("grad", "value_and_grad", "vjp", "jvp", "linearize", "linear_transpose", "jacrev", "jacfwd", "hessian")


def difference(got: dict[str, Any], expected: dict[str, np.ndarray]) -> tuple[float, str]:
    """The largest, and the array that it is in."""
    largest = max(float(np.abs(b).max()) for b in expected.values())
    found = {}
    for name, b in expected.items():
        a, of = np.asarray(got[name]), max(float(np.abs(b).max()), SMALL * largest)
        found[name] = float(np.abs(a - b).max()) / of
    worst = max(found, key=lambda name: found[name])
    return found[worst], worst


def compare(name: str) -> dict[str, Any]:
    from experiments.against_torchvision import with_torch

    rng, side, rate = np.random.default_rng(0), SIDES.get(name, 64), RATES.get(name, RATE)
    x = rng.standard_normal((BATCH, side, side, 3), np.float32)
    labels = rng.integers(0, CLASSES, BATCH)
    theirs = with_torch.drawn(name, CLASSES)
    arrays = with_torch.arrays(theirs)
    net, params, state = models.from_torchvision(name, arrays)
    back = models.to_torchvision(name, params, state)
    assert back.keys() == arrays.keys()
    assert all(np.array_equal(back[each], arrays[each]) for each in arrays)
    logits = difference({"logits": net.apply(params, x, state=state)}, {"logits": with_torch.logits(theirs, x)})[0]

    build = TABLES[name].build
    off = {"dropout": 0.0, "drop_path": 0.0}
    net = build(CLASSES, **{k: v for k, v in off.items() if k in inspect.signature(build).parameters})
    theirs, x = theirs.double(), x.astype(np.float64)
    with jax.enable_x64(True):
        params, state = jax.tree.map(lambda leaf: jax.numpy.asarray(leaf, "float64"), (params, state))
        expected_loss, expected, expected_after = with_torch.descend(theirs, x, labels, rate, STEPS)
        loss, grads = purecnn.backprop(net, params, x, labels, state=state, train=True)
        assert abs(float(loss) - expected_loss) < 1e-10 * abs(expected_loss)
        gradients, worst = difference(models.to_torchvision(name, grads, state), expected)
        del grads, expected
        for _ in range(STEPS):
            params, state = step(net, params, state, x, labels, rate)
        expected_after = {each: array for each, array in expected_after.items() if array.ndim}  # but the counters
        steps, moved = difference(models.to_torchvision(name, params, state), expected_after)
    return {
        "images": [BATCH, side, side, 3],
        "arrays": len(arrays),
        "loss": expected_loss,
        "rate": rate,
        "logits": logits,
        "gradients": gradients,
        "five steps": steps,
        "worst": {"gradients": worst, "five steps": moved},
    }


def step(net, params, state, x, labels, rate):
    """One of gradient descent, by the two lists."""
    logits, state, residuals = net.forward(params, x, state=state, train=True)
    losses, kept = softmax_cross_entropy_fwd(logits, labels)
    y_bar, *_ = softmax_cross_entropy_bwd(kept, jax.numpy.full_like(losses, 1 / len(losses)))
    _, grads = net.backward(residuals, y_bar, train=True)
    return jax.tree.map(lambda w, g: w - rate * g, params, grads), state


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*TABLES], default=[*TABLES], metavar="NET")
    options = parser.parse_args()
    from experiments.against_torchvision import with_torch

    for function in AUTODIFF:  # whoever asks for it fails
        setattr(jax, function, None)
    failed = []
    for name in options.only:
        started = time.perf_counter()
        found = compare(name)
        print(name, {k: f"{found[k]:.1e}" for k in BOUNDS}, f"{time.perf_counter() - started:.0f} s", flush=True)
        failed += [f"{name}: {k}" for k, bound in BOUNDS.items() if not found[k] <= bound]
        results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"nets": {}}
        nets = results["nets"] | {name: found}
        results = {
            "versions": {"jax": jax.__version__, **with_torch.VERSIONS},
            "nets": {each: nets[each] for each in TABLES if each in nets},
        }
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print("beyond the bounds: " + ", ".join(failed) if failed else "all within the bounds")
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
