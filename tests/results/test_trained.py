import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from purecnn.data.digits import read_digits
from purecnn.results.trained import Trained, load_trained, make_classifier
from purecnn.train.classifying import probabilities
from purecnn.train.metadata import ModelMetadata, read_model_metadata

METADATA = ModelMetadata("lenet", "softmax_cross_entropy", "digits", tuple("0123456789"), (8, 8, 1))


def test_a_run_says_of_itself_what_it_is(finished):
    assert read_model_metadata(finished / "weights.safetensors") == METADATA
    assert load_trained(finished).metadata == METADATA
    assert load_trained(finished / "weights.safetensors").net.name == "lenet"


def test_the_classifier_predicts_what_the_run_measured_and_any_number_of_images(finished):
    test = read_digits().test
    classify = make_classifier(load_trained(finished))
    outputs, shares = classify(test.images)
    found = json.loads((finished / "test.json").read_text())
    assert float((outputs.argmax(axis=1) == test.labels).mean()) == found["test_accuracy"]
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    wide = outputs.astype(np.float64)
    np.testing.assert_allclose(shares, np.exp(wide) / np.exp(wide).sum(axis=1, keepdims=True), rtol=1e-4)
    few, _ = classify(test.images[:3])
    np.testing.assert_array_equal(few, outputs[:3])


def test_outputs_trained_by_squared_error_are_scaled_to_sum_to_one():
    metadata = ModelMetadata("mlp", "squared_error", "digits", ("a", "b", "c"), (1, 1, 1))
    shares = probabilities(metadata, jnp.array([[0.5, 0.25, 0.25], [0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(shares, [[0.5, 0.25, 0.25], [1 / 3] * 3])


def test_pixels_are_normalised_by_channel(finished):
    trained = load_trained(finished)
    images = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
    metadata = dataclasses.replace(METADATA, pixel_mean=(0.25,), pixel_std=(0.5,))
    moved, _ = make_classifier(Trained(metadata, trained.net, trained.params, trained.state))(images * 0.5 + 0.25)
    np.testing.assert_allclose(moved, make_classifier(trained)(images)[0], rtol=1e-4, atol=1e-5)


def test_what_is_no_trained_net_is_refused_by_name(finished, tmp_path):
    arrays, file = load_file(finished / "weights.safetensors"), tmp_path / "w.safetensors"
    other = json.loads(METADATA.header()["purecnn"])
    cases = (
        (lambda: file.write_bytes(b"no weights"), "expected a safetensors file"),
        (lambda: save_file(arrays, file), "metadata: got none, expected weights saved by purecnn"),
        (lambda: save_file(arrays, file, {"purecnn": "[]"}), "expected weights saved by purecnn"),
        (lambda: save_file(arrays, file, {"purecnn": json.dumps(other | {"model": "eval"})}), "model: got 'eval'"),
        (
            lambda: save_file(arrays, file, {"purecnn": json.dumps(other | {"model": "mlp"})}),
            "weights of another model",
        ),
    )
    for write, words in cases:
        write()
        with pytest.raises(ValueError, match="safetensors: ") as caught:
            load_trained(file)
        assert words in str(caught.value)
    with pytest.raises(FileNotFoundError):
        load_trained(tmp_path / "nowhere")


def test_a_few_images_are_not_padded_to_many_and_the_last_ones_compile_nothing(finished, monkeypatch):
    trained, seen = load_trained(finished), []
    apply = type(trained.net).apply
    monkeypatch.setattr(
        type(trained.net), "apply", lambda net, p, x, **o: (seen.append(len(x)), apply(net, p, x, **o))[1]
    )
    images = read_digits().test.images
    classify = make_classifier(trained)
    for count, programs in ((3, [3]), (2, [3]), (130, [3, 128]), (1, [3, 128])):
        assert [len(found) for found in classify(images[:count])] == [count, count]
        assert seen == programs
