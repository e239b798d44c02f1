"""The command `python -m verify`.

    python -m verify                                   the suite: every rule of purecnn
    python -m verify conv2d dense                      some of them
    python -m verify pkg.mod:rule "f32[2,8,8,3]" …     any rule, on one example call
    python -m verify --all pkg.mod:step "f32[8,3]" …   every rule that runs in a function, a training step for instance

Arguments of the call: `f32[2,8,8,3]` normal numbers (f16, bf16, f64 too), `p32[4,10]` rows of probabilities,
`i32[4]<10` integers below 10, `key` a random key, and anything else as a Python literal (`0.5`, `(3,3)`).
Exit status: 0 right, 1 wrong, 2 could not be checked.
"""

import argparse
import ast
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from verify.report.finding import UncheckableError
from verify.report.report import Report
from verify.spec import DTYPES, argument

RIGHT, WRONG, UNCHECKED = 0, 1, 2
FLOATS = ("f16", "bf16", "f32", "f64")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.html and importlib.util.find_spec("rich") is None:  # before the checks, whose reports would be lost
        parser.error("--html needs rich: pip install rich")
    _more_devices(options.devices)
    try:
        reports = _reports(options)
    except UncheckableError as why:
        print(f"could not be checked: {why}", file=sys.stderr)
        return UNCHECKED
    _publish(reports, options)
    if any(r.failures for r in reports):
        return WRONG
    return RIGHT if reports and all(r.ok for r in reports) else UNCHECKED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m verify", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("target", nargs="*", help="pkg.mod:rule and its arguments, or names of rules in the suite")
    parser.add_argument("--reference", metavar="pkg.mod:function", help="a plain forward function to compare with")
    parser.add_argument(
        "--option", action="append", default=[], metavar="name=value", help="a keyword option of the rule"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=8, help="how many calls of other shape or options to generate")
    parser.add_argument("--devices", type=int, default=8, help="CPU devices to force for the checks on many devices")
    parser.add_argument("--dtypes", default="f32", metavar="f32,bf16,…", help="dtypes at which to run the suite")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes that share the suite")
    parser.add_argument(
        "--all", action="store_true", help="check every custom_vjp and custom_jvp that runs in the target"
    )
    parser.add_argument("--mutate", action="store_true", help="also break each rule on purpose and print the score")
    parser.add_argument("--json", metavar="FILE", help="write the reports as JSON (- for standard output)")
    parser.add_argument("--html", metavar="FILE", help="write the reports as one HTML page")
    return parser


def _more_devices(count: int) -> None:
    """Make several CPU devices, so that sharded layouts can be compared; does nothing if JAX has started already."""
    import jax

    if count > 1 and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        try:
            jax.config.update("jax_num_cpu_devices", count)
            os.environ["JAX_NUM_CPU_DEVICES"] = str(count)  # for the processes that share the suite
        except RuntimeError:
            return


def _reports(options: argparse.Namespace) -> list[Report]:
    from verify.checking import check

    if options.target and ":" in options.target[0]:
        keywords = dict(_keyword(text) for text in options.option)
        rule = _with(load(options.target[0]), keywords)
        reference = _with(load(options.reference), keywords) if options.reference else None
        if any(text.startswith(("f64[", "p64[")) for text in options.target[1:]):
            import jax

            jax.config.update("jax_enable_x64", True)
        args = [argument(text, options.seed + n) for n, text in enumerate(options.target[1:])]
        if options.all:
            from verify.program.every_rule import check_all

            reports = check_all(rule, *args, seed=options.seed, cases=options.cases)
            if not reports:
                raise UncheckableError(f"no custom_vjp or custom_jvp runs in {options.target[0]}")
            return reports
        report = check(rule, *args, reference=reference, seed=options.seed, cases=options.cases)
        if options.mutate:
            from verify.mutation.score import mutate

            print(mutate(rule, *args, reference=reference, seed=options.seed))
        return [report]
    if options.all:
        raise UncheckableError("--all needs a function: pkg.mod:step and its arguments")
    try:
        from verify import suite
    except ImportError as error:
        raise UncheckableError(f"the suite needs purecnn ({error})") from error
    words = options.dtypes.split(",")
    if unknown := set(words) - set(FLOATS):
        raise UncheckableError(f"--dtypes: got {', '.join(sorted(unknown))}, expected some of {','.join(FLOATS)}")
    dtypes = [DTYPES[word] for word in words]
    shared = {"seed": options.seed, "cases": options.cases}
    reports = suite.run(options.target, **shared, dtypes=dtypes, jobs=options.jobs)
    if options.mutate:
        print(*suite.scores(options.target, seed=options.seed), sep="\n")
    return reports


def _with(fun: Any, keywords: dict[str, Any]) -> Any:
    import functools

    return functools.partial(fun, **keywords) if keywords else fun


def _publish(reports: list[Report], options: argparse.Namespace) -> None:
    from verify.report import output

    if options.json == "-":
        print(output.as_json(reports))
    elif len(reports) == 1:
        print(reports[0])
    else:
        output.show(reports)
    if options.json and options.json != "-":
        Path(options.json).write_text(output.as_json(reports), encoding="utf-8")
    if options.html:
        from verify.report import html

        Path(options.html).write_text(html.as_html(reports), encoding="utf-8")


def load(path: str) -> Any:
    """The object at `pkg.mod:name` (dots in the name are followed). Raises UncheckableError if it is not there."""
    module, _, name = path.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UncheckableError(f"{path} is not there ({error})") from error
    finally:
        sys.path.remove(os.getcwd())
    return found


def _keyword(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
