"""How many wrong rules does `verify` catch? Run from the repository: `python -m experiments.verify_wrong_rules.run`.

Every rule of tests/verify/wrong_rules once with its reference and once without; beside it JAX's `check_grads`, the
checker people have today, on the same rule and call. Prints the shares and the rules missed.
"""

import warnings

import jax
from jax.test_util import check_grads

import verify
from tests.verify.wrong_rules.all import RIGHT, RULES


def refused_by_check_grads(rule, args, seed=0):
    """Whether `check_grads` says that the rule is wrong (it draws its directions from NumPy's global generator)."""
    floats = [k for k, a in enumerate(args) if a.dtype.kind == "f"]

    def of_floats(*chosen):
        full = list(args)
        for k, a in zip(floats, chosen, strict=True):
            full[k] = a
        return rule(*full)

    try:
        check_grads(of_floats, tuple(args[k] for k in floats), order=1, modes=["rev"])
    except Exception:
        return True
    return False


def main():
    jax.config.update("jax_numpy_rank_promotion", "raise")
    warnings.simplefilter("ignore")
    caught, named, alone, theirs, missed = 0, 0, 0, 0, []
    for wrong in RULES:
        report = verify.check(wrong.rule, *wrong.args, reference=wrong.reference)
        caught += bool(report.failures)
        named += any(word in f.pattern for f in report.failures[:3] for word in wrong.patterns)
        theirs += refused_by_check_grads(wrong.rule, wrong.args)
        if not report.failures:
            missed.append(f"{wrong.name} (with its reference)")
        if wrong.alone:
            seen = bool(verify.check(wrong.rule, *wrong.args).failures)
            alone += seen
            if not seen:
                missed.append(f"{wrong.name} (without)")
    without = sum(w.alone for w in RULES)
    print(f"verify, with reference:     {caught} of {len(RULES)} caught, pattern named for {named}")
    print(f"verify, without reference:  {alone} of {without} caught ({len(RULES) - without} cannot be told without)")
    print(f"check_grads, one draw:      {theirs} of {len(RULES)} caught")
    right = sum(refused_by_check_grads(rule, args) for _, rule, _, args in RIGHT)
    print(f"check_grads, right rules:   {right} of {len(RIGHT)} rejected; verify: see verify_false_alarms")
    print(*missed, sep="\n")


if __name__ == "__main__":
    main()
