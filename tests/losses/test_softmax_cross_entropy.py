import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected
from verify.running import quickly


def test_the_rule_is_right():
    check_vjp(purecnn.softmax_cross_entropy)


INTEGERS = named("softmax_cross_entropy-integers")
PROBABILITIES = named("softmax_cross_entropy-probabilities")


def value_and_gradient(logits, labels, **options):
    def total(logits):
        losses = purecnn.softmax_cross_entropy(logits, labels, **options)
        return losses.sum(), losses

    (_, losses), gradient = quickly(jax.value_and_grad(total, has_aux=True))(logits)
    return losses, gradient


def test_lecture_row_6():
    """∂L/∂x = ŷ − y for one sample."""
    logits, y = jnp.array([[1.0, 2.0, 0.5]]), jnp.array([[0.0, 1.0, 0.0]])
    losses, gradient = value_and_gradient(logits, y)
    expected = purecnn.softmax(logits)
    np.testing.assert_allclose(gradient, expected - y, rtol=1e-6)
    np.testing.assert_allclose(losses, -jnp.log(expected[:, 1]), rtol=1e-6)


def test_an_integer_label_is_its_one_hot_row():
    logits = INTEGERS.arguments("float32")[0]
    labels = np.array([0, 2, 1, 2], np.uint8)
    for smoothing in (0.0, 0.1):
        by_class = value_and_gradient(logits, jnp.asarray(labels), label_smoothing=smoothing)
        by_row = value_and_gradient(logits, jnp.eye(3)[labels], label_smoothing=smoothing)
        for got, expected in zip(by_class, by_row, strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_logits_of_800_neither_overflow_nor_vanish(dtype):
    logits = jnp.array([[800, -800, 0], [800, -800, 0], [800, 800, -800]], dtype)
    losses, gradient = value_and_gradient(logits, jnp.array([0, 1, 0]))
    np.testing.assert_allclose(losses.astype(jnp.float32), [0, 1600, np.log(2)], rtol=1e-2)
    assert gradient.tolist() == [[0, 0, 0], [1, -1, 0], [-0.5, 0.5, 0]]


def test_a_logit_of_minus_infinity_is_a_class_that_cannot_be():
    losses, gradient = value_and_gradient(jnp.array([[0.0, -jnp.inf, 0.0]]), jnp.array([0]))
    assert losses.tolist() == pytest.approx([np.log(2)])
    assert gradient.tolist() == [[-0.5, 0, 0.5]]


def test_label_smoothing_moves_that_share_of_the_target_to_all_classes():
    losses, gradient = value_and_gradient(jnp.zeros((1, 4)), jnp.array([0]), label_smoothing=0.4)
    assert losses.tolist() == pytest.approx([np.log(4)])
    assert gradient[0].tolist() == pytest.approx([0.25 - 0.7, 0.25 - 0.1, 0.25 - 0.1, 0.25 - 0.1])


@pytest.mark.parametrize("label", [-1, 3, 2**31 - 1])
def test_a_label_outside_the_classes_gives_nan_for_its_sample_alone(label):
    losses, gradient = value_and_gradient(jnp.zeros((2, 3)), jnp.array([label, 1], jnp.int32))
    assert np.isnan(losses).tolist() == [True, False]
    assert np.isnan(gradient).tolist() == [[True] * 3, [False] * 3]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_pixels_that_are_left_out_send_nothing_back(smoothing):
    """Masked behind the loss, whatever their label; or by a row of zeros, which has no loss."""
    logits, labels = jnp.ones((1, 2, 2, 3)).at[..., 0].set(2), jnp.array([[[255, 1], [-1, 2]]], jnp.int32)
    known = (labels >= 0) & (labels < 3)

    def mean(logits, labels):
        losses = purecnn.softmax_cross_entropy(logits, labels, label_smoothing=smoothing)
        return jnp.where(known, losses, 0).sum() / 2

    value, gradient = jax.value_and_grad(mean)(logits, labels)
    expected = value_and_gradient(logits[known], labels[known], label_smoothing=smoothing)
    np.testing.assert_allclose(value, expected[0].mean(), rtol=1e-6)
    np.testing.assert_allclose(gradient[known], expected[1] / 2, rtol=1e-6)
    assert (gradient[~known] == 0).all()
    losses, gradient = value_and_gradient(logits, jax.nn.one_hot(labels, 3))
    assert (losses[~known] == 0).all()
    assert (gradient[~known] == 0).all()


def test_more_classes_than_the_labels_dtype_can_count():
    losses, gradient = value_and_gradient(jnp.zeros((2, 300)), jnp.array([7, 255], jnp.uint8))
    np.testing.assert_allclose(losses, np.log(300), rtol=1e-6)
    assert (gradient < 0).sum(axis=1).tolist() == [1, 1]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bit_sums_accumulate_in_float32(dtype):
    classes = {"bfloat16": 512, "float16": 4096}[dtype]
    losses, _ = value_and_gradient(jnp.zeros((1, classes), dtype), jnp.array([0]))
    assert losses[0] == jnp.asarray(np.log(classes), dtype)


def test_keeps_its_arguments():
    args = INTEGERS.arguments("float32")
    _, residuals = purecnn.softmax_cross_entropy_fwd(*args)
    assert [r is a for r, a in zip(residuals, args, strict=True)] == [True, True]


def sign_of_the_slide(residuals, loss_bar, **options):
    """One slide drops the minus sign of L."""
    logits_bar, labels_bar = purecnn.softmax_cross_entropy_bwd(residuals, loss_bar, **options)
    return -logits_bar, labels_bar


def softmax_alone(residuals, loss_bar, **options):
    labels_bar = purecnn.softmax_cross_entropy_bwd(residuals, loss_bar, **options)[1]
    return loss_bar[:, None] * purecnn.softmax(residuals[0]), labels_bar


def mean_over_the_batch(residuals, loss_bar, **options):
    return purecnn.softmax_cross_entropy_bwd(residuals, loss_bar / len(loss_bar), **options)


def one_cotangent_for_all_samples(residuals, loss_bar, **options):
    return purecnn.softmax_cross_entropy_bwd(residuals, jnp.full_like(loss_bar, loss_bar.mean()), **options)


def smoothing_forgotten(residuals, loss_bar, **options):
    return purecnn.softmax_cross_entropy_bwd(residuals, loss_bar)


COMMON = [sign_of_the_slide, softmax_alone, mean_over_the_batch, one_cotangent_for_all_samples]


@pytest.mark.parametrize("faulty", [*COMMON, faulty_rules.cotangent_ignored(INTEGERS)])
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(INTEGERS, faulty)


@pytest.mark.parametrize("faulty", [*COMMON, smoothing_forgotten, faulty_rules.cotangent_ignored(PROBABILITIES)])
def test_faulty_rules_are_rejected_with_probabilities(faulty):
    assert_rejected(PROBABILITIES, faulty)
