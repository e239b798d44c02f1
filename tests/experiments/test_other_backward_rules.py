"""Other backward rules: that each does what it is called, that one of them trains, and what is committed."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.other_backward_rules import run
from experiments.other_backward_rules.rules import RULES, guided, lenet, signs, with_weights
from purecnn import nn

pytestmark = pytest.mark.usefixtures("little_compilation")

RESULTS = Path(run.__file__).parent / "results"


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def test_the_cotangent_goes_back_through_the_other_weights_and_the_update_is_the_true_one():
    layer = nn.dense(3)
    x, w, b, y_bar, other = normal(0, 5, 4), normal(1, 4, 3), normal(2, 3), normal(3, 5, 3), normal(4, 4, 3)
    changed = with_weights(layer, lambda w: other)
    y, _, residuals = changed.fwd({"w": w, "b": b}, {}, x, False, None)
    np.testing.assert_allclose(y, x @ w + b[None], rtol=1e-5)
    x_bar, bars = changed.bwd(residuals, y_bar, False)
    np.testing.assert_allclose(x_bar, y_bar @ other.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(bars["w"], layer.bwd(residuals, y_bar, False)[1]["w"])
    np.testing.assert_array_equal(bars["b"], y_bar.sum(0))


def test_signs_have_the_weights_signs_and_one_length():
    w = jnp.array([[3.0, -1.0], [-2.0, 0.5]])
    np.testing.assert_allclose(signs(w), np.array([[1, -1], [-1, 1]]) * 1.625)


def test_a_guided_relu_sends_back_what_is_positive_on_both_ways():
    layer = guided(nn.relu())
    _, _, residuals = layer.fwd({}, {}, jnp.array([[-1.0, 2.0, 3.0]]), False, None)
    np.testing.assert_array_equal(layer.bwd(residuals, jnp.array([[5.0, 6.0, -7.0]]), False)[0], [[0, 6, 0]])


@pytest.mark.parametrize(
    ("rule", "replaced"),
    [
        ("true", set()),
        ("feedback alignment", {"conv2d", "dense"}),
        ("the same, dense layers only", {"dense"}),
        ("sign-symmetric", {"conv2d", "dense"}),
        ("guided", {"relu"}),
    ],
)
def test_a_rule_replaces_the_layers_it_is_for(rule, replaced):
    layers, own = lenet(rule, jax.random.key(0)).layers, lenet("true").layers
    assert {layer.name for layer, bare in zip(layers, own, strict=True) if layer.bwd != bare.bwd} == replaced


def test_angles():
    a = [{"w": jnp.array([1.0, 0.0])}, {}]
    for degrees, b in ((0, [2.0, 0.0]), (90, [0.0, 3.0]), (180, [-1.0, 0.0]), (45, [1.0, 1.0])):
        assert float(run.degrees(a, [{"w": jnp.array(b)}, {}])) == pytest.approx(degrees, abs=1e-4)


@pytest.mark.slow
def test_sign_symmetric_weights_train_at_an_angle(tmp_path):
    run.main(["--quick", "--out", str(tmp_path)])
    rules = json.loads((tmp_path / "cpu.json").read_text("utf-8"))["rules"]
    assert rules["sign-symmetric"]["accuracy"] > 0.75
    *below, last = np.array(rules["sign-symmetric"]["runs"][0]["degrees"])[1:].T
    np.testing.assert_allclose(last, 0, atol=0.2)  # nothing behind the last layer is changed
    assert np.min(below) > 5
    assert np.max(below) < 85
    assert all((tmp_path / name).stat().st_size < 100_000 for name in ("angles.png", "saliency.png"))


def test_committed_results():
    result = json.loads((RESULTS / "cpu.json").read_text("utf-8"))
    assert tuple(result["rules"]) == RULES
    assert result["seeds"] == 5
    for row in result["rules"].values():
        reached = [each["accuracy"] for each in row["runs"]]
        assert row["accuracy"] == pytest.approx(np.mean(reached), abs=1e-4)
        assert row["spread"] == pytest.approx(np.std(reached, ddof=1), abs=1e-4)
        finite = [each["loss"] for each in row["runs"]]
        others = [each["loss"] for each in row["other rates"].values()]
        assert all(np.mean(finite) <= np.mean([np.inf if loss is None else loss for loss in each]) for each in others)
    for name in ("angles.png", "saliency.png"):
        assert (RESULTS / name).stat().st_size < 100_000
