"""How many faulty backward rules does a loss curve hide, and how many does each checker catch?

    python -m experiments.loss_curves.run                  # all of it; what results/ already holds is not run again
    python -m experiments.loss_curves.run --part wrong     # right | controls | wrong | checkers | summary
    python -m experiments.loss_curves.run --quick --out DIR

Writes one line of JSON per right net, per faulty rule trained and per faulty rule checked, then a summary and a figure.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from experiments.loss_curves import training
from experiments.loss_curves.checkers import caught
from experiments.loss_curves.nets import NETS, by_name, control, family, net_for, trainable
from experiments.loss_curves.summary import summarise
from tests.verify.faulty_rules.all import RULES
from tests.verify.faulty_rules.joined import Wrong

RIGHT_SEEDS, WRONG_SEEDS = range(10), range(10, 13)  # apart, so that a curve is judged by others' curves
QUICK = ("cross-entropy: sign", "cross-entropy: twice", "cross-entropy: mean over the classes")


def right_net(name: str, seeds: Iterable[int], epochs: int, rule: Wrong | None = None) -> dict[str, Any]:
    """purecnn's net, or with one kind of layer in the form that the tests write it, without a fault."""
    program = training.epoch_program(name, rule)
    runs = [training.train(program, name, seed, epochs)[1] for seed in seeds]
    return {"net": name, "runs": runs}


class Trained:
    """Trains faulty rules; keeps, per net and kind of layer, the gradients of the rule without a fault."""

    def __init__(self, seeds: Iterable[int], epochs: int):
        self.seeds, self.epochs, self.gradients = tuple(seeds), epochs, {}

    def __call__(self, wrong: Wrong) -> dict[str, Any]:
        name = net_for(wrong)
        kept = (name, family(wrong))
        if kept not in self.gradients:
            program = training.epoch_program(name, control(wrong))
            start = training.start(name, self.seeds[0])
            end, _ = training.train(program, name, self.seeds[0], self.epochs)
            self.gradients[kept] = [(params, training.gradient(program, params)) for params in (start, end)]
        program = training.epoch_program(name, wrong)
        apart = [training.compared(right, training.gradient(program, at)) for at, right in self.gradients[kept]]
        runs = [training.train(program, name, seed, self.epochs)[1] for seed in self.seeds]
        return {"net": name, "at the start": apart[0], "when trained": apart[1], "runs": runs}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def fill(path: Path, key: str, todo: dict[str, Callable[[], dict[str, Any]]]) -> None:
    """Append a line for everything that has none yet."""
    done = {line[key] for line in lines(path)}
    for name, make in todo.items():
        if name not in done:
            line = json.dumps({key: name, **make()})
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            print(name, flush=True)


def controls(rules: list[Wrong]) -> list[tuple[str, Wrong]]:
    """A net and a rule without fault for every net and kind of layer that a faulty rule is trained in."""
    kinds = {(net_for(wrong), family(wrong)): wrong for wrong in rules}
    return [(name, control(wrong)) for (name, _), wrong in kinds.items()]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("right", "controls", "wrong", "checkers", "summary"))
    parser.add_argument("--only", nargs="+", help="faulty rules of these kinds of layer, such as conv")
    parser.add_argument(
        "--quick", action="store_true", help="train three faulty rules of LeNet, one seed, three epochs"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    rules = [by_name(name) for name in QUICK] if options.quick else list(RULES)
    train = Trained(WRONG_SEEDS[:1], 3) if options.quick else Trained(WRONG_SEEDS, training.EPOCHS)
    right = (RIGHT_SEEDS[:2], 3) if options.quick else (RIGHT_SEEDS, training.EPOCHS)
    nets = ("lenet",) if options.quick else NETS

    def wanted(part):
        return options.part in (None, part)

    if wanted("right"):
        fill(options.out / "right.jsonl", "net", {n: lambda n=n: right_net(n, *right) for n in nets})
    chosen = [wrong for wrong in rules if trainable(wrong) and family(wrong) in (options.only or [family(wrong)])]
    if wanted("controls") and not options.quick:
        todo = {
            f"{c.name} in {n}": lambda n=n, c=c: right_net(n, WRONG_SEEDS, training.EPOCHS, c)
            for n, c in controls(chosen)
        }
        fill(options.out / "controls.jsonl", "control", todo)
    if wanted("wrong"):
        fill(options.out / "wrong.jsonl", "rule", {w.name: lambda w=w: train(w) for w in chosen})
    if wanted("checkers") and not options.quick:
        fill(options.out / "checkers.jsonl", "rule", {w.name: lambda w=w: caught(w) for w in rules})
    if wanted("summary") and not options.quick:
        parts = ("right", "wrong", "checkers", "controls")
        summarise(options.out, *(lines(options.out / f"{part}.jsonl") for part in parts))


if __name__ == "__main__":
    main()
