"""The conversion against a second AlexNet: NumPy in float64, in PyTorch's layout, N C H W and O I kh kw."""

import jax
import numpy as np
import pytest

from purecnn.models import alexnet_one_tower
from purecnn.results.torchvision import from_torchvision
from tests.oracles.roads import quick_jit

CONVOLUTIONS = ((0, 64, 3, 11), (3, 192, 64, 5), (6, 384, 192, 3), (8, 256, 384, 3), (10, 256, 256, 3))
CLASSES = 7


@pytest.fixture(scope="module")
def arrays():
    """Weights of PyTorch's names and shapes; all different, and as large as keeps the signal's size."""
    rng = np.random.default_rng(0)

    def drawn(*shape):
        fan_in = np.prod(shape[1:])
        return rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / fan_in))

    found = {f"features.{i}.weight": drawn(o, c, k, k) for i, o, c, k in CONVOLUTIONS}
    for i, inputs, outputs in ((1, 256 * 6 * 6, 4096), (4, 4096, 4096), (6, 4096, CLASSES)):
        found[f"classifier.{i}.weight"] = drawn(outputs, inputs)
    biases = {name.replace("weight", "bias"): rng.standard_normal(len(w), np.float32) / 10 for name, w in found.items()}
    return found | biases


def convolution(x, w, b, stride, padding):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.tensordot(windows, w, axes=([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2) + b[None, :, None, None]


def pooled(x):
    return np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))[:, :, ::2, ::2].max(axis=(4, 5))


def alexnet_of_numpy(arrays, x):
    """As torchvision's source says it: features, then C, H, W flattened, then the classifier."""
    w = {name: array.astype(np.float64) for name, array in arrays.items() if name.startswith("features")}
    for i, *_ in CONVOLUTIONS:
        stride, padding = {0: (4, 2), 3: (1, 2)}.get(i, (1, 1))
        x = np.maximum(convolution(x, w[f"features.{i}.weight"], w[f"features.{i}.bias"], stride, padding), 0)
        if i in (0, 3, 10):
            x = pooled(x)
    x = x.reshape(len(x), -1)
    for i in (1, 4, 6):
        x = x @ arrays[f"classifier.{i}.weight"].astype(np.float64).T + arrays[f"classifier.{i}.bias"]
        x = x if i == 6 else np.maximum(x, 0)
    return x


def test_the_converted_net_computes_what_the_original_does(arrays):
    net, params = alexnet_one_tower(CLASSES), from_torchvision(arrays)
    wanted = jax.eval_shape(lambda: net.init(jax.random.key(0), (224, 224, 3)))
    assert jax.tree.map(lambda p: (p.shape, p.dtype), params) == jax.tree.map(lambda p: (p.shape, p.dtype), wanted)
    x = np.random.default_rng(1).standard_normal((1, 3, 224, 224))
    expected = alexnet_of_numpy(arrays, x)
    got = quick_jit(net.apply)(params, x.transpose(0, 2, 3, 1).astype(np.float32))
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * abs(expected).max())


def without(name):
    return lambda arrays: {n: a for n, a in arrays.items() if n != name}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("features.3.bias"), r"features\.3\.bias: got nothing, expected \(192,\)"),
        (without("classifier.6.weight"), r"classifier\.6\.weight: got nothing, expected \(1000, 4096\)"),
        (lambda a: a | {"conv1.weight": a["features.0.bias"]}, r"conv1\.weight: got \(64,\), expected no such array"),
        (
            lambda a: a | {"features.0.weight": a["features.0.weight"][:, :, :3, :3]},
            r"features\.0\.weight: got float32\(64, 3, 3, 3\), expected floating-point numbers, \(64, 3, 11, 11\)",
        ),
        (lambda a: a | {"features.0.bias": np.zeros(64, np.int8)}, r"features\.0\.bias: got int8\(64,\)"),
        (lambda a: a | {"classifier.6.bias": np.zeros(6, np.float32)}, r"classifier\.6\.bias: got float32\(6,\)"),
    ],
)
def test_what_is_not_alexnet_is_refused_by_name(arrays, change, words):
    with pytest.raises(ValueError, match=words):
        from_torchvision(change(arrays))
