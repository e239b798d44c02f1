"""A tenth of the recipe's epochs are enough to see that it learns."""

from experiments.digits_recipe import run


def test_six_epochs_of_the_recipe_err_on_few_digits(tmp_path):
    result = run.main(["--quick", "--out", str(tmp_path)])
    ((command, found),) = result["recipes"].items()
    assert command.startswith("purecnn train --model cifar_cnn")
    assert 0.96 < found["mean"] < 1
    assert {path.name for path in tmp_path.iterdir()} == {"test.json", "test.png"}
