"""Reverse over reverse: the rule, differentiated again.

With x̄(x, ȳ) the rule's answer and a fixed u, the gradient of h = ⟨u, x̄⟩ is compared with the oracle's own second
derivative, and, for an arbiter that shares no code with either, ⟨∇h, d⟩ with the difference quotient of ⟨u, x̄⟩ along
d. The derivative by ȳ is the forward derivative J u. Where somebody's backward rule cannot be differentiated there
is nothing to compare, and the check says so.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.function_under_test import first_line
from verify.generate.domain import mirrored
from verify.oracle import at_kinks, kinks, samplers
from verify.oracle.compare import differences
from verify.oracle.noise import loop_noise
from verify.oracle.primal import CALLS, equations, inlined, is_call, kept
from verify.oracle.searches import searches
from verify.oracle.tolerance import any_true, largest, unit_roundoff, wrong_elements
from verify.report.finding import Finding, NotRunError
from verify.running import RULE, WIDE, call, compiled, finite, pullback

NAME = "second order"
APART = 1e-3  # of the largest element: autodiff of a search is 0, or does not run, where it is no derivative
SEARCH = "right once, not twice: the forward rule runs the search itself; let it call the rule"
EVERY_CASE = False
SMOOTH = 0.02  # of the largest element: what a second derivative changes by within a thousandth
RELATIVE = (
    1e-8  # of the largest element, in float64; a second derivative sums more than the first-order analysis counts
)


def findings(case: CallUnderTest) -> list[Finding]:
    samplers.refuse(case)
    found = _findings(case)
    if found and case.tested.reference is None:
        kink = at_kinks.convention(case)
        if kink or (not _findings(_beside(case)) and not _continues(case)):
            raise NotRunError("the example lies on a kink, where conventions may differ")
    if found and _search_in_forward(case):
        return [replace(f, note=True, message=f"{SEARCH}; {f.message}", index=None) for f in found]
    return found


def of_rules(case: CallUnderTest) -> bool:
    """Whether the backward rule itself calls rules that the function does not: only then the second derivative may be
    wrong although the first is right everywhere."""
    try:
        function = jax.make_jaxpr(case.tested.flat(case.tested.rule, case.options))(*case.arrays)
        calls = [{str(kept(e, CALLS)) for e in equations(p) if is_call(e, CALLS)} for p in (function, case.trace[0])]
    except Exception:  # it cannot be traced, which `contract` says
        return False
    return bool(calls[1] - calls[0])


def _search_in_forward(case: CallUnderTest) -> bool:
    """Whether the forward rule runs a search itself (a bisection, a loop that ends), of which autodiff does not give
    the derivative, and calls no rule for it. The residuals then have another derivative than the function, which the
    first derivative does not use and the second cannot do without."""
    if not searches(case) or any(is_call(e, CALLS) and _loops(kept(e, CALLS)) for e in equations(case.trace[0])):
        return False
    primal = inlined(case.tested.flat(case.tested.rule, case.options), CALLS)
    try:
        bars = case.pull(WIDE, case.y_bar, primal, "without its rule")[1]
    except Exception:  # reverse mode does not pass a loop that ends by itself
        return True
    return any(largest(b - w) > APART * largest(w) for b, w in zip(bars, case.wide[1], strict=True))


def _loops(closed) -> bool:
    return any(e.primitive.name in ("while", "scan") for e in equations(closed))


def _continues(case: CallUnderTest) -> bool:
    """Whether the oracle's second derivative at the example is its limit from two sides, where the rule has the same,
    and not the rule's own: a derivative that is written with a sign or a guard has another slope at its 0 alone."""
    u = _directions(case)
    arrays, y_bar = case.at(WIDE), case.cotangent(WIDE, case.y_bar)
    here = _oracle(case, arrays, y_bar, u)
    if here is None or not finite(here) or _findings(_beside(case, -1)):
        return False
    for sign in (1, -1):
        if _apart(here, _oracle(case, _beside(case, sign).at(WIDE), y_bar, u), SMOOTH):
            return False
    return _apart(here, _own(case, arrays, y_bar, u), 2 * SMOOTH)


def _apart(expected: list[np.ndarray], got: list[np.ndarray] | None, part: float) -> bool:
    """Whether arrays differ by more than a part of their largest elements."""
    if got is None:
        return True
    pairs = zip(expected, got, strict=True)
    return any(bool(np.any(~(np.abs(np.asarray(g, WIDE) - e) <= part * largest(e)))) for e, g in pairs)


def _directions(case: CallUnderTest) -> list[np.ndarray]:
    """What the cotangents are projected on."""
    rng = np.random.default_rng((case.seed, 8))
    pairs = zip(case.perturbed, case.wide[1], strict=True)
    return [mirrored(rng.standard_normal(b.shape), case.arrays[n]) for n, b in pairs]


def _beside(case: CallUnderTest, sign: int = 1) -> CallUnderTest:
    """The case with every number moved by about a thousandth, off whatever kinks it lies on."""
    rng = np.random.default_rng((case.seed, 11))
    arrays = list(case.arrays)
    for n in case.perturbed:
        a = np.asarray(arrays[n], WIDE)
        step = 1e-3 * (float(np.sqrt(np.mean(a**2))) or 1.0) if a.size else 0.0
        arrays[n] = (a + sign * step * (1 + rng.random(a.shape))).astype(arrays[n].dtype)
    return case.moved(arrays)


def _findings(case: CallUnderTest) -> list[Finding]:
    u = _directions(case)
    arrays, y_bar = case.at(WIDE), case.cotangent(WIDE, case.y_bar)
    try:
        got = _own(case, arrays, y_bar, u)
    except NotRunError:
        raise
    except Exception as error:
        raise NotRunError(f"the rule cannot be differentiated again ({first_line(error)})") from error
    room = max(
        RELATIVE * max(1.0, case.narrowest / unit_roundoff(WIDE) / 1e4),
        4 * unit_roundoff(case.tested.dtype),
        loop_noise(case),
    )

    def of_one(k):
        alone = [v if j == k else np.zeros_like(v) for j, v in enumerate(u)]
        return alone, _own(case, arrays, y_bar, alone)

    found = _against_oracle(case, arrays, y_bar, u, got, room)
    if found and len(u) > 1:  # blamed is the cotangent whose derivative is wrong, not what it is taken by
        several = [(k, _against_oracle(case, arrays, y_bar, *of_one(k), room)) for k in range(len(u))]
        found = [_of_its_cotangent(case.names[k], f[0]) for k, f in several if f] or found
    # Where autodiff of the function was no oracle for the first derivative it is none for the second; and what
    # a stop_gradient holds, the rule's residuals may follow when it is differentiated again.
    stops = kinks.stops_gradients(case)
    if found is None or (found and (stops or any_true(kinks.excused(case)))):
        found = _against_differences(case, arrays, y_bar, u, got)
        if found and stops and not _consistent(case, arrays, y_bar, u):
            raise NotRunError("with a stop_gradient the function's second derivative is not defined")
    return found


def _consistent(case, arrays, y_bar, u) -> bool:
    """Whether autodiff's own second derivative is the slope of its gradient: what is held, as the largest entry under
    a softmax, then has no share in either."""
    oracle = case.tested.oracle(case.options)
    second = _oracle(case, arrays, y_bar, u)
    return second is not None and not _against_differences(case, arrays, y_bar, u, second, oracle)


def _of_its_cotangent(name: str, found: Finding) -> Finding:
    where = f"{found.argument}{list(found.index)}" if found.index is not None else found.argument
    return replace(found, argument=name, index=None, message=f"its cotangent's derivative by {where}: {found.message}")


def _own(case, arrays, y_bar, u) -> list[np.ndarray]:
    """The rule's own second derivative."""
    rule = case.tested.flat(case.tested.rule, case.options)
    run = compiled(case, "second", WIDE, lambda: _gradient_of_gradient(rule, case.perturbed), once=True)
    return [np.asarray(g, WIDE) for g in call(run, WIDE, arrays, y_bar, u)]


def _oracle(case, arrays, y_bar, u) -> list[np.ndarray] | None:
    oracle = case.tested.oracle(case.options)
    run = compiled(case, "second of oracle", WIDE, lambda: _gradient_of_gradient(oracle, case.perturbed), once=True)
    try:
        return [np.asarray(g, WIDE) for g in call(run, WIDE, arrays, y_bar, u)]
    except Exception:
        return None


def _against_oracle(case, arrays, y_bar, u, got, room) -> list[Finding] | None:
    expected = _oracle(case, arrays, y_bar, u)
    if expected is None:
        return None
    unknown = [np.isnan(e) for e in expected]  # 0/0 of a guard: it says nothing of the other elements
    size = max((float(np.abs(e[~nan]).max(initial=0)) for e, nan in zip(expected, unknown, strict=True)), default=0.0)
    if not np.isfinite(size) or all(nan.all() for nan in unknown):
        raise NotRunError("the oracle's second derivative is not finite here")
    allowed = [np.full(e.shape, room * size) for e in expected]
    what = "the oracle's second derivative"
    names = [*case.names, *(f"the cotangent's share {k}" for k in range(len(y_bar)))]
    for k, n in enumerate(case.perturbed):
        if got[k].shape != expected[k].shape:
            continue
        got[k], expected[k] = (_inside(case, n, a) for a in (got[k], expected[k]))
    got = [np.where(nan, 0, g) if nan.shape == g.shape else g for nan, g in zip(unknown, got, strict=True)]
    expected = [np.where(nan, 0, e) for nan, e in zip(unknown, expected, strict=True)]
    return differences(NAME, case, expected, got, allowed, names=names, what=what)


def _inside(case: CallUnderTest, n: int, change: np.ndarray) -> np.ndarray:
    """The part of a change of an array that stays in its domain: where rows are probabilities or of norm 1, a rule may
    rely on that, as softmax - t does, and holds for no other."""
    array = np.asarray(case.arrays[n], WIDE)
    for domain in case.tested.leaves[case.tested.arrays[n]].domain:
        change = domain.tangent(change, array)
    return mirrored(change, case.arrays[n])


def _against_differences(case, arrays, y_bar, u, got, fun=None) -> list[Finding]:
    rng, noise = np.random.default_rng((case.seed, 9)), loop_noise(case)
    size = sum(float(np.sum(np.abs(a * b))) for a, b in zip(u, case.wide[1], strict=True))
    for k, (name, n) in enumerate(zip(case.names, case.perturbed, strict=True)):
        d = _inside(case, n, rng.standard_normal(arrays[n].shape))
        # What stops by a tolerance of its own needs a step that rises above it.
        h = (1e-2 if noise else 1e-4) * max(1.0, float(np.abs(arrays[n]).max(initial=0)))
        quotients = []
        for step in (h, h / 2):
            sides = []
            for sign in (1, -1):
                moved = list(arrays)
                moved[n] = arrays[n] + sign * step * d
                bars = case.moved(moved).pull(WIDE, y_bar, fun, "oracle alone" if fun else RULE)[1]
                sides.append(sum(float(np.sum(a * b)) for a, b in zip(u, bars, strict=True)))
            quotients.append((sides[0] - sides[1]) / (2 * step))
        expected = np.asarray((4 * quotients[1] - quotients[0]) / 3)
        bar = np.asarray(1e-6 * abs(expected) + 4 * abs(quotients[1] - quotients[0]) + noise * size / h + 1e-9)
        have = np.asarray(np.sum(got[k] * d))
        if wrong_elements(expected, have, bar).any():
            text = f"the slope of the gradient is {float(expected):.6g} by differences, {float(have):.6g} by the rule"
            return [Finding(NAME, name, None, float(expected), float(have), "one direction", text, case.label)]
    return []


def _gradient_of_gradient(flat, perturbed):
    def second(arrays, y_bar, u):
        def projected(chosen, y_bar):
            full = list(arrays)
            for n, a in zip(perturbed, chosen, strict=True):
                full[n] = a
            bars = pullback(flat, perturbed)(full, y_bar)[1]
            return sum(jnp.sum(a * b) for a, b in zip(u, bars, strict=True))

        by_x, by_cotangent = jax.grad(projected, argnums=(0, 1))([arrays[n] for n in perturbed], list(y_bar))
        return [*by_x, *by_cotangent]

    return second
