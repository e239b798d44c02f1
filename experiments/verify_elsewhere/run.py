"""Rules that nobody here wrote: what `verify` says of public functions of JAX, Optax, Flax and Equinox.

Run from the repository: `python -m experiments.verify_elsewhere.run [words]`. No reference is given: hand-written rules
are taken out, and what is left is differentiated. Beside it what JAX's `check_grads` (reverse mode, its own tolerances)
and torch's `gradcheck` say of the same call; torch and libraries that are not installed are left out. The functions are
believed to be right, so a checker that refuses one is wrong, but for those that the page beside this names.
"""

import argparse
import multiprocessing
import os
import statistics
import warnings
from collections import Counter

from experiments.verify_faulty_rules.run import others


def judged(name: str) -> tuple[str, str, float, dict[str, bool]]:
    """(verdict, the report where it is not "right", seconds, which other checkers accept it)."""
    import jax
    import numpy as np

    import verify
    from experiments.verify_elsewhere.libraries import public

    warnings.simplefilter("ignore")
    function, *args = public()[name]
    report = verify.check(function, *args)
    leaves, tree = jax.tree.flatten(tuple(args))
    said = {}
    if all(isinstance(a, np.ndarray) for a in leaves):
        said = others(lambda *flat: function(*jax.tree.unflatten(tree, flat)), tuple(leaves))
    return report.verdict, "" if report.ok else str(report), report.seconds, said


def main() -> None:
    from experiments.verify_elsewhere.libraries import public

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="functions whose names contain one of these")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    names = [n for n in public() if not options.words or any(word in n for word in options.words)]
    seconds, reports = [], []
    verdicts, refused, asked = Counter[str](), Counter[str](), Counter[str]()
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=16) as pool:
        for name, (verdict, report, took, said) in zip(names, pool.imap(judged, names), strict=True):
            beside = [f"{checker} refuses it" for checker, right in said.items() if not right]
            print(f"{name}: {verdict}  {took:.1f} s" + (f"  ({', '.join(beside)})" if beside else ""), flush=True)
            verdicts[verdict] += 1
            seconds.append(took)
            asked.update(said.keys())
            refused.update(checker for checker, right in said.items() if not right)
            reports += [f"\n{name}\n{report}"] if report else []
    print(*reports, sep="\n")
    print(f"\n{len(names)} functions: " + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))
    print(f"seconds: median {statistics.median(seconds):.1f}, longest {max(seconds):.1f}")
    print(*(f"{checker} refuses {refused[checker]} of {n}" for checker, n in asked.items()), sep="\n")


if __name__ == "__main__":
    main()
