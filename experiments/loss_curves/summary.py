"""Counts from the lines that the run has written, and the figure."""

import json
import platform
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.loss_curves.figure import draw
from purecnn.backend import describe_hardware
from tests.verify.faulty_rules.all import RULES

ENOUGH = 0.95  # of the right net's mean test accuracy
# Gradients closer than this, at the start and when trained, are the same: above what rounding was seen to do to the
# small gradients of a trained net (1.7e-5), below the least fault (9.3e-5, one element off by a thousandth).
SAME = 5e-5
VERIFY = Path(__file__).parents[1] / "verify_faulty_rules" / "results" / "checkers.txt"
Line = dict[str, Any]


def ends(run: Line) -> tuple[float, float]:
    """Of a loss curve: its end and its mean; a curve that broke off lies above every other."""
    losses = np.array([np.inf if loss is None else loss for loss in run["losses"]])
    return float(losses[-1]), float(losses.mean())


def measures(right: Line) -> Line:
    """Of a right net's runs: what a faulty rule's are compared with."""
    accuracies = np.array([run["accuracy"] for run in right["runs"]])
    curves = np.array([ends(run) for run in right["runs"]])
    return {
        "accuracy": accuracies.mean(),
        "spread": accuracies.std(ddof=1),
        "highest": curves.max(0),
        "lowest": curves.min(0),
    }


def judged(line: Line, right: Line) -> dict[str, bool]:
    """What training tells of one rule. Curve: all seeds end, or all seeds run on the mean, above every right run."""
    accuracy = np.mean([run["accuracy"] for run in line["runs"]])
    curves = np.array([ends(run) for run in line["runs"]])
    above = (curves > right["highest"]).all(0).any()
    below = (curves < right["lowest"]).all(0).any()
    return {
        "accuracy": bool(accuracy < ENOUGH * right["accuracy"]),
        "loss curve": bool(above),
        "loss curve, either way": bool(above or below),
    }


def alike(line: Line) -> bool:
    apart = [line[when]["difference"] for when in ("at the start", "when trained")]
    return None not in apart and max(apart) < SAME


def verify_caught_all() -> bool:
    """As measured by experiments/verify_faulty_rules on the same rules and calls."""
    counts = next(line.split()[-3:] for line in VERIFY.read_text("utf-8").splitlines() if "with reference" in line)
    return counts == [str(len(RULES)), "of", str(len(RULES))]


def counted(right: list[Line], wrong: list[Line], checkers: list[Line], controls: list[Line]) -> Line:
    order = {rule.name: k for k, rule in enumerate(RULES)}
    wrong = sorted(wrong, key=lambda line: order[line["rule"]])
    nets = {line["net"]: measures(line) for line in right}
    own = {line["rule"]: {k: v for k, v in line.items() if isinstance(v, bool)} for line in checkers}
    in_net = {line["rule"]: line.get("with the net's options", {}) for line in checkers}
    rows = {}
    for line in wrong:
        rule = line["rule"]
        either = {name: yes or in_net[rule].get(name, False) for name, yes in own[rule].items()}
        rows[rule] = judged(line, nets[line["net"]]) | either | {"verify": verify_caught_all()}
    same = [line["rule"] for line in wrong if alike(line)]
    seen = [rule for rule in rows if rule not in same]
    hidden = [rule for rule in seen if not rows[rule]["accuracy"]]
    kinds = [rule.split(":")[0] for rule in own if rule not in rows]

    def totals(rules, table):
        return {name: sum(table[rule][name] for rule in rules) for name in table[rules[0]]} if rules else {}

    return {
        "faulty rules": len(own),
        "not trained": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
        "no difference in this net": same,
        "trained with a difference": len(seen),
        "caught": totals(seen, rows),
        "caught on the ordinary call": totals(seen, own),
        "caught of all faulty rules, on the ordinary call": totals(list(own), own),
        "reach 95 %": hidden,
        "caught of those that reach 95 %": totals(hidden, rows),
        "in no loss curve, no gradient of a sum and no check_grads": [
            rule
            for rule in seen
            if not any(rows[rule][k] for k in ("accuracy", "loss curve", "ones-cotangent", "check_grads, float64"))
        ],
        "right nets": {
            name: {"accuracy": round(float(m["accuracy"]), 4), "spread": round(float(m["spread"]), 4)}
            for name, m in nets.items()
        },
        "controls": {
            "trained": len(controls),
            "called wrong": totals(range(len(controls)), [judged(line, nets[line["net"]]) for line in controls]),
        },
    }


def summarise(out: Path, right: list[Line], wrong: list[Line], checkers: list[Line], controls: list[Line]) -> None:
    result = {"hardware": describe_hardware(), "python": platform.python_version(), "jax": jax.__version__}
    result |= counted(right, wrong, checkers, controls)
    (out / "summary.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    draw(result, right, wrong, out / "loss_curves.png")
