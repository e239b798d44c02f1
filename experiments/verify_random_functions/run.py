"""How often does `verify` misjudge rules of random functions? Run `python -m experiments.verify_random_functions.run`.

Each function is judged with a rule that is right, autodiff's own written as a `custom_vjp` or `custom_jvp`, and with
one that is faulty in one cotangent. Printed is every wrong verdict, with what `verify` says.
"""

import argparse
import random
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import verify
from experiments.verify_random_functions.functions import Drawn, drawn

RESULTS = Path(__file__).parent / "results"
FAULTS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {  # of a cotangent t of an argument a
    "a hundredth too much": lambda t, a: t * 1.01,
    "zero": lambda t, a: jnp.zeros_like(t),
    "no last row": lambda t, a: t.at[-1].set(0) if t.ndim else -t,
    "zero for large numbers": lambda t, a: jnp.where(jnp.abs(a) > 1.5, 0, t),
    "rounded to bfloat16": lambda t, a: t.astype(jnp.bfloat16).astype(t.dtype),
    "the other sign": lambda t, a: -t,
    "reversed": lambda t, a: t[::-1] if t.ndim else 2 * t,
    "a thousandth of the argument added": lambda t, a: t + 1e-3 * a,
    "half for negative numbers": lambda t, a: jnp.where(a < 0, t / 2, t),
    "clipped": lambda t, a: jnp.clip(t, -0.3, 0.3),
}
VISIBLE, ROUNDOFFS = 1e-3, 32  # of the largest element: what a fault must change in the example


def rule_of(one: Drawn, forward_mode: bool, fault: Callable | None = None, argument: int = 0) -> Callable:
    """The function with autodiff as its hand-written rule, with a fault in one argument's cotangent if given."""

    def rule(*args, **options):
        def plain(*a):
            return one.function(*a, **options)

        def backward(residuals, y_bar):
            bars = list(jax.vjp(plain, *residuals)[1](y_bar))
            if fault:
                bars[argument] = fault(bars[argument], residuals[argument])
            return tuple(bars)

        if forward_mode:
            joined = jax.custom_jvp(plain)
            joined.defjvp(lambda primals, tangents: jax.jvp(plain, primals, tangents))
        else:
            joined = jax.custom_vjp(plain)
            joined.defvjp(lambda *a: (plain(*a), a), backward)
        return joined(*args)

    return rule


def cotangents(rule: Callable, one: Drawn) -> list[np.ndarray]:
    y, pull = jax.vjp(lambda *a: rule(*a, **one.options), *one.args)
    bars = pull(jnp.ones_like(y))
    return [np.asarray(b) for b in bars if b.dtype != jax.dtypes.float0]


def judged(seed: int, dtype: str, seconds: float) -> list[tuple[bool, bool, str, float]]:
    """(whether it is right, whether `verify` says so, what it says, seconds) of the seed's right and faulty rule: none
    where the function does not run or a gradient is not finite, and no faulty one that changes nothing."""
    one, choose = drawn(seed), random.Random(f"rule {seed}")
    floats = [jnp.issubdtype(a.dtype, jnp.floating) for a in one.args]
    one = replace(one, args=[a.astype(dtype) if f else a for a, f in zip(one.args, floats, strict=True)])
    try:
        expected = cotangents(rule_of(one, False), one)
    except (TypeError, ValueError, NotImplementedError):  # shapes that do not fit, 16 bits that LAPACK does not know
        return []
    if not all(np.isfinite(e).all() for e in expected):
        return []
    forward_mode, with_reference = choose.random() < 0.3, choose.random() < 0.3
    name, argument = choose.choice(list(FAULTS)), choose.choice([k for k, f in enumerate(floats) if f])
    faulty = rule_of(one, False, FAULTS[name], argument)
    pairs = zip(cotangents(faulty, one), expected, strict=True)
    least = max(VISIBLE, ROUNDOFFS * float(jnp.finfo(dtype).eps) / 2)
    visible = any(np.abs(g - e).max(initial=0) > least * np.abs(e).max(initial=1e-6) for g, e in pairs)
    found = []
    for right, rule in [(True, rule_of(one, forward_mode)), *([(False, faulty)] if visible else [])]:
        options = {"reference": one.function} if with_reference else {}
        report = verify.check(rule, *one.args, kwargs=one.options, seconds=seconds, name=one.words, **options)
        kind = "right" if right else f"faulty: {name}, argument {argument}"
        found.append((right, report.ok, f"seed {seed}, {kind}\n{report}", report.seconds))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--dtype", default="float32", help="of the floating arguments")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each check")
    options = parser.parse_args()
    verdicts: list[tuple[bool, bool, str, float]] = []
    for n, seed in enumerate(range(options.first, options.first + options.seeds)):
        with jax.enable_x64(options.dtype == "float64"):
            found = judged(seed, options.dtype, options.seconds)
        verdicts += found
        for right, ok, text, _ in found:
            if right != ok:
                print(text, flush=True)
        if n % 20 == 19:
            jax.clear_caches()
            print(summary(verdicts), flush=True)
    RESULTS.mkdir(exist_ok=True)
    last = options.first + options.seeds - 1
    said = [summary(verdicts), *(text for right, ok, text, _ in verdicts if right != ok)]
    (RESULTS / f"{options.dtype}_{options.first}_to_{last}.txt").write_text("\n\n".join(said) + "\n")


def summary(verdicts: list[tuple[bool, bool, str, float]]) -> str:
    right = [ok for is_right, ok, _, _ in verdicts if is_right]
    faulty = [ok for is_right, ok, _, _ in verdicts if not is_right]
    median = statistics.median([seconds for *_, seconds in verdicts] or [0.0])
    return (
        f"right rules: {right.count(False)} of {len(right)} called wrong; faulty rules: {faulty.count(True)} of "
        f"{len(faulty)} passed; {median:.1f} s a check in the median"
    )


if __name__ == "__main__":
    main()
