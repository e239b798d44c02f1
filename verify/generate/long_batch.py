"""The example with so many samples that a sum which accumulates in 16 bits shows."""

from dataclasses import replace

import jax
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.generate import shapes
from verify.generate.calls import OPERATIONS, operations_of, unrolled
from verify.generate.generated_inputs import fill
from verify.generate.promised import promised
from verify.running import is_float

LONG, SHORTER = 1024, 256  # samples: enough for a narrow accumulator to show
MOST = 10 * OPERATIONS  # of a long batch, which is run a few times
LARGEST = 300_000  # elements per array


def long_batch(case: CallUnderTest) -> CallUnderTest:
    """The case with its batch stretched, where it is short and may be: where pairs or triples of the samples meet, to
    fewer of them."""
    for samples in (LONG, SHORTER):
        longer = _stretched(case, samples)
        if longer is case or operations_of(longer) <= MOST:
            return longer
    return case


def _stretched(case: CallUnderTest, samples: int) -> CallUnderTest:
    sizes = [tuple(a.shape) for a in case.arrays]
    first = case.perturbed[0]
    if not sizes[first] or max(int(np.prod(s)) for s in sizes) * samples // max(1, sizes[first][0]) > LARGEST:
        return case
    axes = shapes.class_of(case, (first, 0), [(n, 0) for n, s in enumerate(sizes) if s], sizes)
    if axes is None or sizes[first][0] >= samples or shapes.unrolled(case, axes, samples):
        return case
    new = shapes.set_class(sizes, axes, samples)
    arrays = fill(case, np.random.default_rng((case.seed, 7)), {}, new)
    y_bar = [np.resize(g, o.shape) for g, o in zip(case.y_bar, _outputs(case, arrays), strict=True)]
    longer = replace(case, arrays=arrays, y_bar=tuple(y_bar), label=f"batch {samples}", example=False)
    return case if unrolled(longer, case) or not promised(longer, case) else longer


def _outputs(case: CallUnderTest, arrays) -> list:
    return [o for o in jax.eval_shape(case.tested.flat(case.tested.rule, case.options), *arrays) if is_float(o)]
