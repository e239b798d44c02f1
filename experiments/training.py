"""What the experiments that train LeNets on the 8×8 digits share: one scan over steps, and how results are written.

The scan takes what differs between two runs as arrays, so that `jax.vmap` of it trains many nets at once.
"""

import argparse
import io
import json
import statistics
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from PIL import Image

import purecnn
from purecnn.backend import describe_hardware
from purecnn.data.batches import training_batches
from purecnn.data.digits import read_digits

SHAPE = (8, 8, 1)
digits = cache(read_digits)


def orders(seeds: int, epochs: int, batch: int = 32) -> np.ndarray:
    """Which images each step of each seed sees: (seeds, epochs, steps, batch)."""
    samples = len(digits().train)
    return np.stack(
        [np.stack([training_batches(samples, batch, seed=s, epoch=e) for e in range(epochs)]) for s in range(seeds)]
    )


def starts(net: purecnn.Chain, seeds: int) -> Any:
    """Parameters of each seed, stacked."""
    return jax.jit(jax.vmap(lambda seed: net.init(jax.random.key(seed), SHAPE)))(np.arange(seeds, dtype=np.uint32))


def train(
    gradient: Callable[[Any, Any, Any], tuple[Any, Any]],
    optimizer: optax.GradientTransformation,
    params: Any,
    order: Any,
    watch: Callable[[Any], Any] = lambda params: (),
) -> tuple[Any, Any, Any]:
    """One step per row of `order` (epochs, steps, batch); `gradient(params, x, labels)` returns the loss, or what else
    is to be known of a step, and what the optimiser is given.

    Returns the parameters, that loss of every step, and `watch` of the parameters after every epoch.
    """
    images, labels = jnp.asarray(digits().train.images), jnp.asarray(digits().train.labels)

    def step(now, batch):
        params, opt_state = now
        loss, grads = gradient(params, images[batch], labels[batch])
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    def epoch(now, batches):
        now, losses = jax.lax.scan(step, now, batches)
        return now, (losses, watch(now[0]))

    (params, _), (losses, watched) = jax.lax.scan(epoch, (params, optimizer.init(params)), order)
    return params, losses, watched


def momentum_steps(
    gradient: Callable[[Any, Any], tuple[Any, Any]], params: Any, velocity: Any, batches: Any, rate: Any, momentum: Any
) -> tuple[Any, Any, Any]:
    """SGD with its velocity in hand: parameters and velocity after a step for every row of `batches`, and each loss.

    `gradient(params, batch)` returns the loss and the gradient.
    """

    def step(now, batch):
        params, velocity = now
        loss, grads = gradient(params, batch)
        velocity = jax.tree.map(lambda v, g: momentum * v + g, velocity, grads)
        return (jax.tree.map(lambda p, v: p - rate * v, params, velocity), velocity), loss

    (params, velocity), losses = jax.lax.scan(step, (params, velocity), batches)
    return params, velocity, losses


def two_lists(net: purecnn.Chain, params: Any, x: Any, labels: Any) -> tuple[Any, Any, Any]:
    """The mean loss, its gradient, and the residuals between: `purecnn.backprop` with the loss in
    float32 whatever the net's precision."""
    y, _, residuals = net.forward(params, x)
    losses, kept = purecnn.softmax_cross_entropy_fwd(y.astype(jnp.float32), labels)
    y_bar, _ = purecnn.softmax_cross_entropy_bwd(kept, jnp.full_like(losses, 1 / len(losses)))
    return losses.mean(), net.backward(residuals, y_bar.astype(y.dtype))[1], residuals


def cast(tree: Any, dtype: Any) -> Any:
    """Every floating array of it in `dtype`."""
    return jax.tree.map(lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree)


def at_once(run: Callable[..., Any], *args: Any, precision: Any = jnp.float32) -> Any:
    """`run` of every entry of `args`, in one program: side by side in float32, one after the other in 16 bits.

    The committed results in 16 bits were made so, when `vmap` of w̄ with the batch shared could not be run in 16 bits on
    a CPU; it can now (`purecnn/ops.py`), and would add in another order.
    """
    if jnp.dtype(precision).itemsize >= 4:
        return jax.jit(jax.vmap(run))(*args)
    return jax.jit(lambda *args: jax.lax.map(lambda each: run(*each), args))(*args)


def test_accuracy(net: purecnn.Chain, params: Any) -> Any:
    """In per cent, of the 360 images that no run trains on, in the precision of the parameters."""
    images, labels = (jnp.asarray(a) for a in (digits().test.images, digits().test.labels))
    logits = net.apply(params, images.astype(jax.tree.leaves(params)[0].dtype))
    return 100 * (logits.argmax(axis=1) == labels).mean()


def mean_and_spread(values: Any, digits: int = 3) -> dict[str, float]:
    """The mean and the standard deviation over the seeds."""
    values = [float(v) for v in values]
    return {"mean": round(statistics.fmean(values), digits), "spread": round(statistics.stdev(values), digits)}


def against(values: np.ndarray, usual: np.ndarray) -> dict[str, float]:
    """Seed by seed: the mean difference and its standard error."""
    difference = values - usual
    error = difference.std(ddof=1) / len(difference) ** 0.5
    return {"difference": round(float(difference.mean()), 2), "standard_error": round(float(error), 2)}


def flat(tree: Any) -> np.ndarray:
    """All entries of all arrays, one after the other."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def options(doc: str | None, home: str) -> argparse.ArgumentParser:
    """`--quick` and `--out`, which is `results/` beside `home` unless something else is said."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the least that shows whether it still works")
    parser.add_argument("--out", type=Path, default=Path(home).parent / "results", help="where results go")
    return parser


def write(folder: Path, name: str, results: dict[str, Any]) -> None:
    """`results` with the hardware and the versions, as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    where = {"hardware": describe_hardware(), "versions": {p: version(p) for p in ("jax", "jaxlib", "numpy", "optax")}}
    (folder / name).write_text(json.dumps(where | results, indent=1) + "\n", encoding="utf-8")


def run_parts(
    options: argparse.Namespace,
    parts: dict[str, Callable[[], dict[str, Any]]],
    drawn: tuple[str, ...],
    draw: Callable[..., Figure],
    picture: str,
) -> None:
    """Run and write the part that is asked for, or every one; then draw, once all that is `drawn` has been written."""
    for name in (options.part,) if options.part else parts:
        write(options.out, f"{name}.json", parts[name]())
    written = [options.out / f"{name}.json" for name in drawn]
    if all(path.exists() for path in written):
        save_plot(draw(*(json.loads(path.read_text()) for path in written)), options.out / picture)


def save_plot(figure: Figure, path: Path) -> None:
    """With a faint grid, and open to the top and the right."""
    for axes in figure.axes:
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def save_small(figure: Figure, path: Path, colours: int) -> None:
    """In few colours, so that a page with it loads at once."""
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100)
    Image.open(drawn).convert("RGB").quantize(colours).save(path, optimize=True)
