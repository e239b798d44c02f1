import warnings

import jax
import numpy as np
import pytest

from purecnn.models import from_torchvision
from tests.models.test_torchvision import SHAPES, shaped


def params(arrays):
    return jax.eval_shape(lambda arrays: from_torchvision("resnet18", arrays)[1], arrays)


@pytest.fixture
def arrays():
    return shaped(SHAPES["torchvision"]["resnet18"])


@pytest.mark.parametrize("around", [(), ("state_dict",), ("state_dict_ema", "model"), ("model_state_dict",)])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model._orig_mod."])
def test_a_checkpoint_and_what_wrappers_make_of_it_are_taken(around, prefix, arrays):
    wrapped = {prefix + name: each for name, each in arrays.items()}
    for name in around:
        wrapped = {"epoch": 3, "optimizer": {"state": {}}, name: wrapped}
    assert params(wrapped) == params(arrays)


def test_a_moving_average_is_taken_before_the_last_weights_and_says_so(arrays):
    """As torchvision's own programs save both; the average counts its updates."""
    average = {"n_averaged": np.zeros(()), **{f"module.{name}": each for name, each in arrays.items()}}
    with (
        pytest.warns(
            UserWarning, match="the moving average of the weights is taken, model_ema; model has the last ones"
        ),
        pytest.warns(UserWarning, match="left out what is beside the net: n_averaged"),
    ):
        assert params({"model": {"conv1.weight": np.zeros(3)}, "model_ema": average}) == params(arrays)


@pytest.mark.parametrize("head", ["net.fc.", "head.fc.", "fc."])
def test_a_net_that_is_a_part_of_another_is_found(arrays, head):
    """Lightning puts a loss beside it, MMClassification calls its last layer head.fc."""
    inside = {(f"{head}{name[3:]}" if name.startswith("fc.") else f"net.{name}"): each for name, each in arrays.items()}
    assert params(inside) == params(arrays)
    with pytest.warns(UserWarning, match="left out what is beside the net: loss.weight"):
        assert params({**inside, "loss.weight": np.zeros(3)}) == params(arrays)


def test_what_the_weights_are_instead_is_said(arrays):
    twice = {f"{part}.{name}": each for part in "ab" for name, each in arrays.items()}
    message = r"got the net twice, its names begin with 'a\.' and 'b\.'; keep one: .* if name\.startswith\('b\.'\)"
    with pytest.raises(ValueError, match=message):
        from_torchvision("resnet18", twice)
    with pytest.raises(ValueError, match=r"layer1\.0\.bn3\.bias: got nothing, .*; these are weights of resnet18$"):
        from_torchvision("resnet50", arrays)
    without = {name: each for name, each in arrays.items() if not name.startswith("fc.")}
    with pytest.raises(ValueError, match=r"fc\.bias: got nothing, .*; these are weights of resnet18$"):
        from_torchvision("resnet34", without)


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_weights_without_a_last_layer_have_zeros_there_and_say_so(arrays, prefix):
    """As timm's with num_classes=0, and what is kept of a net that was trained without labels."""
    without = {prefix + name: each for name, each in arrays.items() if not name.startswith("fc.")}
    for classes in (None, 3):
        with pytest.warns(
            UserWarning, match="the last layer, fc, is not there, and zeros here; predictions say nothing"
        ):
            shapes = jax.eval_shape(lambda arrays: from_torchvision("resnet18", arrays, classes)[1], without)  # noqa: B023
        assert shapes[-1]["w"].shape == (512, classes or 1000)
    drawn = {name: np.ones(each.shape, np.float32) for name, each in without.items()}
    with pytest.warns(UserWarning, match="zeros here"):
        last = from_torchvision("resnet18", drawn, 3)[1][-1]
    assert not np.any(last["w"])
    del without[f"{prefix}layer4.1.bn2.bias"]  # more is missing than the last layer
    with pytest.raises(ValueError, match="bias: got nothing"):
        from_torchvision("resnet18", without)


@pytest.mark.parametrize("prefix", ["", "backbone."])
@pytest.mark.parametrize("head", ["fc.1", "classifier", "head.fc", "last_linear"])
def test_a_last_layer_by_another_name_is_taken_and_said(arrays, prefix, head):
    """As people put nn.Sequential(nn.Dropout(), nn.Linear(512, 5)) in its place."""
    own = {name.removeprefix("fc."): each for name, each in arrays.items() if name.startswith("fc.")}
    others = {prefix + name: each for name, each in arrays.items() if not name.startswith("fc.")}
    renamed = others | {f"{head}.{name}": each for name, each in own.items()}
    if (prefix, head) == ("backbone.", "head.fc"):  # MMClassification's
        assert params(renamed) == params(arrays)
        return
    with pytest.warns(UserWarning, match=f"arrays: {head} is taken as the last layer, fc$"):
        assert params(renamed) == params(arrays)
    two = renamed | {f"other.{name}": each for name, each in own.items()}
    with pytest.raises(ValueError, match=r"expected no such array|got nothing"):
        from_torchvision("resnet18", two)


def heights(arrays, prefix, height):
    """Kernels of one height, under names that begin so, without a last layer."""
    kernels = {name: np.full(each.shape, height, np.float32) for name, each in arrays.items() if "fc" not in name}
    return {f"{prefix}{name}": each for name, each in kernels.items()}


def taken_from(arrays, classes=None):
    """The parameters, and all that was said."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        params = from_torchvision("resnet18", arrays, classes)[1]
    return params, "; ".join(str(each.message) for each in found)


def in_a_row(place, size):
    """Two fully connected layers, as a Sequential calls them."""
    shapes = {"weight": (size, size), "bias": (size,)}
    return {f"{place}.{n}.{name}": np.zeros(shape) for n in (0, 3) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("taken", "left"),
    [
        ("encoder_q.", "encoder_k."),
        ("teacher.", "student."),
        ("ema.", ""),
        ("online_encoder.", "target_encoder."),
        ("backbone.", "backbone_momentum."),
        ("ema_model.", "online_model."),
    ],
)
def test_of_two_nets_the_one_that_counts_is_taken_and_said(arrays, taken, left):
    both = {**heights(arrays, left, 2), **heights(arrays, taken, 1), "queue": np.zeros((128, 9))}
    said = f"arrays: the net is there twice: {taken} is taken, {left or 'names without a prefix'} left out"
    params, all_said = taken_from(both)
    assert np.all(params[0]["w"] == 1)
    assert said in all_said


def test_a_checkpoint_of_teacher_and_student_gives_the_teacher(arrays):
    """As of DINO, whose heads are of no use here."""
    rows = in_a_row("head.mlp", 9)
    saved = {"student": heights(arrays, "module.backbone.", 2), "teacher": heights(arrays, "backbone.", 1) | rows}
    params, said = taken_from(saved | {"optimizer": {"state": {}}})
    assert np.all(params[0]["w"] == 1)
    assert "the moving average of the weights is taken, teacher; student has the last ones" in said
    assert "left out what is beside the net: head.mlp.0.weight" in said


@pytest.mark.parametrize("key", ["net", "params_ema", "weights_of_a_program_of_ones_own"])
def test_a_checkpoint_is_found_by_what_is_in_it(arrays, key):
    """Under the name that a program has for it, beside what is no state_dict."""
    assert params({"acc": 93.1, key: {f"module.{name}": each for name, each in arrays.items()}}) == params(arrays)


@pytest.mark.parametrize("place", ["fc", "projector", "encoder.fc"])
def test_fully_connected_layers_for_training_without_labels_are_left_out(arrays, place):
    """MoCo, SimSiam and others have some in a row in the place of the last layer, or beside the net."""
    prefix = place.removesuffix("fc") if "." in place else ""
    row = in_a_row(place, 512)
    row |= {"prototypes.weight": np.zeros((300, 128)), f"{place}.1.weight": np.zeros(512)}
    (*_, last), said = taken_from(heights(arrays, prefix, 1) | row, 3)
    assert last["w"].shape == (512, 3)
    assert not np.any(last["w"])
    assert "the last layer, fc, is not there, and zeros here" in said
    assert f"left out what is beside the net: {place}.0.weight" in said or "prototypes.weight" in said


def test_names_of_transformers_are_told(arrays):
    own = {
        "resnet.embedder.embedder.convolution.weight": np.zeros((64, 3, 7, 7)),
        "classifier.1.weight": np.ones((5, 9)),
    }
    with pytest.raises(ValueError, match="these are names of Hugging Face's transformers, whose hub has the same nets"):
        from_torchvision("resnet18", own)


def test_several_nets_of_which_none_is_known_are_named(arrays):
    with pytest.raises(
        ValueError, match=r"got several nets, a, b, expected one: torch\.save\(checkpoint\['a'\], FILE\)"
    ):
        from_torchvision("resnet18", {"a": arrays, "b": arrays, "epoch": 3})
