"""`purecnn train`: train a model and keep the results in a folder of their own."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import logging
import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro

from purecnn.backend import keep_freed_memory
from purecnn.commands import complain, for_json
from purecnn.train.config import FREE, Config, resolved
from purecnn.train.options import in_shell, known_elsewhere
from purecnn.train.recipes import RECIPES, Recipe

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
TRUTHS = ("true", "false", "yes", "no", "on", "off", "0", "1")


@dataclass(frozen=True)
class Train:
    """Train a model and keep the results in a folder of their own."""

    run: Annotated[Config, tyro.conf.OmitArgPrefixes] = dataclasses.field(default_factory=Config)
    config: Path | None = None
    """A file like a run's config.yaml, with values for options that the command line does not set."""
    recipe: Recipe | None = None
    """Defaults from a published task: imagenet is ResNet-50 on a folder of ImageNet."""
    resume: Flag = False
    """Resume the run in --run-dir, by its own config, to the same weights as if it had never stopped."""
    print_config: Flag = False
    """Only print the config that would be run."""
    quiet: Flag = False
    """Print only errors."""
    json_lines: Flag = False
    """Print only the lines of metrics.jsonl, and a last one that says where the results are."""
    cache_dir: Path | None = None
    """Where compiled programs are kept for the next run. None: purecnn/xla in the user's cache folder."""
    no_cache: Flag = False
    """Do not use or write the cache of compiled programs."""
    distributed: Flag = False
    """This process is one of many, started alike by SLURM, Open MPI, Kubernetes or a TPU pod."""
    coordinator: str | None = None
    """This process is one of --num-processes; they meet at this HOST:PORT, which is the first one's."""
    num_processes: int | None = None
    """The number of processes, with --coordinator."""
    process_id: int | None = None
    """The index of this process, from 0."""


def defaults(arguments: Sequence[str]) -> Train:
    """What holds where the command line says nothing: a file's values, or with --resume the run's own.

    Raises ValueError or OSError for a file that cannot be read.
    """
    for word in arguments:
        option = word.split("=")[0]
        if option.startswith("--") and (hint := known_elsewhere(option[2:], in_shell=True)):
            raise ValueError(f"got the unknown option {option}{hint}")
    _require_flags_alone(arguments)
    look = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    look.add_argument("--config", type=Path)
    look.add_argument("--data")
    look.add_argument("--recipe")
    look.add_argument("--run-dir", "--run_dir", type=Path)
    look.add_argument("--resume", action="store_true")
    seen, rest = look.parse_known_args([a for a in arguments if a not in ("-h", "--help")])
    if seen.resume:
        if seen.config is not None:
            raise ValueError("config: got a file together with --resume, which resumes by the run's own config")
        if seen.run_dir is None:
            behind = arguments[list(arguments).index("--resume") + 1 :][:1]
            hint = f": --run-dir {shlex.quote(behind[0])} --resume" if behind and Path(behind[0]).is_dir() else ""
            raise ValueError(f"run_dir: got none, expected the folder of the run to resume{hint}")
        from purecnn.train.run_folder import has_config, no_run

        if has_config(seen.run_dir):
            return Train(run=dataclasses.replace(_read(seen.run_dir, seen.data), run_dir=str(seen.run_dir)))
        if not (seen.data or seen.recipe or _names_options(rest)):  # nothing says what a new run would be
            raise ValueError(
                f"run_dir: {no_run(seen.run_dir)}; with options such as --model and --data one begins there"
            )
    if seen.config is not None:
        if seen.recipe is not None:
            raise ValueError("config: got a file together with --recipe, expected only one of them")
        return Train(run=_read(seen.config, seen.data))
    if seen.recipe in RECIPES:  # of others the command line says which there are
        return Train(run=RECIPES[seen.recipe])
    return Train()


def _read(path: Path, data: str | None) -> Config:
    """The config of a run or a file; `data` stands in for images that a program gave. Raises ValueError without."""
    from purecnn.train.run_folder import read_config

    config = read_config(path)
    if config.data != "given":
        return config
    if data is None:
        raise ValueError(f"data: a program gave the images of {path}; purecnn.train.fit(net, data, …) takes them again")
    return dataclasses.replace(config, data=data)


def _require_flags_alone(words: Sequence[str]) -> None:
    """Raise ValueError for a flag with a value, as in --early-stopping False: tyro says "Unrecognized options"."""
    pairs, single = ({f.name for f in dataclasses.fields(of) if isinstance(f.default, bool)} for of in (Config, Train))
    for word, after in itertools.pairwise([*words, ""]):
        option, equals, value = word.partition("=")
        name = option.removeprefix("--").replace("-", "_")
        if option.startswith("--") and name in pairs | single and (equals or after.lower() in TRUTHS):
            no = f" or --no-{option[2:]}" if name in pairs else ""
            raise ValueError(f"{name}: got the value {value or after!r}, expected {option}{no} alone")


def _names_options(words: Sequence[str]) -> bool:
    """Whether some of them are options of a run, or say that it is a job of a cluster, which begins it and goes on."""
    names = {word[2:].split("=")[0].replace("-", "_") for word in words if word.startswith("--")}
    return not names.isdisjoint({"distributed", "coordinator", *(field.name for field in dataclasses.fields(Config))})


def run(command: Train) -> int:
    from purecnn.commands.xla_log import without_hints

    with without_hints():
        return _run(command)


def _run(command: Train) -> int:
    from purecnn.train.compilation import damaged_removed, keep_compiled
    from purecnn.train.devices import is_first_process, join
    from purecnn.train.run_folder import config_text, has_config, read_config

    config, started = command.run, time.perf_counter()
    if command.print_config:
        print(config_text(resolved(config)), end="")
        return 0
    if command.resume and config.run_dir and has_config(Path(config.run_dir)):
        own = dataclasses.replace(read_config(Path(config.run_dir)), run_dir=config.run_dir)
        for name, value in dataclasses.asdict(own).items():
            got = getattr(config, name)
            # What the images and the devices decide is known, and compared, once the run begins.
            later = name == "batch_size" and got > value
            same = got in (value, {"precision": "auto", "loss": None}.get(name, value))
            if not same and not later and name not in FREE:
                return complain(f"{name}: got {got!r}, expected {value!r}, as the run in {own.run_dir} has it", 2)
    keep_freed_memory()
    cache = None if command.no_cache else command.cache_dir or default_cache()
    keep_compiled(cache)
    if command.distributed or command.coordinator is not None:  # before anything asks which devices there are
        try:
            join(command.coordinator, command.num_processes, command.process_id)
        except (ValueError, RuntimeError) as error:
            return complain(f"coordinator: {str(error).splitlines()[0]}", 2)

    from purecnn.train.fitting import fit
    from purecnn.train.own_code import in_one_line, place_in_own_code
    from purecnn.train.progress import RunConsole
    from purecnn.train.run_folder import resume_command
    from purecnn.train.stopping import Diverged

    for library in ("absl", "asyncio"):  # orbax and its tasks log, at length, what it raises as well
        logging.getLogger(library).setLevel(logging.CRITICAL)
    first = is_first_process()
    console = RunConsole(quiet=command.quiet or command.json_lines or not first)
    tell_script = partial(_print_json, sys.stdout) if command.json_lines and first else lambda line: None
    try:
        with for_json(command.json_lines), damaged_removed(cache), in_shell():
            result = fit(
                config.model, config.data, config, resume=command.resume, console=console, on_epoch=tell_script
            )
            if first and not result.interrupted:
                from purecnn.results.report import write_report  # which takes two seconds: no first step waits for it

                try:
                    write_report(result.folder, result.data)
                except KeyboardInterrupt as error:
                    page = f"purecnn report {shlex.quote(str(result.folder))} writes its page"
                    error.add_note(f"the run is over and saved; {page}")
                    raise
    except (ValueError, TypeError, FileExistsError) as error:
        return complain(error, 2)
    except (Diverged, OSError) as error:
        return complain(error, 1)
    except Exception as error:
        if ":" not in config.model or place_in_own_code(error) is None:
            raise
        return complain(f"model: {config.model}: {in_one_line(error)}", 2)  # their own layer raised it, not ours
    end = {"run_dir": str(result.folder), "steps": result.steps, "interrupted": result.interrupted}
    tested = {name: value for name, value in (result.test or {}).items() if name.startswith("test_")}
    tell_script(end | {"best_epoch": result.best["epoch"]} | tested)
    if result.interrupted:
        resume_by = resume_command(result.folder)
        return complain(f"interrupted after step {result.steps:,}, which is saved; resume with: {resume_by}", 130)
    _tell_results(console, result, time.perf_counter() - started)
    return 0


def _print_json(out: Any, line: dict[str, Any]) -> None:
    print(json.dumps(line), file=out, flush=True)


def _tell_results(console, result, seconds: float) -> None:
    from purecnn.train.progress import last_line
    from purecnn.train.run_folder import CONTENTS

    console.print(f"results in {result.folder}{os.sep}")
    for name, what in CONTENTS.items():
        if (result.folder / name).exists():
            console.print(f"  {name:<20} {what}")
    console.print(last_line(result.best, result.metrics[-1], result.test, seconds))


def default_cache() -> Path:
    """Beside the fetched data sets: $PURECNN_CACHE/xla, else purecnn/xla in the user's cache folder."""
    from purecnn.data.cache import cache_folder

    return cache_folder("xla")
