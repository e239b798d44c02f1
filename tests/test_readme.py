"""The README's example runs as it stands, and what it links to is there."""

import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np

import purecnn

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_first_example_runs_and_its_two_gradients_agree(capsys):
    examples = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    names: dict = {}
    exec(examples[0], names)
    assert "weights" in capsys.readouterr().out
    assert jax.tree.structure(names["grads"]) == jax.tree.structure(names["same"])
    for by_hand, by_grad in zip(*map(jax.tree.leaves, (names["grads"], names["same"])), strict=True):
        np.testing.assert_allclose(by_hand, by_grad, rtol=1e-6, atol=1e-6 * abs(by_grad).max())

    on_a_mesh = next(text for text in examples if "make_mesh" in text)
    expected, logits = names["grads"], names["net"].apply(names["params"], names["x"])
    exec(on_a_mesh, names)
    for got, right in zip(*map(jax.tree.leaves, (names["grads"], expected)), strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-5, atol=1e-5 * abs(right).max())
    assert names["logits"].out_avals[0].shape[1:] == logits.shape[1:]


def test_verify_says_of_the_faulty_rule_and_then_of_the_right_one_what_the_readme_says(tmp_path):
    wrong = re.search(r"```python\n(import jax\n[^`]*?import verify\n.*?)```\n\n```\n(.*?)```", TEXT, re.S)
    right = re.compile(r"```python\n(.*?)```\n\n```\n(.*?)```", re.S).search(TEXT, wrong.end())
    (tmp_path / "example.py").write_text(wrong[1] + right[1], encoding="utf-8")
    command = [sys.executable, "example.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=True)
    assert words_of(done.stdout) == words_of(wrong[2] + right[2])
    assert [line.split(": ")[1] for line in done.stdout.splitlines() if line.startswith("rms_norm(")] == [
        "WRONG",
        "RIGHT",
    ]


def words_of(text):
    """The lines without the last digits of their numbers, which differ from machine to machine."""
    return re.sub(r"-?\d+\.\d+(e[-+]\d+)?", "number", text).rstrip().splitlines()


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    missing = [link for link in links if not link.startswith("http") and not (ROOT / link).exists()]
    assert len(links) > 40
    assert not missing


def test_every_rule_stands_in_the_table_with_its_page_and_its_test():
    table = TEXT[TEXT.index("| rule | backward |") :].split("\n\n")[0]
    linked = dict(re.findall(r"\[`(\w+)[^`]*`\]\((purecnn/[^)]+)\)", table))
    rules = {name.removesuffix("_fwd") for name in purecnn.__all__ if name.endswith("_fwd")}
    assert rules - linked.keys() <= {"col2im"}  # beside im2col
    for name, page in linked.items():
        assert f"def {name}(" in (ROOT / page).read_text(encoding="utf-8")
        test = page.replace("purecnn/", "tests/").replace(f"{name}.py", f"test_{name}.py")
        assert (ROOT / test).is_file()
    assert all("/test_" in line for line in table.splitlines()[2:])


def test_the_derivations_hold_every_rule():
    book = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "derivations").glob("*.md"))
    pages = set(re.findall(r"purecnn/((?:layers|losses)/\w+\.py)\)", book))
    rules = {name.removesuffix("_bwd") for name in purecnn.__all__ if name.endswith("_bwd")}
    assert not {"/".join(getattr(purecnn, rule).__module__.split(".")[1:]) + ".py" for rule in rules} - pages
