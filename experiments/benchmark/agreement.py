"""Losses and gradients of a net in every library, compared before anything is timed."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmark import with_jax
from experiments.benchmark.nets import NETS, Net, example, plain_loss
from experiments.benchmark.specs import BATCH_NORM

LIMIT = 1e-2  # of the distance of two gradients
ROUNDING = 2  # beyond it, a gradient may be so many times as far from the float64 one as autodiff's in float32 is


def correct(name: str, torch_gradients=None) -> None:
    """Print how far apart losses and gradients are; raise AssertionError where they do not agree.

    `torch_gradients` is `with_torch.gradients`, and `parameters` beside it, where torch is installed. Deep nets with
    batch normalisation amplify rounding: float32 gradients of MobileNet by autodiff are up to 12 % from those in
    float64. Theirs are compared with the float64 gradient, and autodiff's own distance from it raises the limit.
    """
    net = NETS[name]
    loss, ours = with_jax.purecnn_gradients(net)
    value, theirs = with_jax.gradients(net, plain_loss)
    gradients, losses = {"purecnn": ours, "autodiff": theirs}, {"autodiff": float(value)}
    gradients = {way: jax.tree.leaves(g) for way, g in gradients.items()}
    base, limit, against = gradients["purecnn"], LIMIT, "purecnn's"
    if BATCH_NORM in net.spec:
        reference = in_float64(net)
        base, against = jax.tree.leaves(reference), "the float64 one"
        limit = max(LIMIT, ROUNDING * worst(gradients["autodiff"], base))
    for way, found in gradients.items():
        report(name, way, abs(losses.get(way, float(loss)) / float(loss) - 1), worst(found, base), limit, against)
    if torch_gradients is not None:
        from experiments.benchmark import with_torch

        value, found = torch_gradients(net)
        in_torchs = with_torch.parameters(net, reference if BATCH_NORM in net.spec else ours)
        apart_by = worst(found, [t.numpy() for t in in_torchs])
        report(name, "torch", abs(value / float(loss) - 1), apart_by, limit, against)


def in_float64(net: Net):
    """Autodiff's gradient, computed in float64 from the same float32 numbers."""
    numbers = jax.tree.map(np.asarray, example(net))
    with jax.enable_x64(True):
        params, x = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), numbers[:2])
        gradient = jax.jit(jax.grad(lambda p: plain_loss(net, p, x, jnp.asarray(numbers[2]))))(params)
        return jax.tree.map(np.asarray, gradient)


def apart(a, b, least: float = 0.0) -> float:
    """‖a − b‖ / ‖b‖, or / `least` where that is more. Where two entries of a pool's window are equal but for rounding,
    float32 programs may send a cotangent to either, so that gradients of millions of windows agree to some 1e-3 and no
    better."""
    return float(np.linalg.norm(np.asarray(a) - np.asarray(b)) / max(np.linalg.norm(np.asarray(b)), least))


def worst(found: list, reference: list) -> float:
    """Of all arrays. One whose gradient is zero (the bias of a batch normalisation with a convolution and another
    normalisation behind it) has rounding alone, and is measured by a millionth of the largest."""
    least = 1e-6 * max(np.linalg.norm(np.asarray(b)) for b in reference)
    return max(apart(a, b, least) for a, b in zip(found, reference, strict=True))


def report(name: str, way: str, loss: float, gradient: float, limit: float, against: str) -> None:
    print(
        f"  {name}: {way}'s loss is apart by {loss:.1e}, the worst gradient from {against} by {gradient:.1e}",
        flush=True,
    )
    assert loss < 1e-4, f"{name}: the loss is not {way}'s"
    assert gradient <= limit, f"{name}: the gradient of {way} is apart by {gradient:.1e}, more than {limit:.1e}"
