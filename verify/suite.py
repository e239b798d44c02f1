"""Every rule of purecnn with its reference and one ordinary call: what `python -m verify` runs.

The one file of `verify` that imports purecnn. Shapes and options beyond these calls are the generator's business;
what is listed twice here is what no generator can know, such as a tie convention or labels given as probabilities.
"""

import gc
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import purecnn
from verify.checking import check
from verify.mutation.score import Score, mutate
from verify.oracle import references
from verify.report.finding import UncheckableError
from verify.report.report import Report


@dataclass(frozen=True)
class Entry:
    """A rule, the plain function it is compared with (None: its own primal), and one call."""

    name: str
    rule: Callable
    reference: Callable | None
    args: tuple[Any, ...]


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def distinct(*shape: int) -> np.ndarray:
    """A permutation of equally spaced numbers: no ties, no two close."""
    n = int(np.prod(shape))
    return ((np.random.default_rng(n).permutation(n).reshape(shape) - n / 2 + 0.25) * (4 / n)).astype(np.float32)


def positive(*shape: int) -> np.ndarray:
    return np.abs(normal(*shape)) + np.float32(0.5)


def rows_of_probabilities(*shape: int) -> np.ndarray:
    p = np.exp(normal(*shape))
    return p / p.sum(-1, keepdims=True)


LABELS = np.array([0, 4, 2, 1, 3, 2], np.int32)
UNEVEN = {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 2)}


def _both(name: str, *args: Any, suffix: str = "", **options: Any) -> Entry:
    """An entry for purecnn's `name` and the reference of the same name, both with `options`."""
    rule, reference = getattr(purecnn, name), getattr(references, name)
    if options:
        rule, reference = partial(rule, **options), partial(reference, **options)
    return Entry(name + suffix, rule, reference, args)


ENTRIES: tuple[Entry, ...] = (
    _both("conv2d", normal(2, 7, 6, 4), normal(3, 2, 4, 6), normal(6)),
    _both("conv2d", normal(2, 6, 5, 4), normal(3, 2, 2, 6), normal(6), suffix=" in groups", groups=2, **UNEVEN),
    _both("conv2d", normal(2, 7, 6, 3), normal(2, 3, 3, 4), normal(4), suffix=" by im2col", algorithm="im2col"),
    _both("conv2d", normal(8, 28, 28, 1), normal(5, 5, 1, 6), normal(6), suffix=" of LeNet"),
    _both("conv2d", normal(2, 6, 5, 3), normal(3, 2, 3, 4), normal(4), suffix=" by xla", algorithm="xla", **UNEVEN),
    _both("conv2d", normal(2, 6, 9, 3), normal(3, 2, 3, 4), suffix=" banded", algorithm="banded", padding=1),
    _both("conv2d", normal(2, 7, 6, 3), normal(3, 2, 3, 4), suffix=" by winograd", algorithm="winograd"),
    _both("conv2d", normal(2, 9, 7, 3), normal(5, 4, 3, 4), suffix=" by winograd, five offsets", algorithm="winograd"),
    _both("conv2d", normal(2, 7, 6, 3), normal(3, 3, 3, 24), suffix=" of colour images"),
    _both("conv2d", normal(2, 7, 6, 3), normal(3, 2, 3, 4), suffix=" by col2im", algorithm="col2im", stride=2),
    _both("conv2d", normal(4, 6, 5, 4), normal(3, 2, 2, 6), suffix=" chunked", algorithm="wgrad_chunked", groups=2),
    _both(
        "conv2d",
        normal(2, 7, 6, 4),
        normal(3, 2, 1, 8),
        normal(8),
        suffix=" depthwise",
        algorithm="depthwise",
        groups=4,
    ),
    _both("conv2d", normal(2, 9, 8, 3), normal(5, 3, 3, 4), suffix=" to depth", algorithm="space_to_depth", stride=2),
    _both("conv_transpose2d", normal(2, 4, 3, 4), normal(3, 2, 5, 4), normal(5), stride=2),
    _both(
        "conv_transpose2d",
        normal(2, 3, 4, 4),
        normal(3, 2, 3, 4),
        normal(6),
        suffix=" in groups",
        groups=2,
        output_padding=(1, 0),
        **UNEVEN,
    ),
    _both("max_pool2d", distinct(2, 7, 6, 3)),
    _both("max_pool2d", distinct(2, 6, 5, 2), suffix=" to every tie", ties="all", window=(3, 2), **UNEVEN),
    _both("avg_pool2d", normal(2, 7, 6, 3)),
    _both("adaptive_avg_pool2d", normal(2, 7, 3, 3), size=(3, 5)),
    _both("global_avg_pool", normal(3, 5, 4, 2)),
    _both("upsample2d", normal(2, 4, 3, 3), (2, 3)),
    _both("upsample2d", normal(2, 4, 3, 3), (2, 3), suffix=" bilinear", method="bilinear"),
    _both("im2col", normal(2, 6, 5, 3), (3, 2)),
    _both("col2im", normal(2, 4, 4, 18), (2, 6, 5, 3), (3, 2)),
    _both("col2im", normal(2, 3, 5, 12), (2, 6, 5, 2), (3, 2), suffix=" uneven", **UNEVEN),
    _both("relu", normal(3, 4, 5, 2)),
    _both("leaky_relu", normal(3, 4, 5, 2)),
    _both("leaky_relu", normal(3, 4, 5, 2), suffix=" of a negative slope", negative_slope=-0.5),
    _both("hard_swish", 3 * normal(3, 4, 5, 2)),
    Entry("silu", purecnn.silu, jax.nn.silu, (normal(4, 6),)),
    Entry("tanh", purecnn.tanh, jnp.tanh, (normal(4, 6),)),
    _both("relu6", 4 * normal(3, 4, 5, 2)),
    Entry("gelu", purecnn.gelu, jax.nn.gelu, (normal(4, 6),)),
    Entry(
        "gelu exact",
        partial(purecnn.gelu, approximate=False),
        partial(jax.nn.gelu, approximate=False),
        (normal(4, 6),),
    ),
    Entry("sigmoid", purecnn.sigmoid, jax.nn.sigmoid, (normal(4, 6),)),
    Entry("softmax", purecnn.softmax, jax.nn.softmax, (normal(4, 6),)),
    Entry(
        "softmax over channels", partial(purecnn.softmax, axis=1), partial(jax.nn.softmax, axis=1), (normal(2, 3, 4),)
    ),
    _both("flatten", normal(3, 4, 5, 2)),
    _both("concatenate", normal(2, 4, 3, 2), normal(2, 4, 3, 5), normal(2, 4, 3, 3)),
    _both("concatenate", normal(2, 3, 4), normal(4, 3, 4), suffix=" along the batch", axis=0),
    _both("dense", normal(5, 4), normal(4, 6), normal(6)),
    _both("dense", normal(2, 3, 4), normal(4, 6), normal(6), suffix=" over two axes"),
    _both("local_response_norm", normal(2, 3, 4, 7)),
    _both("group_norm", normal(3, 3, 2, 6), normal(6), normal(6), groups=2),
    _both("layer_norm", normal(4, 3, 2, 5), normal(5), normal(5)),
    _both("batch_norm", normal(4, 3, 2, 5), normal(5), normal(5)),
    _both("batch_norm_inference", normal(4, 3, 2, 5), normal(5), normal(5), normal(5), positive(5)),
    Entry("dropout", purecnn.dropout, None, (normal(6, 5), jax.random.key(0), 0.4)),
    Entry("drop_path", purecnn.drop_path, None, (normal(6, 5), jax.random.key(0), 0.4)),
    _both("softmax_cross_entropy", normal(6, 5), LABELS),
    _both("softmax_cross_entropy", normal(6, 5), rows_of_probabilities(6, 5), suffix=" of probabilities"),
    _both("softmax_cross_entropy", normal(2, 3, 5), LABELS.reshape(2, 3), suffix=" of pixels"),
    _both("squared_error", normal(4, 6), normal(4, 6) + 1),
)


def chosen(names: Sequence[str]) -> tuple[Entry, ...]:
    """The entries of the rules called one of `names`, or else those whose names begin with it; all if there are none.
    Raises UncheckableError for an unknown name."""
    rules = {e.name.split()[0] for e in ENTRIES}
    found: set[str] = set()
    for name in names:
        called = {e.name for e in ENTRIES if (e.name.split()[0] == name if name in rules else e.name.startswith(name))}
        if not called:
            raise UncheckableError(f"no rule of the suite is called {name!r}; there are {', '.join(sorted(rules))}")
        found |= called
    return tuple(e for e in ENTRIES if not names or e.name in found)


def run(
    names: Sequence[str] = (), *, seed: int = 0, cases: int = 8, dtypes: Sequence[str] = ("float32",), jobs: int = 1
) -> list[Report]:
    """Check the suite, or the rules of these names, at each dtype, in `jobs` processes: most of the time goes into
    compiling, which one process does on one core."""
    one = partial(run_entry, seed=seed, cases=cases)
    tasks = [(e.name, dtype) for e in chosen(names) for dtype in dtypes]
    if min(jobs, len(tasks)) <= 1:
        return [one(task) for task in tasks]
    spawned = multiprocessing.get_context("spawn")
    # What JAX traces lives long: looking through it for garbage would be a twentieth of the time.
    seldom = {"initializer": gc.set_threshold, "initargs": (20_000,)}
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=spawned, **seldom) as pool:
        return list(pool.map(one, tasks))


def run_entry(task: tuple[str, str], *, seed: int, cases: int) -> Report:
    """Check the entry of this name with its float32 arrays cast to this dtype."""
    name, dtype = task
    (e,) = (e for e in ENTRIES if e.name == name)
    args = [a.astype(jnp.dtype(dtype)) if getattr(a, "dtype", None) == np.float32 else a for a in e.args]
    with jax.enable_x64(dtype == "float64"):
        return check(e.rule, *args, reference=e.reference, seed=seed, cases=cases, name=e.name)


def scores(names: Sequence[str] = (), *, seed: int = 0) -> list[Score]:
    """Break the suite's rules on purpose, or those of these names."""
    return [mutate(e.rule, *e.args, reference=e.reference, seed=seed, name=e.name) for e in chosen(names)]
