import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from purecnn.cli import main
from purecnn.data.digits import read_digits
from purecnn.results.trained import load_trained, make_classifier
from purecnn.train.metadata import read_model_metadata
from tests.commands.running import here, purecnn

WITHOUT_PURECNN = """
import sys
sys.modules["purecnn"] = None  # whatever of it is installed: importing it now fails
import jax, numpy
classify = jax.export.deserialize(open("net.stablehlo", "rb").read())
assert classify.platforms == ("cpu", "cuda", "tpu")
images = numpy.load("images.npy")
numpy.savez("found.npz", all=classify.call(images), one=classify.call(images[:1]))
try:
    import here, purecnn
except ImportError:
    print("purecnn cannot be imported")
"""


def test_weights_come_out_as_they_are_with_what_they_are_of(finished, tmp_path):
    done = here("export", finished, "--out", "w.safetensors", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    size = (finished / "weights.safetensors").stat().st_size
    assert done.stdout == f"lenet, 10 classes, safetensors: w.safetensors, {size:,} bytes\n"
    assert (tmp_path / "w.safetensors").read_bytes() == (finished / "weights.safetensors").read_bytes()
    metadata = read_model_metadata(tmp_path / "w.safetensors")
    assert (metadata.model, metadata.data, metadata.classes, metadata.input_shape) == (
        "lenet",
        "digits",
        (*"0123456789",),
        (8, 8, 1),
    )
    header = json.loads((tmp_path / "w.safetensors").read_bytes()[8:].split(b'"params')[0].rstrip(b",") + b"}")
    assert json.loads(header["__metadata__"]["purecnn"])["version"]


def test_the_exported_function_runs_where_purecnn_cannot_be_imported(finished, tmp_path):
    done = purecnn("export", finished, "--out", "net.stablehlo", "--format", "stablehlo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    images = read_digits().test.images[:5]
    np.save(tmp_path / "images.npy", images)
    command = [sys.executable, "-c", WITHOUT_PURECNN]
    elsewhere = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert elsewhere.stdout == "purecnn cannot be imported\n", elsewhere.stderr
    _, expected = make_classifier(load_trained(finished))(images)
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_allclose(found["all"], expected, rtol=1e-5)
    np.testing.assert_allclose(found["one"], expected[:1], rtol=1e-5)


def test_nothing_is_overwritten_unless_forced_and_nothing_half_written_stays(finished, tmp_path, capsys):
    out = tmp_path / "out"
    out.write_text("mine")
    assert main(["export", str(finished), "--out", str(out)]) == 2
    assert "exists already and is left as it is" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main(["export", str(finished), "--out", str(out), "--format", "torchvision", "--force"]) == 2
    expected = "purecnn: format: got torchvision for lenet, expected one of its nets: alexnet_one_tower, resnet18, "
    assert capsys.readouterr().err.startswith(expected)
    assert out.read_text() == "mine"
    assert main(["export", str(finished), "--out", str(out), "--force"]) == 0
    assert load_trained(out).net.name == "lenet"
    assert main(["export", str(finished), "--out", str(tmp_path / "no" / "folder")]) == 2
    assert list(tmp_path.iterdir()) == [out]
    capsys.readouterr()
    assert main(["export", str(finished), "--out", str(tmp_path), "--force"]) == 2
    assert capsys.readouterr().err == f"purecnn: out: {tmp_path} is a folder; name a file in it\n"


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("net.onnx", (), "expected a name that ends in .safetensors: the format is safe"),
        ("net.PT", (), "expected a name that ends in .safetensors: the format is safe"),
        (
            "net.pth",
            ("--format", "torchvision"),
            "expected a name that ends in .safetensors: the format is torchvision",
        ),
        (
            "net.safetensors",
            ("--format", "stablehlo"),
            "expected a name that ends in .stablehlo: the format is stablehlo",
        ),
        ("net.stablehlo", ("--format", "safetensors"), "expected a name that ends in .safetensors: the format is safe"),
    ],
)
def test_a_file_is_not_called_what_it_is_not(finished, tmp_path, capsys, name, more, expected):
    assert main(["export", str(finished), "--out", str(tmp_path / name), *more]) == 2
    assert f"out: got {tmp_path / name}, {expected}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_other_frameworks_take_is_named_and_the_help_lists_formats_alone(finished, tmp_path, capsys):
    assert main(["export", str(finished), "--out", str(tmp_path / "net.onnx")]) == 2
    hint = "; --format torchvision is for PyTorch, --format stablehlo for programs without purecnn\n"
    assert capsys.readouterr().err.endswith(f"the format is safetensors{hint}")
    assert main(["export", "--help"]) == 0
    assert "None" not in capsys.readouterr().out


def test_the_suffix_says_which_format_is_meant(finished, tmp_path, capsys):
    assert main(["export", str(finished), "--out", str(tmp_path / "net.stablehlo")]) == 0
    assert ", stablehlo: " in capsys.readouterr().out
    assert jax.export.deserialize(bytearray((tmp_path / "net.stablehlo").read_bytes())).platforms[0] == "cpu"
