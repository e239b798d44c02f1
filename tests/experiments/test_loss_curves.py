"""What a loss curve hides: three wrong losses trained for a moment, and the counts that are committed."""

import json
import shutil
from pathlib import Path

import matplotlib.image
import pytest

from experiments.loss_curves import run
from experiments.loss_curves.checkers import ones_cotangent_accepts
from experiments.loss_curves.nets import build, by_name, control, family, net_for, trainable
from tests.verify.faulty_rules.all import RULES

RESULTS = Path(run.__file__).parent / "results"


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    out = tmp_path_factory.mktemp("loss_curves")
    run.main(["--quick", "--out", str(out)])
    return out


def by_rule(path):
    return {line["rule"].split(": ")[1]: line for line in run.lines(path)}


@pytest.mark.slow
def test_a_sign_is_seen_in_training_and_a_factor_two_is_not(quick):
    right = run.lines(quick / "right.jsonl")[0]["runs"]
    wrong = {fault: line["runs"][0] for fault, line in by_rule(quick / "wrong.jsonl").items()}
    reached = min(each["accuracy"] for each in right)
    assert reached > 0.85
    assert wrong["twice"]["accuracy"] > 0.95 * reached
    assert wrong["sign"]["accuracy"] < 0.2
    assert wrong["mean over the classes"]["losses"][-1] > 2 * max(each["losses"][-1] for each in right)


@pytest.mark.slow
def test_the_gradients_are_apart_by_what_the_faults_say(quick):
    wrong = by_rule(quick / "wrong.jsonl")
    for when in ("at the start", "when trained"):
        assert wrong["twice"][when]["difference"] == pytest.approx(1, abs=1e-4)
        assert wrong["sign"][when] == pytest.approx({"difference": 2, "degrees": 180}, abs=0.1)
        assert wrong["mean over the classes"][when] == pytest.approx({"difference": 0.9, "degrees": 0}, abs=0.1)


def test_what_is_not_run_again_is_kept(quick, capsys):
    before = (quick / "wrong.jsonl").read_text("utf-8")
    run.main(["--quick", "--out", str(quick), "--part", "wrong"])
    assert (quick / "wrong.jsonl").read_text("utf-8") == before
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("name", "accepted"), [("dense: half of x", False), ("flatten: one off", True)])
def test_a_gradient_of_the_sum_cannot_see_where_its_ones_go(name, accepted):
    wrong = by_name(name)
    assert ones_cotangent_accepts(wrong.rule, wrong.reference, wrong.args) == accepted
    kept = next(line for line in run.lines(RESULTS / "checkers.jsonl") if line["rule"] == name)
    assert kept["ones-cotangent"] != accepted


def test_the_committed_counts_and_the_figure_are_those_of_the_committed_lines(tmp_path):
    parts = {part: run.lines(RESULTS / f"{part}.jsonl") for part in ("right", "wrong", "checkers", "controls")}
    wrong = parts["wrong"]
    assert {line["rule"] for line in wrong} == {rule.name for rule in RULES if trainable(rule)}
    assert {line["rule"] for line in parts["checkers"]} == {rule.name for rule in RULES}
    assert {line["net"] for line in wrong} == {line["net"] for line in parts["right"]}
    assert len(parts["controls"]) == len({(line["net"], line["rule"].split(":")[0]) for line in wrong})
    for part in parts:
        shutil.copy(RESULTS / f"{part}.jsonl", tmp_path)
    run.main(["--part", "summary", "--out", str(tmp_path)])
    fresh, kept = (json.loads((folder / "summary.json").read_text("utf-8")) for folder in (tmp_path, RESULTS))
    assert {**fresh, "hardware": "", "python": "", "jax": ""} == {**kept, "hardware": "", "python": "", "jax": ""}
    for path in (RESULTS / "loss_curves.png", tmp_path / "loss_curves.png"):
        assert path.stat().st_size < 80_000
        assert matplotlib.image.imread(path).shape[1] == 800


def test_a_committed_rule_that_hides_has_the_accuracies_for_it():
    """Counted here once more, from the lines and by hand."""
    kept = json.loads((RESULTS / "summary.json").read_text("utf-8"))
    right = {line["net"]: accuracy(line) for line in run.lines(RESULTS / "right.jsonl")}
    wrong = run.lines(RESULTS / "wrong.jsonl")
    reach = {line["rule"] for line in wrong if accuracy(line) >= 0.95 * right[line["net"]]}
    assert set(kept["reach 95 %"]) == reach - set(kept["no difference in this net"])
    assert kept["trained with a difference"] - kept["caught"]["accuracy"] == len(kept["reach 95 %"])
    assert kept["caught"]["verify"] == kept["trained with a difference"]


def accuracy(line):
    return sum(each["accuracy"] for each in line["runs"]) / len(line["runs"])


def test_every_kind_of_faulty_rule_finds_its_layer():
    """A fault that stands nowhere in its net would count as one that training hides."""
    kinds = {(net_for(wrong), family(wrong)): wrong for wrong in RULES if trainable(wrong)}
    assert len(kinds) == 15
    for (name, _), wrong in kinds.items():
        (net, loss), (bare, bare_loss) = build(name, wrong), build(name)
        kept = [a.apply == b.apply for a, b in zip(net.layers, bare.layers, strict=True)]
        assert not all(kept) or loss is not bare_loss, wrong.name


def test_a_control_has_no_fault_and_stands_in_the_same_place():
    wrong = by_name("dense: half of x")
    right = control(wrong)
    assert right.reference is wrong.reference
    assert right.rule is not wrong.rule
    assert net_for(right) == "lenet"
