import jax
import numpy as np
import pytest

from purecnn.models import mlp
from purecnn.results.evaluation import Evaluation
from purecnn.results.report import FEW, SHOWN, _by_class, _confused, write_report
from purecnn.train.config import Config
from purecnn.train.metadata import ModelMetadata
from purecnn.train.run_folder import write_config, write_metrics
from purecnn.train.weights import save_weights


def evaluation(count):
    """`count` classes of two images each, of which the second is predicted as the next class in every fourth."""
    labels = np.repeat(np.arange(count), 2)
    guesses = labels.copy()
    guesses[1::8] = (labels[1::8] + 1) % count
    outputs = np.eye(count)[guesses]
    return Evaluation(tuple(f"a class with the number {n:,}" for n in range(count)), labels, outputs, outputs)


def test_few_classes_are_one_table():
    (table,) = _by_class(evaluation(FEW))
    assert table.count("<tr>") == FEW + 1
    assert _confused(evaluation(FEW)) == []


def test_of_many_classes_the_worst_are_seen_first_and_all_are_folded():
    words, worst, folded = _by_class(evaluation(1000))
    assert words.endswith(f"The {SHOWN} classes with the lowest recall.</p>")
    assert worst.count("<tr>") == worst.count("50.00%") + 1 == SHOWN + 1
    assert folded.count("<tr>") == 1001
    assert folded.startswith("<details>\n<summary>All 1,000 classes</summary>")
    (pairs,) = _confused(evaluation(1000))
    assert pairs.count("<tr>") == SHOWN + 1
    assert "a class with the number 0 → a class with the number 1" in pairs


def test_names_from_right_to_left_stand_on_their_own_beside_the_arrow():
    names = ("קט", *map(str, range(1, FEW + 1)))
    outputs = np.eye(len(names))[np.ones(3, int)]
    (table,) = _confused(Evaluation(names, np.zeros(3, int), outputs, outputs))
    assert "<td>\u2068קט\u2069 → 1</td>" in table


def test_a_run_without_a_line_of_metrics_says_what_writes_them_again(tmp_path):
    net, metadata = mlp(2), ModelMetadata("mlp", "squared_error", "pets", ("cat", "dog"), (4, 4, 1))
    trees = {"params": net.init(jax.random.key(0), (4, 4, 1)), "state": net.init_state((4, 4, 1))}
    save_weights(tmp_path / "best.safetensors", trees, metadata.header())
    write_config(tmp_path, Config(model="mlp"))
    write_metrics(tmp_path, [])
    with pytest.raises(ValueError, match=r"metrics\.jsonl: got no line, .* --resume writes it again$"):
        write_report(tmp_path)
