"""Which faults in the source of a rule or kernel does its own test file notice?

    python -m experiments.suite_mutation.run results/before.txt [--count 200] [--only conv2d.py …] [--survivors]

Each mutant is one changed expression in a copy of the tree. Results are appended to the file as they come; mutants that
are there already are not run again.
"""

import argparse
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import beartype  # noqa: F401
import jax.experimental  # noqa: F401
import pytest

from experiments.suite_mutation.mutants import Mutant, mutants

ROOT, HERE = Path(__file__).parents[2], Path(__file__).parent
COPIED = ("purecnn", "tests", "verify", "pyproject.toml")
SECONDS = 600


def sources() -> list[str]:
    """The files that are mutated."""
    found = [p for folder in ("layers", "losses", "kernels") for p in sorted((ROOT / "purecnn" / folder).glob("*.py"))]
    return [str(p.relative_to(ROOT)) for p in found if p.name != "__init__.py"]


def drawn(count: int, seed: int = 0) -> list[Mutant]:
    """About `count` mutants, of each file in proportion to how many it has."""
    possible = {path: mutants(path, (ROOT / path).read_text(encoding="utf-8")) for path in sources()}
    total, rng = sum(map(len, possible.values())), random.Random(seed)
    shares = {path: max(1, round(count * len(all_of_it) / total)) for path, all_of_it in possible.items()}
    chosen = [m for path, n in shares.items() for m in rng.sample(possible[path], n)]
    rng.shuffle(chosen)  # so that a run that is cut off is a sample too
    return chosen


def tests_of(path: str) -> list[str]:
    """The test file of a rule or kernel, as arguments of pytest; the kernels share one, which names them."""
    folder, stem = Path(path).parts[1], Path(path).stem
    own = ROOT / "tests" / folder / f"test_{stem}.py"
    found = [str(own.relative_to(ROOT))] if own.exists() else []
    if folder != "kernels" or stem == "select":
        return found
    name = stem.removeprefix("conv_")
    return [*found, "tests/kernels/test_every_kernel.py", "-k", f"{name} or test_{stem}"]


def written(file: Path, source: bytes) -> None:
    file.write_bytes(source)
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
        compiled.unlink()  # Python goes by its time in whole seconds


def tested(copy: Path, tests: list[str], *own_options: str) -> tuple[int, str]:
    """What pytest returns and prints in a fork of this process, which has imported what the mutants do not change."""
    with tempfile.TemporaryFile() as out:
        child = os.fork()
        if child == 0:
            try:
                os.chdir(copy)
                sys.path[:] = [str(copy), *(p for p in sys.path if p not in ("", str(ROOT)))]
                os.dup2(out.fileno(), 1)
                os.dup2(out.fileno(), 2)
                signal.alarm(SECONDS)
                options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--no-header", "--tb=no", "-rf"]
                os._exit(pytest.main([*own_options, *options, *tests]))
            except BaseException:
                traceback.print_exc()
            os._exit(3)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        return code, out.read().decode()


def fate(mutant: Mutant, copy: Path, tests: list[str]) -> str:
    """A line: killed or survived, the seconds it took, the mutant, and the test that failed first."""
    file, began = copy / mutant.path, time.monotonic()
    original = file.read_bytes()
    try:
        written(file, mutant.applied(original))
        # Half of the time goes into checks of annotations; only what survives without is run with them.
        code, said = tested(copy, tests, "-o", "addopts=--strict-markers -m 'not slow'")
        code, said = (code, said) if code else tested(copy, tests)
    finally:
        written(file, original)
    if code > 2:
        raise RuntimeError(f"pytest did not run {tests}: exit {code}\n{said}")
    first = re.search(r"^(?:FAILED|ERROR) .*?([^:]*?)(?: - (\w+).*)?$", said, re.MULTILINE)
    by = f"  [{first[1]}: {first[2]}]" if first else f"  [exit {code}]" if code else ""
    return f"{'killed  ' if code else 'survived'} {time.monotonic() - began:4.0f} s  {mutant}{by}"


def known(file: Path) -> dict[str, str]:
    """Mutant -> its line, of what has been run."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    split = (re.match(r"(?:killed  |survived) .{4} s  (.*?)(?:  \[.*\])?$", line) for line in lines)
    return {m[1]: line for m, line in zip(split, lines, strict=True) if m}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="where the lines go, below this folder")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--only", nargs="*", default=(), help="names of files that are mutated")
    parser.add_argument("--survivors-of", type=Path, help="only what survived in this file")
    parser.add_argument(
        "--tests", type=str.split, help="other arguments of pytest than a file's own tests, in one string"
    )
    parser.add_argument("--list", action="store_true", help="print the mutants and run none")
    options = parser.parse_args()
    file, chosen = HERE / options.file, drawn(options.count)
    chosen = [m for m in chosen if not options.only or Path(m.path).name in options.only]
    if options.survivors_of:
        earlier = known(HERE / options.survivors_of)
        chosen = [m for m in chosen if earlier.get(str(m), "").startswith("survived")]
    if options.list:
        print(*chosen, sep="\n")
        return
    os.environ["CI"], sys.dont_write_bytecode = "1", False
    warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)  # no thread is started here
    with tempfile.TemporaryDirectory() as folder:
        for name in COPIED:
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, Path(folder) / name)
        for mutant in chosen:
            if str(mutant) in known(file):
                continue
            with file.open("a", encoding="utf-8") as out:
                print(fate(mutant, Path(folder), options.tests or tests_of(mutant.path)), file=out)
    ran = known(file)
    survivors = [ran[str(m)] for m in chosen if ran[str(m)].startswith("survived")]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} killed", *survivors, sep="\n")


if __name__ == "__main__":
    main()
