"""The form of the answer: the backward rule can be traced, and each cotangent has its argument's shape and dtype.

A cotangent lives in the dual of its argument's space, so it has as many numbers, of the same dtype; JAX itself does
not check the dtype. Integers have no tangent space: their cotangent is `None` or `float0`, and JAX raises, inside the
rule's call, on anything else. Nothing is compiled here: tracing alone shows all this.
"""

import re
from dataclasses import replace

import jax
import numpy as np

from verify.call_under_test import CallUnderTest, outputs, with_cotangent
from verify.function_under_test import first_line, unbound
from verify.generate.accidental import reads_less, spreads_more
from verify.generate.generated_inputs import fill
from verify.generate.shapes import accepted, resized
from verify.oracle.by_hand import plain
from verify.oracle.instances import INSTANCE
from verify.oracle.primal import HIJAX, AnnouncedError
from verify.report.finding import Finding, NotRunError, UncheckableError
from verify.running import WIDE

NAME = "contract"
EVERY_CASE = True
FEW_POSITIONS = 9  # along an axis whose entries have names: coordinates, a quaternion, a 3×3 matrix
# What JAX says when it is the function, not somebody's rule, that has no derivative.
UNDIFFERENTIABLE = (
    "Differentiation rule",
    "Reverse-mode differentiation does not work",
    "Pure callbacks do not support JVP",
    "IO callbacks do not support JVP",
    "No differentiation rule",
    "differentiation rule not implemented",
    "JVP rule not implemented",
    "Linearization rule",
    "Transpose rule",
    "derivatives of non-symmetric eigenvectors",
    "gradients are only implemented",
    "for grad support, subclass",
)
# The same of a Pallas kernel; of a `custom_jvp`, that its output depends on the tangents.
LINEARIZATION = "Linearization failed to produce known values"
BY_SOME = "gradient with respect to"  # of an incomplete beta function JAX knows the derivative by x alone


def findings(case: CallUnderTest) -> list[Finding]:
    found = _announced(case)
    if found:
        return found
    try:
        bars = case.trace[1]
    except NotRunError:
        raise
    except Exception as error:
        undifferentiable = any(words.lower() in str(error).lower() for words in UNDIFFERENTIABLE)
        missing = isinstance(error, NotImplementedError) or any(w in str(error) for w in (LINEARIZATION, BY_SOME))
        if undifferentiable or (missing and plain(case)):
            reason = f"JAX cannot differentiate the function: {first_line(error)}"
            # With another option alone, as of `jnp.linalg.qr` in mode "raw": the example has its answer.
            raise (UncheckableError if case.example else NotRunError)(reason) from error
        if case.reshaped and not _by_its_options(case):
            _refuse_other_sizes(case, error)
        text = f"differentiating the rule raises {first_line(error)}"
        return [Finding(NAME, "the backward rule", None, None, None, "raises", text, case.label, cause_of(error))]
    for name, position, bar in zip(case.names, case.perturbed, bars, strict=True):
        primal = case.arrays[position]
        for what, got, expected in (("shape", bar.shape, primal.shape), ("dtype", bar.dtype, primal.dtype)):
            if got != expected:
                by = ", by the method vjp_bwd," if INSTANCE in case.tested.primitives else ""
                text = f"the cotangent's {what}{by} is {got}, its argument's is {expected}"
                cause = _placeholder(name) if got == jax.dtypes.float0 else ""
                found.append(Finding(NAME, name, None, None, None, what, text, case.label, cause))
    return found


def _by_its_options(case: CallUnderTest) -> bool:
    """Whether the rule is defined at these sizes without the options of the call: then no size is what it raises of."""
    return bool(case.options) and _defined_at(replace(case, options={}), [tuple(a.shape) for a in case.arrays], 25)


def _refuse_other_sizes(case: CallUnderTest, error: Exception) -> None:
    """Raises NotRunError where sizes of the call are none that the example promises."""
    reasons = (
        (_apart, "the rule is not defined for sizes that differ where the example's are equal"),
        (_broadcasts, "the rule broadcasts an axis that is 1 in the example, as others are"),
        (_one_apart, "the rule is not defined where sizes that differ by one in the example do not"),
        (spreads_more, "the function broadcasts at these sizes, by accident, what it does not in the example"),
        (reads_less, "the function reads the example's size of an axis alone, entry by entry"),
        (_fixed, "the function accepts only the example's size of an axis"),
        (_without_value, "the function itself has no value at these sizes"),
    )
    for unlike_the_example, reason in reasons:
        if unlike_the_example(case):
            raise NotRunError(reason) from error


def _placeholder(name: str) -> str:
    return f"the rule returns float0, the cotangent of an integer, for {name}: a zero gradient, so nothing is learnt"


def _announced(case: CallUnderTest) -> list[Finding]:
    """Whether a hijax primitive's `expand` returns what its `out_aval` says: JAX does not compare them."""
    if HIJAX not in case.tested.primitives or case.tested.reference is not None:
        return []
    try:
        jax.eval_shape(case.tested.oracle(case.options), *case.arrays)
    except AnnouncedError as error:
        return [Finding(NAME, "expand", None, None, None, "out_aval", str(error), case.label)]
    return []


def _apart(case: CallUnderTest) -> bool:
    """Whether axes of two arrays that have one size in the example have two here: the function broadcasts them, and
    whoever wrote the rule may never have meant that."""
    before = _example_shapes(case)
    sizes = [(n, old, new) for n, a in enumerate(case.arrays) for old, new in zip(before[n], a.shape, strict=True)]
    return any(n != m and old == other and new != now for n, old, new in sizes for m, other, now in sizes)


def _one_apart(case: CallUnderTest) -> bool:
    """Whether axes of two arrays differ by one in the example, as a window and what is carried from one chunk to the
    next do, and differ otherwise here, and the rule is defined where they do again."""
    before, sizes = _example_shapes(case), [tuple(a.shape) for a in case.arrays]
    axes = [(n, k) for n, shape in enumerate(sizes) for k in range(len(shape))]
    pairs = [(a, b) for a in axes for b in axes if a[0] != b[0] and abs(_at(before, a) - _at(before, b)) == 1]
    for a, b in pairs:
        size = _at(sizes, a) + _at(before, b) - _at(before, a)
        variant = resized(sizes, {b: size})
        changed = _at(sizes, a) != _at(before, a) and size != _at(sizes, b)
        if changed and accepted(case, variant, case.options) and _defined_at(case, variant, 24):
            return True
    return False


def _defined_at(case: CallUnderTest, sizes: list[tuple[int, ...]], seed: int) -> bool:
    """Whether the rule runs at these sizes, and each cotangent has its argument's shape."""
    rng = np.random.default_rng((case.seed, seed))
    try:
        bars = with_cotangent(case.moved(list(fill(case, rng, {}, sizes))), rng).trace[1]
    except Exception:
        return False
    return all(bar.shape == sizes[n] for bar, n in zip(bars, case.perturbed, strict=True))


def _at(sizes: list[tuple[int, ...]], axis: tuple[int, int]) -> int:
    return sizes[axis[0]][axis[1]]


def _fixed(case: CallUnderTest) -> bool:
    """Whether an axis has another size than in the example though the function knows that one alone: its outputs keep
    their shape at any length, and nothing beyond the example's has an effect, or one of its own. A function of three
    coordinates takes arrays with more, and with fewer, as JAX reads past the end."""
    example, sizes = _example_shapes(case), [tuple(a.shape) for a in case.arrays]
    axes = [(n, k) for n in range(len(sizes)) for k in range(len(sizes[n]))]
    for before, now in sorted({(example[n][k], sizes[n][k]) for n, k in axes if example[n][k] != sizes[n][k]}):
        changed = [(n, k) for n, k in axes if (example[n][k], sizes[n][k]) == (before, now)]
        variants = [resized(sizes, dict.fromkeys(changed, size)) for size in (now, before, before + 1, 3 * before)]
        if not all(accepted(case, v, case.options) for v in variants):
            continue
        shapes = [_output_shapes(case, v) for v in variants]
        if all(s == shapes[0] for s in shapes):
            arrays = fill(case, np.random.default_rng((case.seed, 16)), {}, variants[2])
            oracle = case.tested.oracle(case.options)
            bars = case.moved(list(arrays)).pull(WIDE, case.y_bar, oracle, "oracle alone")[1]
            given = [(bars[case.perturbed.index(n)], k) for n, k in changed if n in case.perturbed]
            if given and not any(np.any(np.take(bar, before, k)) for bar, k in given):
                return True
            longer = resized(sizes, dict.fromkeys(changed, before + 2))
            if before <= FEW_POSITIONS and accepted(case, longer, case.options) and _by_position(case, changed, longer):
                return True
    return False


def _by_position(case: CallUnderTest, axes: list[tuple[int, int]], sizes: list[tuple[int, ...]]) -> bool:
    """Whether the function tells the entries along an axis apart by their position, but for the last two, which the
    example lacks: three coordinates that it reads one by one and whose norm it takes, too."""
    arrays = case.moved(list(fill(case, np.random.default_rng((case.seed, 19)), {}, sizes))).at(WIDE)
    (n, k), *_ = axes
    length = sizes[n][k]

    def unchanged_by_exchanging(i: int) -> bool:
        order = np.arange(length)
        order[[i, i + 1]] = i + 1, i
        moved = list(arrays)
        for n, k in axes:
            moved[n] = np.take(moved[n], order, k)
        return all(np.allclose(a, b, 1e-9, 1e-12) for a, b in zip(case.value(moved), values, strict=True))

    values = case.value(list(arrays))
    return unchanged_by_exchanging(length - 2) and not any(unchanged_by_exchanging(i) for i in range(length - 3))


def _broadcasts(case: CallUnderTest) -> bool:
    """Whether the rule is defined where one axis stays 1, as in the example, while others that are 1 there grow: which
    of them broadcast, the example does not show."""
    before, sizes = _example_shapes(case), [tuple(a.shape) for a in case.arrays]
    ones = [(n, k) for n, size in enumerate(sizes) for k in range(len(size)) if before[n][k] == 1 != size[k]]
    for axis in ones if len(ones) > 1 else []:
        variant = resized(sizes, {axis: 1})
        if not accepted(case, variant, case.options) or _output_shapes(case, variant) != _output_shapes(case, sizes):
            continue
        if _defined_at(case, variant, 17):
            return True
    return False


def _without_value(case: CallUnderTest) -> bool:
    """Whether the function is NaN throughout, as the mean over windows is where none fits into the input."""
    values = case.value(case.at(WIDE))
    return bool(values) and all(np.isnan(y).all() for y in values)


def _example_shapes(case: CallUnderTest) -> list[tuple[int, ...]]:
    return [np.shape(a) for a in case.tested.example]


def _output_shapes(case: CallUnderTest, sizes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    arrays = [jax.ShapeDtypeStruct(s, a.dtype) for s, a in zip(sizes, case.arrays, strict=True)]
    return [o.shape for o in outputs(case.tested, case.options, arrays)]


def cause_of(error: Exception) -> str:
    """What usually makes JAX say this about a `custom_vjp`."""
    text = str(error)
    if advice := unbound(error):
        return f"the rule sums over an axis of a mesh {advice.strip()}"
    if "manual axis types" in text and "bwd" in text:
        return "a psum is missing or one too many: the cotangent must vary over the devices as its argument does"
    place = re.search(r"at output\[(\d+)\]", text)
    if "shapes do not match" in text and place:
        return (
            f"the cotangent of the rule's argument number {int(place[1]) + 1} has another shape than the argument: a "
            "transpose or a sum over a broadcast axis is missing, or too many"
        )
    if ("tuple" in text and "bwd" in text) or "must return" in text or "pytree" in text or "structure" in text:
        return "the backward rule must return a tuple with one cotangent per differentiable argument, shaped like it"
    if isinstance(error, jax.errors.UnexpectedTracerError) or (
        "No constant handler for type" in text and "Tracer" in text
    ):
        return "a value of the forward rule reaches the backward rule outside of the residuals: a global, an attribute"
    if isinstance(error, jax.errors.TracerArrayConversionError | jax.errors.ConcretizationTypeError):
        return "the rule uses NumPy, or Python control flow, on values that are only known at run time"
    if "dot_general" in text and "contracting" in text:
        return "a matrix product whose sizes do not meet: a transpose is missing or one too many (A for Aᵀ)"
    if "shape" in text or "incompatible" in text or "broadcast" in text:
        return "shapes do not fit inside the rule: an axis or a geometry it does not handle"
    return ""
