"""The pushforward of a `custom_jvp` or a hijax primitive: tangents of the outputs, element by element, against
forward-mode autodiff.

For y = f(x) and a tangent ẋ the rule must return ẏ = (∂f/∂x) ẋ, and with it f's own value. Its transpose is what
`gradient` looks at; the tangent itself, its value, and rules that JAX cannot transpose are looked at here, under
`jax.jvp` and under `jax.linearize`, for which a hijax primitive has rules of its own. The tangents are random, so that
each element of ẏ is another combination of partial derivatives.
"""

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.function_under_test import FunctionUnderTest, first_line
from verify.oracle import kinks, samplers
from verify.oracle.compare import differences
from verify.oracle.error_bounds import with_error_bounds
from verify.oracle.instances import UNWRITTEN
from verify.oracle.noise import loop_noise
from verify.oracle.one_sided import slopes
from verify.oracle.primal import HIJAX, JVP_CALLS
from verify.oracle.tolerance import allowed_error, any_true, largest, resolution, unit_roundoff, wrong_elements
from verify.report.finding import Finding, NotRunError
from verify.running import WIDE, call, compiled, linearized, pushforward

NAME = "pushforward"
EVERY_CASE = False
BESIDE = 1e-6  # how far beside a kink, relative to the array


def applies(tested: FunctionUnderTest) -> bool:
    """A custom_vjp has no pushforward to check."""
    return _own_methods(tested) or dict(tested.calls) == JVP_CALLS


def findings(case: CallUnderTest) -> list[Finding]:
    samplers.refuse(case)
    hijax = _own_methods(case.tested)
    arrays, rng = case.at(WIDE), np.random.default_rng((case.seed, 12))
    tangents = [rng.standard_normal(arrays[n].shape) for n in case.perturbed]
    oracle = compiled(case, "pushed oracle", WIDE, lambda: measured(case.tested.oracle(case.options), case.perturbed))
    try:
        (values, pushed), (value_errors, errors) = call(oracle, WIDE, arrays, tangents)
    except Exception as error:
        raise NotRunError(f"forward mode does not reach through the function ({first_line(error)})") from error
    expected = [np.asarray(a, WIDE) for a in (*values, *pushed)]
    if not all(np.all(np.isfinite(e)) for e in expected):
        raise NotRunError("the oracle itself is not finite here")
    narrow, noise = case.narrowest / unit_roundoff(WIDE), loop_noise(case)
    # Of a loop the error analysis may see nothing, and a number is rounded at least once.
    errors = [np.asarray(m, WIDE) for m in (*value_errors, *errors)]
    magnitudes = [np.maximum(m, np.abs(e)) for m, e in zip(errors, expected, strict=True)]
    stops = [noise * largest(e) for e in expected]
    allowed = [allowed_error(m, WIDE) * narrow + n for m, n in zip(magnitudes, stops, strict=True)]
    # What the dtype of the call cannot resolve is a note, here as in `gradient`.
    narrower = case.tested.dtype if case.tested.dtype != WIDE else None
    beyond = [resolution(m, narrower) + n for m, n in zip(magnitudes, stops, strict=True)] if narrower else None
    notes: list[Finding] = []
    rule, refused = case.tested.flat(case.tested.rule, case.options), []
    for mode, build in (("jvp", pushforward), ("linearize", linearized)):
        run = compiled(case, f"pushed rule by {mode}", WIDE, lambda build=build: build(rule, case.perturbed))
        try:
            own = [np.asarray(a, WIDE) for part in call(run, WIDE, arrays, tangents) for a in part]
        except Exception as error:
            if hijax and any(words in str(error) for words in (UNWRITTEN, "custom_vjp")):
                refused.append(first_line(error))
                continue
            text = f"under jax.{mode} the rule raises {first_line(error)}"
            return [Finding(NAME, "the rule", None, None, None, "raises", text, case.label)]
        found = _compared(case, mode, oracle, tangents, expected, own, allowed, beyond)
        if any(not f.note for f in found):
            return found
        notes += found
    if len(refused) == 2:
        raise NotRunError(refused[0])
    return notes[:1]


def _compared(case: CallUnderTest, mode: str, oracle, tangents, expected, own, allowed, beyond) -> list[Finding]:
    count = len(expected) // 2
    words = [f"{what}{_index(k, count)}" for what in ("output", "tangent of output") for k in range(count)]

    def unexplained(bad: list[np.ndarray]) -> list[np.ndarray]:
        if case.tested.reference is not None or not any_true(bad):
            return bad
        pairs = enumerate(zip(bad, allowed, strict=True))
        bad = [b & ~_excused(case, oracle, tangents, k, expected[k], own[k], a) for k, (b, a) in pairs]
        tails = zip(range(count), expected[count:], own[count:], bad[count:], strict=True)
        moved = [_as_values_move(case, tangents, *tail) for tail in tails]
        return [*bad[:count], *(b & ~m for b, m in zip(bad[count:], moved, strict=True))]

    # The methods of a hijax primitive that these come from.
    methods = (
        {"jvp": ("jvp", "jvp"), "linearize": ("lin", "linearized")}[mode] if _own_methods(case.tested) else ("", "")
    )
    said = [f", the method {m}" if m else "" for m in methods for _ in range(count)]
    names = [f"{word} under jax.{mode}{method}" for word, method in zip(words, said, strict=True)]
    return differences(NAME, case, expected, own, allowed, names=names, unexplained=unexplained, beyond=beyond)


def _own_methods(tested: FunctionUnderTest) -> bool:
    return HIJAX in tested.primitives and dict(tested.calls) != JVP_CALLS


def _index(k: int, count: int) -> str:
    return f" {k}" if count > 1 else ""


def _excused(
    case: CallUnderTest, oracle, tangents, k: int, expected: np.ndarray, got: np.ndarray, allowed: np.ndarray
) -> np.ndarray:
    """Where the rule's tangent lies between forward mode's a little before and a little after the point: at a kink any
    value between the one-sided ones is right; and where both sides agree with the rule, forward mode of a formula with
    a guard at this very point is what is wrong."""
    sides = []
    for sign in (-1.0, 1.0):
        moved = case.at(WIDE)
        for n, u in zip(case.perturbed, tangents, strict=True):
            moved[n] = moved[n] + sign * BESIDE * max(1.0, float(np.abs(moved[n]).max(initial=0))) * u
        values, pushed = call(oracle, WIDE, moved, tangents)[0]
        sides.append(np.asarray([*values, *pushed][k], WIDE))
    low, high = np.minimum(*sides), np.maximum(*sides)
    size = np.abs(low) + np.abs(high)
    # Where both sides agree there is no kink, and so no room for the rule.
    jump = wrong_elements(low, high, 1e-3 * size)
    slack = np.where(jump, allowed + 1e-4 * (high - low), allowed + 1e-4 * size)
    inside, alone = ((a >= low - slack) & (a <= high + slack) for a in (got, expected))
    return inside & (jump | ~alone)


def _as_values_move(
    case: CallUnderTest, tangents, k: int, expected: np.ndarray, got: np.ndarray, bad: np.ndarray
) -> np.ndarray:
    """`bad`, or nothing of it: whether output `k` rises along the tangents as the rule says, and not as forward mode
    does, which says 0 of a bisection."""
    try:
        for index in kinks.sampled(bad):
            one_hot = tuple(np.zeros(y.shape) for y in case.y_bar)
            one_hot[k][index] = 1.0
            found = slopes(case, tangents, one_hot)
            if not found.admit(float(got[index]), 0.0) or found.admit(float(expected[index]), 0.0):
                return np.zeros_like(bad)
    except NotRunError:
        return np.zeros_like(bad)
    return bad


def measured(flat, perturbed):
    """The same with the magnitudes of both, for their error bounds."""
    push = pushforward(flat, perturbed)

    def oracle(arrays, tangents):
        def joined(*everything):
            values, pushed = push(list(everything[: len(arrays)]), list(everything[len(arrays) :]))
            return [*values, *pushed]

        values, errors = with_error_bounds(joined)(*arrays, *tangents)
        half = len(values) // 2
        return (values[:half], values[half:]), (errors[:half], errors[half:])

    return oracle
