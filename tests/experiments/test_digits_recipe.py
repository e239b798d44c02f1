"""A tenth of the recipe's epochs are enough to see that it learns."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_six_epochs_of_the_recipe_err_on_few_digits(tmp_path):
    command = [sys.executable, "-m", "experiments.digits_recipe.run", "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    ((name, found),) = json.loads((tmp_path / "test.json").read_text())["recipes"].items()
    assert name.startswith("purecnn train --model cifar_cnn")
    assert 0.96 < found["mean"] <= 1
    assert {path.name for path in tmp_path.iterdir()} == {"test.json", "test.png"}
