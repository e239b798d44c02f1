"""Would a faulty rule have been noticed? Break the right one on purpose and look.

The backward computation is traced to a jaxpr; one equation at a time is computed wrongly (its sign, a dropped term,
the first sample only, …) and the result is checked like anybody's rule. The share of breaks that are noticed is the
score. A break that changes no number on any generated call (a sum over a single element, a comparison at a value that
never occurs) is *equivalent* there, and is listed but not counted.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verify.call_under_test import CallUnderTest, with_cotangent
from verify.checks import conditioning, contract, gradient
from verify.function_under_test import FunctionUnderTest, describe
from verify.generate import calls
from verify.mutation.breaks import Break, evaluate_broken, possible
from verify.report.finding import NotRunError, UncheckableError
from verify.report.notes import name_of
from verify.settings import undisturbed

UNBROKEN = Break(10**9, "", "nothing")  # no backward computation has so many equations
CAUGHT, SURVIVED, EQUIVALENT = "caught", "survived", "equivalent"


@dataclass(frozen=True)
class Mutant:
    """One break and what became of it: caught `by` a check on a call, survived, or equivalent."""

    name: str
    status: str
    by: str = ""


@dataclass(frozen=True)
class Score:
    """The result of `verify.mutate`; `float(score)` is the share of breaks noticed, of those that change anything."""

    rule: str
    mutants: tuple[Mutant, ...]

    def count(self, status: str) -> int:
        return sum(m.status == status for m in self.mutants)

    def __float__(self) -> float:
        counted = self.count(CAUGHT) + self.count(SURVIVED)
        return self.count(CAUGHT) / counted if counted else 1.0

    @property
    def survivors(self) -> tuple[Mutant, ...]:
        return tuple(m for m in self.mutants if m.status == SURVIVED)

    def __str__(self) -> str:
        head = f"{self.rule}: {self.count(CAUGHT)} of {self.count(CAUGHT) + self.count(SURVIVED)} breaks noticed"
        lines = [
            f"{head} ({float(self):.0%}); {self.count(EQUIVALENT)} change nothing but rounding on any generated call"
        ]
        lines += [f"  survived: {m.name}" for m in self.survivors]
        return "\n".join(lines)


@undisturbed()
def mutate(
    rule: Callable,
    *args: Any,
    reference: Callable | None = None,
    argnums: int | Sequence[int] | None = None,
    seed: int = 0,
    limit: int = 60,
    cases: int = 6,
    name: str | None = None,
) -> Score:
    """Break `rule`'s backward computation in up to `limit` ways and see which breaks `check` notices.

    Arguments are those of `verify.check`. Raises UncheckableError where `check` would say "could not be checked".
    """
    tested = describe(rule, args, reference, argnums)
    rng = np.random.default_rng((seed, 14))
    example = with_cotangent(CallUnderTest(tested, "the example", tested.example, {}, seed, example=True), rng)
    breaks = possible(_backward(rule, args))
    if len(breaks) > limit:
        chosen = np.random.default_rng((seed, 12)).choice(len(breaks), limit, replace=False)
        breaks = [breaks[k] for k in sorted(chosen)]
    generated = list(_calls(example, cases))
    if _fate(tested, example, generated, UNBROKEN).status == CAUGHT:
        raise UncheckableError("the rule is wrong before anything is broken; see verify.check")
    return Score(name or name_of(rule), tuple(_fate(tested, example, generated, b) for b in breaks))


def _calls(example: CallUnderTest, cases: int) -> Iterator[CallUnderTest]:
    yield from calls.content_cases(example)
    yield from calls.geometry_cases(example, cases)


def _fate(tested: FunctionUnderTest, example: CallUnderTest, generated: list[CallUnderTest], wrong: Break) -> Mutant:
    shared = {
        key: run for key, run in tested.compiled.items() if str(key[0]).startswith(("truth", "value", "autodiff"))
    }
    mutated = replace(tested, rule=broken(tested.rule, wrong), compiled=shared)
    changed = False
    for case in (example, *generated):
        mine = replace(case, tested=mutated)
        for one in (
            (conditioning,) if case.stress else (contract, gradient) if case.reshaped or case.example else (gradient,)
        ):
            try:
                found = one.findings(mine)
            except NotRunError:
                continue
            if found:
                tested.compiled.update({k: v for k, v in shared.items() if str(k[0]).startswith(("truth", "value"))})
                return Mutant(str(wrong), CAUGHT, f"{one.NAME}, {case.label}")
        changed = changed or (not case.reshaped and _differs(case, mine))
    tested.compiled.update({k: v for k, v in shared.items() if str(k[0]).startswith(("truth", "value"))})
    return Mutant(str(wrong), SURVIVED if changed else EQUIVALENT)


def _differs(case: CallUnderTest, mine: CallUnderTest) -> bool:
    """Whether the broken rule gives other numbers here than the right one, beyond rounding."""
    try:
        pairs = zip(case.wide[1], mine.wide[1], strict=True)
    except NotRunError:
        pairs = zip(case.own[1], mine.own[1], strict=True)
    # A softmax shifted by another number than its maximum is the same function, rounded differently.
    return any(
        not np.allclose(a, b, rtol=0, atol=1e-9 * float(np.abs(a).max(initial=0)), equal_nan=True) for a, b in pairs
    )


def _floating(leaves: Sequence[Any]) -> list[int]:
    return [k for k, a in enumerate(leaves) if hasattr(a, "dtype") and jnp.issubdtype(a.dtype, jnp.floating)]


def _split(rule: Callable, args: Sequence[Any], options: dict[str, Any]) -> tuple[Callable, list[Any]]:
    """The call as a function of its floating leaves alone, and those leaves."""
    leaves, tree = jax.tree_util.tree_flatten(args)
    spots = _floating(leaves)

    def of_floats(*floats):
        full = list(leaves)
        for k, a in zip(spots, floats, strict=True):
            full[k] = a
        return rule(*jax.tree_util.tree_unflatten(tree, full), **options)

    return of_floats, [leaves[k] for k in spots]


def _backward(rule: Callable, args: Sequence[Any]) -> Any:
    """The jaxpr of the rule's backward computation, residuals and cotangents as its inputs."""
    of_floats, floats = _split(rule, args, {})
    y, back = jax.vjp(of_floats, *[jnp.asarray(a) for a in floats])
    return _traced(back, jax.tree_util.tree_map(jnp.ones_like, y))


def _traced(back: Any, y_bar: Any) -> Any:
    kept, tree = jax.tree_util.tree_flatten(back)
    return jax.make_jaxpr(lambda kept, g: jax.tree_util.tree_unflatten(tree, kept)(g))(kept, y_bar)


def broken(rule: Callable, wrong: Break) -> Callable:
    """`rule` with the same value and a backward computation that makes one mistake."""

    @functools.wraps(rule, functools.WRAPPER_ASSIGNMENTS[:0])
    def mutant(*args, **options):
        of_floats, floats = _split(rule, args, options)
        function = jax.custom_vjp(of_floats)

        def bwd(back, y_bar):
            kept, cotangents = jax.tree_util.tree_leaves(back), jax.tree_util.tree_leaves(y_bar)
            return tuple(evaluate_broken(_traced(back, y_bar), [*kept, *cotangents], len(cotangents), wrong))

        function.defvjp(lambda *floats: jax.vjp(of_floats, *floats), bwd)
        return function(*floats)

    return mutant
