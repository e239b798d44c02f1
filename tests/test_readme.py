"""The README's example runs as it stands, and what it links to is there."""

import re
from pathlib import Path

import jax
import numpy as np

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_first_example_runs_and_its_two_gradients_agree(capsys):
    example = re.search(r"```python\n(.*?)```", TEXT, re.S)
    assert example is not None
    names: dict = {}
    exec(example[1], names)
    assert "weights" in capsys.readouterr().out
    assert jax.tree.structure(names["grads"]) == jax.tree.structure(names["same"])
    for by_hand, by_grad in zip(*map(jax.tree.leaves, (names["grads"], names["same"])), strict=True):
        np.testing.assert_allclose(by_hand, by_grad, rtol=1e-6, atol=1e-6 * abs(by_grad).max())


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    missing = [link for link in links if not link.startswith("http") and not (ROOT / link).exists()]
    assert len(links) > 40
    assert not missing
