"""Nets of other frameworks on purecnn's rules: the same values and gradients, and no scatter in the backward pass."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import purecnn
from experiments.drop_in.run import BASE, FRAMEWORKS, TOLERANCE, forms, main, problem

pytestmark = pytest.mark.usefixtures("little_compilation")


@pytest.fixture(autouse=True)
def as_their_users_run_them():
    """The nets as they were are other people's code, and add a bias to images as NumPy does."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.slow
def test_each_swapped_net_computes_what_it_did_before(tmp_path):
    result = main(["--quick", "--out", str(tmp_path)])
    assert (tmp_path / "cpu.json").exists()
    swapped = {(f, name): row for f in FRAMEWORKS for name, row in result[f].items() if name != BASE}
    assert len(swapped) == 4
    for row in swapped.values():
        assert max(row["logits"], row["loss"], row["gradients"]) < TOLERANCE


def lowered_for_a_gpu(function, *args):
    """The StableHLO that would go to CUDA's compiler: lowering needs no GPU."""
    return jax.jit(function).trace(*args).lower(lowering_platforms=("cuda",)).as_text()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_on_a_gpu_only_the_swapped_nets_gradient_has_no_scatter(framework):
    """XLA's deterministic mode refuses select-and-scatter: as it was, the net does not compile there."""
    x, _ = problem(2, 8)
    for name, (params, apply) in forms(framework)(8).items():
        text = lowered_for_a_gpu(jax.grad(lambda p, apply=apply: apply(p, x).sum()), params)
        assert ("select_and_scatter" in text) == (name == BASE)
        assert '"stablehlo.scatter"' not in text


@pytest.mark.parametrize("ties", ["first", "last", "split", "all"])
def test_on_a_gpu_max_pools_backward_rule_has_no_scatter_where_windows_overlap(ties):
    def total(x):
        return (purecnn.max_pool2d(x, window=3, stride=2, padding="SAME", ties=ties) ** 2).sum()

    assert "scatter" not in lowered_for_a_gpu(jax.grad(total), jnp.ones((2, 9, 9, 3)))


def test_the_page_shows_the_examples_as_they_are():
    root = Path(__file__).parents[2]
    blocks = re.findall(r"```python\n(.*?)```", (root / "docs" / "drop_in.md").read_text(encoding="utf-8"), re.S)
    sources = [(root / "experiments" / "drop_in" / f"{name}.py").read_text(encoding="utf-8") for name in FRAMEWORKS]
    assert len(blocks) == len(sources)
    assert all(block in source for block, source in zip(blocks, sources, strict=True))
