import os
import pickle

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from purecnn.train.metadata import read_model_metadata
from purecnn.train.weights import load_weights, save_weights


def tree():
    return {
        "params": [
            {"w": jnp.arange(6.0).reshape(2, 3), "b": jnp.ones(3)},
            {},
            {"body": [{"w": jnp.full((1, 2), 7.0)}]},
        ],
        "state": [{}, {"mean": jnp.zeros(2)}, {}],
    }


def test_what_is_saved_comes_back_in_place(tmp_path):
    save_weights(tmp_path / "w.safetensors", tree())
    back = load_weights(tmp_path / "w.safetensors", tree())
    np.testing.assert_array_equal(back["params"][0]["w"], tree()["params"][0]["w"])
    np.testing.assert_array_equal(back["params"][2]["body"][0]["w"], [[7.0, 7.0]])
    assert back["params"][1] == {}
    assert os.listdir(tmp_path) == ["w.safetensors"]


def test_an_array_that_is_a_view_is_saved_as_it_reads(tmp_path):
    w = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    save_weights(tmp_path / "w.safetensors", {"w": w.T})
    np.testing.assert_array_equal(load_weights(tmp_path / "w.safetensors", {"w": w.T})["w"], w.T)


def test_names_are_paths_that_other_tools_can_read(tmp_path):
    from safetensors.numpy import load_file

    save_weights(tmp_path / "w.safetensors", tree())
    names = {"params.0.w", "params.0.b", "params.2.body.0.w", "state.1.mean"}
    assert set(load_file(tmp_path / "w.safetensors")) == names


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    save_weights(path, tree())
    before = path.read_bytes()

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    changed = tree()
    changed["state"][1]["mean"] += 1
    with pytest.raises(OSError, match="No space"):
        save_weights(path, changed)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["w.safetensors"]


def test_weights_of_another_model_are_refused_by_name(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, tree())
    more, fewer, reshaped, retyped = tree(), tree(), tree(), tree()
    more["params"][1]["w"] = jnp.ones(2)
    del fewer["params"][0]["b"]
    reshaped["params"][0]["w"] = jnp.ones((3, 2))
    retyped["params"][0]["b"] = jnp.ones(3, jnp.float16)
    for like, message in (
        (more, r"params\.1\.w: missing"),
        (fewer, r"params\.0\.b: unexpected"),
        (reshaped, r"params\.0\.w: got float32\(2, 3\), expected float32\(3, 2\)"),
        (retyped, r"params\.0\.b: got float32\(3,\), expected float16"),
    ):
        with pytest.raises(ValueError, match=message):
            load_weights(path, like)


def test_what_is_no_safetensors_file_is_named(tmp_path):
    (tmp_path / "best.safetensors").write_bytes(b"xx")
    with pytest.raises(ValueError, match=r"best\.safetensors: got .*, expected a safetensors file"):
        load_weights(tmp_path / "best.safetensors", {})


@pytest.mark.parametrize(
    ("name", "content", "got"),
    [
        ("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5, as Keras writes it"),
        ("a.pkl", pickle.dumps({"w": 1}), "a pickle of Python"),
        ("a.pth", b"", "an empty file"),
        ("a.onnx", b"\x08\x07\x12\x07pytorch", "ONNX"),
        ("a.stablehlo", bytes(99), "StableHLO, which jax.export.deserialize reads"),
    ],
)
def test_files_of_weights_of_others_are_called_what_they_are(tmp_path, name, content, got):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: got {got}, expected a safetensors file$"):
        load_weights(tmp_path / name, {})


def test_weights_that_can_be_converted_say_by_what(tmp_path):
    save_file({"conv1.weight": np.zeros(3, np.float32)}, tmp_path / "a.safetensors")
    (tmp_path / "a.pth").write_bytes(b"PK\x03\x04" + bytes(99))
    for name, got in (("a.safetensors", "metadata: got none, .*"), ("a.pth", "got a ZIP archive, .*")):
        with pytest.raises(ValueError, match=rf"{got}; purecnn import-weights converts those of torchvision and timm$"):
            read_model_metadata(tmp_path / name)
