import matplotlib.image
import numpy as np
import pytest

from purecnn.train.plots import draw_confusion, draw_curves


def test_the_confusion_matrix_has_every_count_in_its_place(tmp_path, drawn):
    labels, predictions = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 0, 1, 1, 0, 2])
    draw_confusion(tmp_path / "confusion.png", labels, predictions, ("ant", "bee", "cat"), "insects, mostly")
    axes = drawn[0].axes[0]
    # A text's place is (column, row): predicted class, true class.
    assert {(t.get_position(), t.get_text()) for t in axes.texts} == {
        ((0, 0), "2"), ((1, 0), "1"), ((1, 1), "1"), ((0, 2), "1"), ((2, 2), "1"),
    }  # fmt: skip
    assert [t.get_text() for t in axes.get_yticklabels()] == ["ant", "bee", "cat"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert matplotlib.image.imread(tmp_path / "confusion.png").std() > 0


@pytest.mark.slow
def test_many_classes_stay_one_picture_and_a_name_is_text_whatever_is_in_it(tmp_path, drawn):
    few = ("$\\frac$", "家族 [red]", "an animal with a long name")
    draw_confusion(tmp_path / "few.png", np.arange(3), np.arange(3), few, "$_")
    assert [t.get_text() for t in drawn[0].axes[0].get_xticklabels()] == [
        "$\\frac$",
        "家族 [red]",
        "an animal with a long name",
    ]
    for count, named, counted in ((40, 40, 40), (100, 100, 0), (1000, 100, 0)):
        classes = tuple(f"thing {n}" for n in range(count))
        labels = np.arange(count)
        draw_confusion(tmp_path / f"{count}.png", labels, labels, classes, "things")
        axes = drawn[-1].axes[0]
        assert max(drawn[-1].get_size_inches()) < 18
        assert (len(axes.get_yticklabels()), len(axes.texts)) == (named, counted)
        assert axes.get_yticklabels()[1].get_text() == classes[count // named]
        np.testing.assert_array_equal(axes.images[0].get_array(), np.eye(count))


def test_the_curves_are_the_metrics(tmp_path, drawn):
    metrics = [
        {"epoch": e, "train_loss": 1 / e, "val_loss": 2 / e, "train_accuracy": 0.2 * e, "val_accuracy": 0.1 * e}
        for e in (1, 2, 3)
    ]
    draw_curves(tmp_path / "curves.png", metrics, "a net on data")
    loss, accuracy = drawn[0].axes
    np.testing.assert_allclose(loss.lines[0].get_xydata(), [[1, 1], [2, 1 / 2], [3, 1 / 3]])
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), [10, 20, 30])
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "mean loss per image")
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == [
        "train, 60 at the end",
        "val, 30 at the end",
    ]
    assert matplotlib.image.imread(tmp_path / "curves.png").std() > 0


def test_ticks_are_plain_numbers_and_a_narrow_range_is_linear(tmp_path, drawn):
    for name, losses, scale in (
        ("a", (2.0, 0.3, 0.004), "log"),
        ("b", (2.0, 1.9, 1.8), "linear"),
        ("c", (1, 0, 0), "linear"),
    ):
        metrics = [{"epoch": n, "train_loss": loss, "train_accuracy": 0.5} for n, loss in enumerate(losses, 1)]
        draw_curves(tmp_path / f"{name}.png", metrics, "a net")
        axes = drawn[-1].axes[0]
        assert axes.get_yscale() == scale
        texts = [tick.get_text() for tick in axes.get_yticklabels()]
        assert len(texts) > 2
        assert not any("$" in text or "×" in text for text in texts)
    for count in (1, 2):
        metrics = [{"epoch": n, "train_loss": 1.0, "train_accuracy": 0.5} for n in range(1, 1 + count)]
        draw_curves(tmp_path / "few.png", metrics, "a net")
        inside = [t for t in drawn[-1].axes[0].get_xticks() if 0.5 < t < count + 0.5]
        assert inside == list(range(1, 1 + count))
    assert {"0.01", "0.1", "1"} <= {tick.get_text() for tick in drawn[0].axes[0].get_yticklabels()}
