"""Rules from other libraries: what `verify` says of public functions of JAX, Optax, Flax and Equinox.

Run from the repository: `python -m experiments.verify_elsewhere.run [words]`. No reference is given: hand-written rules
are taken out, and what is left is differentiated. Beside it what JAX's `check_grads` (reverse mode, its own tolerances)
and torch's `gradcheck` say of the same call; torch and libraries that are not installed are left out. The functions are
believed to be right, so a checker that refuses one is wrong, but for those that the page beside this names. With
`--modules` the functions are all of jax.numpy, lax, nn and jax.scipy that take plain arguments. With `--record FILE`
each result is appended to the file, and a later run with the same file goes on after the last of them.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import warnings
from collections import Counter
from functools import partial
from pathlib import Path

from experiments.verify_faulty_rules.run import others


def judged(name: str, modules: bool) -> tuple[str, str, float, dict[str, bool]]:
    """(verdict, the report where it is not "right", seconds, which other checkers accept it)."""
    import jax
    import numpy as np

    import verify
    from experiments.verify_elsewhere.libraries import public
    from experiments.verify_elsewhere.modules import call_of, functions

    warnings.simplefilter("ignore")
    if modules:
        function = dict(functions())[name]
        args = call_of(function)
    else:
        function, *args = public()[name]
    report = verify.check(function, *args)
    leaves, tree = jax.tree.flatten(tuple(args))
    said = {}
    if all(isinstance(a, np.ndarray) for a in leaves):
        said = others(lambda *flat: function(*jax.tree.unflatten(tree, flat)), tuple(leaves))
    return report.verdict, "" if report.ok else str(report), report.seconds, said


def main() -> None:
    from experiments.verify_elsewhere.libraries import public
    from experiments.verify_elsewhere.modules import call_of, functions

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="functions whose names contain one of these")
    parser.add_argument("--modules", action="store_true", help="every function of whole modules of JAX")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--record", type=Path, help="keep the results here, and go on after those kept already")
    options = parser.parse_args()
    every = dict(functions()) if options.modules else public()
    names = [n for n in every if not options.words or any(word in n for word in options.words)]
    if options.modules:
        names = [n for n in names if call_of(every[n]) is not None]
    results = kept(options.record)
    left = [n for n in names if n not in results]
    for name in [n for n in names if n in results]:
        print(line(name, *results[name]))
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=16) as pool:
        for name, result in zip(left, pool.imap(partial(judged, modules=options.modules), left), strict=True):
            results[name] = result
            print(line(name, *result), flush=True)
            if options.record:
                with options.record.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([name, result]) + "\n")
    chosen = [results[n] for n in names]
    for name in names:
        if results[name][1]:
            print(f"\n{name}\n{results[name][1]}")
    verdicts = Counter(verdict for verdict, *_ in chosen)
    asked = Counter(checker for *_, said in chosen for checker in said)
    refused = Counter(checker for *_, said in chosen for checker, right in said.items() if not right)
    seconds = [took for _, _, took, _ in chosen]
    print(f"\n{len(names)} functions: " + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))
    print(f"seconds: median {statistics.median(seconds):.1f}, longest {max(seconds):.1f}")
    print(*(f"{checker} refuses {refused[checker]} of {n}" for checker, n in asked.items()), sep="\n")


def line(name: str, verdict: str, report: str, took: float, said: dict[str, bool]) -> str:
    beside = [f"{checker} refuses it" for checker, right in said.items() if not right]
    return f"{name}: {verdict}  {took:.1f} s" + (f"  ({', '.join(beside)})" if beside else "")


def kept(file: Path | None) -> dict[str, tuple[str, str, float, dict[str, bool]]]:
    """What a run before this one has appended to the file."""
    if file is None or not file.exists():
        return {}
    rows = [json.loads(row) for row in file.read_text(encoding="utf-8").splitlines()]
    return {name: (verdict, report, took, said) for name, (verdict, report, took, said) in rows}


if __name__ == "__main__":
    main()
