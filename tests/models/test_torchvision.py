"""The tables of names are compared with torchvision's and timm's own, and the conversion with a second AlexNet and a
second VGG head in NumPy, in float64 and PyTorch's layout, N C H W and O I kh kw."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purecnn import models
from purecnn.models import alexnet_one_tower, from_torchvision, to_torchvision
from purecnn.models.torchvision import TABLES, _built
from tests.sampling import slow_but
from verify.running import quickly

SHAPES = json.loads(
    (Path(__file__).parents[2] / "experiments/against_torchvision/results/shapes.json").read_text(encoding="utf-8")
)
CONVOLUTIONS = ((0, 64, 3, 11), (3, 192, 64, 5), (6, 384, 192, 3), (8, 256, 384, 3), (10, 256, 256, 3))
CLASSES = 7


def shaped(shapes):
    """Arrays of these shapes that take no memory."""
    kind = {"num_batches_tracked": np.int32}
    return {
        name: jax.ShapeDtypeStruct(tuple(shape), kind.get(name.split(".")[-1], np.float32))
        for name, shape in shapes.items()
    }


def drawn(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def counted(shapes):
    return {name: shape for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}


ONE_OF_EACH_KIND = [name for name in TABLES if name in ("alexnet_one_tower", "vgg11_bn", "resnet18", "convnext_tiny")]


@pytest.mark.parametrize("name", slow_but(ONE_OF_EACH_KIND, TABLES))
def test_names_and_shapes_are_torchvisions_both_ways(name):
    """timm's too, where they differ, when reading. The result has the shapes of the net's initial weights."""
    ours = _built(name)[1]
    theirs = [SHAPES["torchvision"][name]]
    if name in SHAPES["timm"] and SHAPES["timm"][name] != theirs[0]:
        theirs.append(SHAPES["timm"][name])

    def there_and_back(arrays):
        _, params, state = from_torchvision(name, arrays)
        return params, state, to_torchvision(name, params, state)

    for shapes in theirs:
        params, state, back = jax.eval_shape(there_and_back, shaped(shapes))
        expected = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), ours)
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), {"params": params, "state": state}) == expected
        assert {key: list(each.shape) for key, each in back.items()} == SHAPES["torchvision"][name]


@pytest.mark.parametrize("name", ["resnet18"])
def test_every_array_comes_back_with_the_same_bits(name):
    """For any number of classes, and without the counters, which a file may lack."""
    shapes = counted(SHAPES["torchvision"][name])
    (weight, (_, *inputs)), (bias, _) = list(shapes.items())[-2:]
    arrays = drawn(shapes | {weight: (3, *inputs), bias: (3,)})
    net, params, state = from_torchvision(name, arrays)
    assert net.shapes((224, 224, 3))[-1] == (3,)
    back = to_torchvision(name, params, state)
    assert all(np.array_equal(back[key], array) for key, array in arrays.items())
    counters = back.keys() - arrays.keys()
    assert counters == {key.replace("running_mean", "num_batches_tracked") for key in arrays if "running_mean" in key}
    assert all(back[key].dtype == np.int64 and back[key] == 0 for key in counters)


def test_where_each_kind_of_array_goes():
    arrays = drawn(SHAPES["torchvision"]["resnet18"])
    _, params, state = from_torchvision("resnet18", arrays)
    np.testing.assert_array_equal(params[0]["w"][2, 1, 0], arrays["conv1.weight"][:, 0, 2, 1])
    block, statistics = params[8]["shortcut"][1], state[8]["shortcut"][1]  # the first of the second stage
    np.testing.assert_array_equal(block["scale"], arrays["layer2.0.downsample.1.weight"])
    np.testing.assert_array_equal(block["bias"], arrays["layer2.0.downsample.1.bias"])
    np.testing.assert_array_equal(statistics["mean"], arrays["layer2.0.downsample.1.running_mean"])
    np.testing.assert_array_equal(statistics["variance"], arrays["layer2.0.downsample.1.running_var"])
    np.testing.assert_array_equal(params[-1]["w"][5], arrays["fc.weight"][:, 5])


@pytest.fixture(scope="module")
def arrays():
    """AlexNet's arrays, all different, scaled so that activations keep their size."""
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
    """As in torchvision's source: features, then C, H, W flattened, then the classifier."""
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
    net, params, state = from_torchvision("alexnet_one_tower", arrays)
    assert net == alexnet_one_tower(CLASSES) or len(net.layers) == len(alexnet_one_tower().layers)
    x = np.random.default_rng(1).standard_normal((1, 3, 224, 224))
    expected = alexnet_of_numpy(arrays, x)
    got = quickly(net.apply)(params, x.transpose(0, 2, 3, 1).astype(np.float32), state=state)
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * abs(expected).max())


def without(name):
    return lambda arrays: {n: a for n, a in arrays.items() if n != name}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            without("features.3.bias"),
            r"features\.3\.bias: got nothing, expected \(192,\); weights of another model ",
        ),
        (without("classifier.6.weight"), r"classifier\.6\.weight: got nothing, expected \(1000, 4096\)"),
        (lambda a: a | {"conv1.weight": a["features.0.bias"]}, r"conv1\.weight: got \(64,\), expected no such array"),
        (
            lambda a: a | {"features.0.weight": a["features.0.weight"][:, :, :3, :3]},
            r"features\.0\.weight: got float32\(64, 3, 3, 3\), expected floating-point numbers, \(64, 3, 11, 11\)",
        ),
        (
            lambda a: a | {"features.8.weight": a["features.8.weight"].transpose(0, 2, 3, 1)},
            r"features\.8\.weight: got float32\(256, 3, 3, 384\)",
        ),
        (lambda a: a | {"features.0.bias": np.zeros(64, np.int8)}, r"features\.0\.bias: got int8\(64,\)"),
        (lambda a: a | {"features.0.num_batches_tracked": np.zeros(())}, r"features\.0\.num_batches_tracked: got \(\)"),
        (lambda a: a | {"classifier.6.bias": np.zeros(6, np.float32)}, r"classifier\.6\.bias: got float32\(6,\)"),
    ],
)
def test_what_is_not_alexnet_is_refused_by_name(arrays, change, words):
    with pytest.raises(ValueError, match=words):
        from_torchvision("alexnet_one_tower", change(arrays))


def test_an_array_is_called_as_the_file_calls_it():
    shapes = shaped(SHAPES["timm"]["vgg11"]) | {"pre_logits.fc2.bias": jax.ShapeDtypeStruct((9,), np.float32)}
    with pytest.raises(ValueError, match=r"pre_logits\.fc2\.bias: got float32\(9,\), expected .*\(4096,\)"):
        jax.eval_shape(lambda arrays: from_torchvision("vgg11", arrays)[1:], shapes)


def test_another_name_or_the_parameters_of_another_net_are_refused():
    with pytest.raises(ValueError, match=r"^name: got 'lenet', expected one of alexnet_one_tower, resnet18"):
        from_torchvision("lenet", {})
    net = models.lenet()
    params = jax.eval_shape(lambda: net.init(jax.random.key(0), (8, 8, 1)))
    with pytest.raises(ValueError, match=r"^params: got 5 layers with parameters, expected 41"):
        to_torchvision("resnet18", params, [{} for _ in params])


def test_weights_without_running_statistics_are_refused():
    """PyTorch would refuse the file, or its own model would keep the statistics that it begins with."""
    with pytest.raises(ValueError, match=r"^params, state: bn1\.running_mean: got nothing, expected it in resnet18"):
        to_torchvision("resnet18", _built("resnet18")[1]["params"], [{}] * 14)


class Tensor:
    """Like PyTorch's: an array with a dtype that is not NumPy's."""

    dtype = "torch.float32"

    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def __array__(self, dtype=None, copy=None):
        if self.array.dtype == jnp.bfloat16:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array


def test_tensors_of_pytorch_are_taken_as_they_are():
    shapes = SHAPES["torchvision"]["resnet18"]
    arrays = drawn(shapes)
    _, params, state = from_torchvision("resnet18", {name: Tensor(array) for name, array in arrays.items()})
    back = to_torchvision("resnet18", params, state)
    assert all(np.array_equal(back[name], arrays[name]) for name in counted(shapes))
    tensors = {name: Tensor(array.astype(jnp.bfloat16)) for name, array in arrays.items()}
    with pytest.raises(ValueError, match=r"^conv1\.weight: got Tensor, expected an array of NumPy's: Got unsupported"):
        from_torchvision("resnet18", tensors)


def test_a_name_that_is_missing_is_said_beside_those_that_are_there():
    shapes = {f"net_{name}": shape for name, shape in SHAPES["torchvision"]["resnet18"].items()}
    message = r"^bn1\.bias: got nothing.*\(net_conv1\.weight, net_bn1\.weight, net_bn1\.bias, …\)$"
    with pytest.raises(ValueError, match=message):
        from_torchvision("resnet18", shaped(shapes))
    with pytest.raises(ValueError, match=r"bn1\.bias: got nothing.*\(epoch, weights, …\)"):
        from_torchvision("resnet18", {"epoch": 1, "weights": {}})


def test_half_precision_becomes_float32():
    shapes = {name: shape.update(dtype=jnp.bfloat16) for name, shape in shaped(SHAPES["timm"]["vgg11"]).items()}
    params = jax.eval_shape(lambda arrays: from_torchvision("vgg11", arrays)[1], shapes)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}


@pytest.mark.usefixtures("users_errors")
@pytest.mark.parametrize("arrays", [None, [], "resnet18.safetensors"])
def test_what_is_no_dict_of_arrays(arrays):
    with pytest.raises(TypeError, match=rf"^arrays: got {type(arrays).__name__}, expected arrays by their names"):
        from_torchvision("resnet18", arrays)
    with pytest.raises(ValueError, match=r"^name: got \['resnet18'\], expected one of"):
        from_torchvision(["resnet18"], {})  # type: ignore[reportArgumentType]
