"""`pytest --verify-rules` on a small suite of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SUITE = """
import jax, numpy as np

@jax.custom_vjp
def right(x):
    return x ** 2
right.defvjp(lambda x: (x ** 2, x), lambda x, g: (2 * x * g,))

@jax.custom_vjp
def wrong(x):
    return x ** 2
wrong.defvjp(lambda x: (x ** 2, x), lambda x, g: (x * g,))

X = np.arange(1, 4, dtype=np.float32)

def test_right():
    jax.jit(jax.grad(lambda x: right(x).sum()))(X)

def test_wrong():
    assert wrong(X).sum() > 0
"""


def run(folder, *words):
    (folder / "test_suite.py").write_text(SUITE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "verify.pytest_plugin", *words, "test_suite.py"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [(), ("-p", "xdist", "-n", "2")], ids=["one process", "two workers"])
def test_faulty_rules_fail_a_suite_that_passes(tmp_path, words):
    done = run(tmp_path, "--verify-rules", *words)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert "right                  test_suite.right(f32[3])" in done.stdout
    assert "wrong                  test_suite.wrong(f32[3])" in done.stdout
    assert "×1/2" in done.stdout
    assert "2 rules and shapes, 1 wrong" in done.stdout


def test_nothing_happens_without_the_option(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 0
    assert "derivative" not in done.stdout
