"""The command `purecnn`: it finds the subcommand and runs it. What a subcommand does is in purecnn/commands/.

Exit codes: 0 success, 1 a run failed, 2 wrong arguments, 130 interrupted.
"""

from __future__ import annotations

import difflib
import gc
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Sequence

import jax
from jaxlib.version import __version__ as jaxlib_version

import purecnn
from purecnn.backend import missing_backend, repair_flag
from purecnn.commands import complain, is_of_output, refuse_misplaced
from purecnn.commands.hints import SUBCOMMANDS, asks_for_help, refuse_of_other_tools
from purecnn.commands.process import ended_by_ctrl_c, out_of_memory, speak_any_encoding

# name: the class of its options, in a module of purecnn.commands; and what --help says of it.
# A module is imported when its command is asked for, so no command waits for the libraries of another.
COMMANDS = {
    "train": ("train:Train", "train a model and keep the results in a folder of their own"),
    "eval": ("eval:Eval", "accuracy, precision and recall by class, confusion, worst images of a run's net"),
    "predict": ("predict:Predict", "the classes that a run's net predicts for images: files or folders of them"),
    "report": ("report:Report", "one page about a run, report.html: curves, classes, worst images, filters, config"),
    "export": ("export:Export", "a run's net as a file: its weights, or a function that runs without purecnn"),
    "import-weights": (
        "import_weights:ImportWeights",
        "weights from a file with torchvision's names, or timm's",
    ),
    "summary": ("summary:Summary", "print a model layer by layer: units, weights, biases, FLOPs"),
    "data": ("data:Data", "fetch a published data set; show a contact sheet of any"),
    "doctor": ("doctor:Doctor", "show hardware and versions; test whether this backend computes correctly"),
    "verify": ("", "check hand-written backward rules, these or your own"),
}

LESS = "; less takes a smaller --batch-size (with --accumulate for as many images an update), --image-size or --model"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments`, by default those of the process, and return its exit code."""
    speak_any_encoding()
    try:
        with ended_by_ctrl_c():
            code = _main(arguments)
            if code:  # what failed may complain once more when it is let go of, which is left out in here alone
                gc.collect()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as error:
        complain("; ".join(["interrupted", *getattr(error, "__notes__", [])]), 130)
        if arguments is None:  # a program that XLA still compiles would be waited for
            os._exit(130)
        return 130
    except OSError as error:
        if not is_of_output(error):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
        if said := "; ".join(getattr(error, "__notes__", [])):
            print(f"purecnn: the output was closed, which ends the run; {said}", file=sys.stderr)
        elif not isinstance(error, BrokenPipeError):  # whose reader has enough, as `head`
            print(f"purecnn: the output could not be written: {error.strerror}", file=sys.stderr)
        return 1


def _main(arguments: Sequence[str] | None) -> int:
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or [""]
    if name == "help" and rest:
        name, rest = rest[0], ["--help"]
    if name in ("-h", "--help", "help"):
        print(usage())
        return 0
    if name in ("--version", "-V", "version"):
        print(f"purecnn {purecnn.__version__}")
        return 0
    if name not in COMMANDS:
        meant = SUBCOMMANDS.get(name) or "".join(difflib.get_close_matches(name, COMMANDS, n=1))
        hint = f"did you mean {meant}?" if meant else f"expected one of {', '.join(COMMANDS)}; see purecnn --help"
        return complain(f"got {name or 'no command'}, {hint}", 2)
    if name != "doctor":  # doctor reports what a user's own program gets
        # JAX is imported already, but reads this only when it first computes.
        os.environ["XLA_FLAGS"] = repair_flag(jaxlib_version, os.environ.get("XLA_FLAGS", ""))
        jax.config.update("jax_transfer_guard", "allow")  # which a user's own program may forbid itself
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)  # after an error of orbax
        warnings.showwarning = lambda message, *rest, **more: print(f"purecnn: warning: {message}", file=sys.stderr)
    os.environ["MPLBACKEND"] = "agg"  # what a notebook sets for itself may be none that is installed here
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns, at length, where there is no home folder
    if name == "verify":  # a command of its own, with its own options
        from verify.cli import main as verify

        return verify(rest)
    try:
        return _run(name, rest)
    except ModuleNotFoundError as missing:
        if (missing.name or "purecnn").split(".")[0] in ("purecnn", "verify"):  # no extra has those: a mistake of ours
            raise
        return complain(f'{name} needs {missing.name}, from the extra "train": pip install "purecnn[train]"', 2)
    except (RuntimeError, AssertionError, MemoryError) as error:  # which JAX raises at its first computation
        if short := out_of_memory(error):
            return complain(short + (LESS if name == "train" else ""), 1)
        if without := missing_backend():
            return complain(without, 2)
        raise


def _at_home(word: str) -> str:
    """With the home folder for ~, which a shell puts there only where a word begins with it: not in --data-dir=~/a."""
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{option}{equals}{os.path.expanduser(value)}" if value.startswith("~/") else word


def _run(name: str, rest: list[str]) -> int:
    import tyro

    from purecnn.commands.choices import registry

    rest = ["--help"] if asks_for_help(rest) else [_at_home(word) for word in rest]
    module_name, options = COMMANDS[name][0].split(":")
    module = importlib.import_module(f"purecnn.commands.{module_name}")
    try:
        refuse_misplaced(name, rest)
        refuse_of_other_tools(name, rest, getattr(module, options))
        default = {"default": module.defaults(rest)} if hasattr(module, "defaults") else {}
        with registry:
            command = tyro.cli(getattr(module, options), prog=f"purecnn {name}", args=rest, **default)
    except SystemExit as stop:
        return int(stop.code or 0)
    except (ValueError, TypeError, OSError) as error:  # a dataclass refused a value, or a config file is amiss
        return complain(error, 2)
    return module.run(command)


def usage() -> str:
    lines = [f"  {name:<14} {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: purecnn COMMAND [options]",
            "",
            "Convolutional networks with backward rules derived by hand.",
            "",
            *lines,
            "",
            "purecnn COMMAND --help lists the options of a command; purecnn --version says which this is.",
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
