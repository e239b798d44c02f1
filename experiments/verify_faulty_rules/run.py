"""How many faulty rules does each checker catch, and how many right ones does it refuse?

Run from the repository: `python -m experiments.verify_faulty_rules.run`. Every rule of tests/verify/faulty_rules, on
the same call: `verify` with its reference and without, JAX's `check_grads` (reverse mode, its own tolerances, float32
and float64) and torch's `gradcheck` (float64, its own tolerances; the rule runs inside an `autograd.Function`), which
is left out where torch is not installed. Then the right rules, each with 20 draws of its arguments. `--verify-only`
asks verify alone: with JAX_CUSTOM_VJP3=1 and JAX_CUSTOM_JVP3=1 in the environment, of rules that are hijax primitives.
"""

import argparse
import importlib.util
import multiprocessing
import os
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial

DRAWS = 20
LARGEST = 1000  # gradcheck builds the whole Jacobian: beyond so many entries it is left out


def of_floats(rule: Callable, args: tuple) -> tuple[Callable, list]:
    """The rule as a jitted function of its floating arguments alone, and those arguments."""
    import jax
    import jax.numpy as jnp

    floats = [k for k, a in enumerate(args) if jnp.issubdtype(a.dtype, jnp.floating)]

    def function(*chosen):
        full = list(args)
        for k, a in zip(floats, chosen, strict=True):
            full[k] = a
        return rule(*full)

    return jax.jit(function), [args[k] for k in floats]


def check_grads_accepts(rule: Callable, args: tuple, wide: bool) -> bool:
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.test_util import check_grads

    np.random.seed(0)  # noqa: NPY002 (check_grads draws its direction from here)
    with jax.enable_x64(wide):
        floating = [jnp.issubdtype(a.dtype, jnp.floating) for a in args]
        args = tuple(a.astype(np.float64) if wide and f else a for a, f in zip(args, floating, strict=True))
        function, chosen = of_floats(rule, args)
        try:
            check_grads(function, tuple(chosen), order=1, modes=["rev"])
        except Exception:
            return False
    return True


def gradcheck_accepts(rule: Callable, args: tuple) -> bool:
    import jax
    import numpy as np
    import torch

    function, chosen = of_floats(rule, args)
    apply_vjp = jax.jit(lambda xs, g: jax.vjp(function, *xs)[1](g))

    def arrays(tensors):
        return [t.detach().numpy() for t in tensors]

    class Bridge(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *xs):
            ctx.save_for_backward(*xs)
            return torch.from_numpy(np.array(function(*arrays(xs)), np.float64))

        @staticmethod
        def backward(ctx, g):
            bars = apply_vjp(arrays(ctx.saved_tensors), g.numpy())
            return tuple(torch.from_numpy(np.array(b, np.float64)) for b in bars)

    with jax.enable_x64(True):
        tensors = [torch.tensor(np.asarray(a, np.float64), requires_grad=True) for a in chosen]
        try:
            return bool(torch.autograd.gradcheck(lambda *xs: Bridge.apply(*xs), tuple(tensors)))
        except Exception:
            return False


def others(rule: Callable, args: tuple) -> dict[str, bool]:
    """What the other checkers say of a rule: True for right."""
    kinds = ("float32", "float64")
    said = {f"check_grads, {kind}": check_grads_accepts(rule, args, kind == "float64") for kind in kinds}
    if importlib.util.find_spec("torch") and sum(a.size for a in args) <= LARGEST:
        said["gradcheck"] = gradcheck_accepts(rule, args)
    return said


def judged(index: int, beside: bool = True) -> tuple[dict[str, bool], str]:
    """Of one faulty rule: which checkers call it wrong, also those `beside` verify, and a line where that does not."""
    import verify
    from tests.verify.faulty_rules.all import RULES

    warnings.simplefilter("ignore")
    wrong = RULES[index]
    report = verify.check(wrong.rule, *wrong.args, reference=wrong.reference)
    caught = {"verify, with reference": bool(report.failures)}
    caught["pattern named"] = any(word in f.pattern for f in report.failures[:3] for word in wrong.patterns)
    if wrong.alone:
        caught["verify, without"] = bool(verify.check(wrong.rule, *wrong.args).failures)
    if beside:
        caught |= {name: not right for name, right in others(wrong.rule, wrong.args).items()}
    missed = [name for name in ("verify, with reference", "verify, without") if not caught.get(name, True)]
    return caught, f"missed by {' and '.join(missed)}: {wrong.name}" if missed else ""


def refused(index: int) -> dict[str, int]:
    """Of one right rule: how many of its draws each of the other checkers refuses."""
    import numpy as np

    from experiments.verify_false_alarms.run import rules

    warnings.simplefilter("ignore")
    name = right_rules()[index]
    rule, _, args = rules()[name]
    count: Counter[str] = Counter()
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        drawn = tuple(rng.standard_normal(a.shape).astype(a.dtype) if a.dtype.kind == "f" else a for a in args)
        count.update({key: not right for key, right in others(rule, drawn).items()})
    return dict(count)


def right_rules() -> list[str]:
    """Rules whose arguments are arrays without a meaning of their own, at the sizes of the wrong ones and of LeNet."""
    from experiments.verify_false_alarms.run import rules

    left_out = ("test's batch_norm", "test's scaled")
    return [n for n in rules() if n.startswith(("test's", "LeNet's")) and n not in left_out]


def main() -> None:
    from tests.verify.faulty_rules.all import RULES

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take every n-th faulty rule only")
    parser.add_argument("--verify-only", action="store_true", help="leave out the other checkers and the right rules")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=16) as pool:
        caught, asked = Counter[str](), Counter[str]()
        for verdicts, missed in pool.imap(
            partial(judged, beside=not options.verify_only), range(0, len(RULES), options.every)
        ):
            caught.update({name: int(yes) for name, yes in verdicts.items()})
            asked.update(dict.fromkeys(verdicts, 1))
            if missed:
                print(missed, flush=True)
        print("faulty rules caught")
        for name in asked:
            print(f"  {name:24} {caught[name]:4} of {asked[name]}", flush=True)
        if options.verify_only:
            return
        names = right_rules()
        refusals = dict(zip(names, pool.map(refused, range(len(names)), chunksize=1), strict=True))
    print(f"right rules refused, of {DRAWS} draws each (`verify`: see verify_false_alarms)")
    for name, count in refusals.items():
        print(f"  {name:32} " + ", ".join(f"{key} {n}" for key, n in count.items()))


if __name__ == "__main__":
    main()
