import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from purecnn.cli import main
from purecnn.results.torchvision import KERNELS
from purecnn.train.about import read_about
from tests.commands.running import purecnn


@pytest.fixture
def folder(tmp_path):
    """A file of AlexNet's weights for two classes; removed afterwards, as these are large."""
    rng = np.random.default_rng(0)
    arrays = {}
    for place, shape in (KERNELS | {"classifier.6": (2, 4096)}).items():
        arrays[f"{place}.weight"] = rng.random(shape, np.float32)
        arrays[f"{place}.bias"] = rng.random(shape[0], np.float32)
    save_file(arrays, tmp_path / "torchvision.safetensors")
    (tmp_path / "classes.txt").write_text("a cat\nno cat\n")
    yield tmp_path
    for path in tmp_path.iterdir():
        path.unlink()


def test_from_torchvision_and_back_to_the_same_bits(folder, monkeypatch, capsys):
    files = ("torchvision.safetensors", "--classes", "classes.txt", "--out", "mine.safetensors")
    done = purecnn("import-weights", *files, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "alexnet_one_tower, 2 classes: mine.safetensors\n"
    about = read_about(folder / "mine.safetensors")
    assert (about.model, about.classes) == ("alexnet_one_tower", ("a cat", "no cat"))
    assert about.pixel_mean == (0.485, 0.456, 0.406)

    monkeypatch.chdir(folder)
    back = ("mine.safetensors", "--format", "torchvision", "--out", "back.safetensors")
    done = purecnn("export", *back, cwd=folder)
    assert done.returncode == 0, done.stderr
    size = (folder / "back.safetensors").stat().st_size
    assert done.stdout == f"alexnet_one_tower, 2 classes, torchvision: back.safetensors, {size:,} bytes\n"
    arrays, back = load_file("torchvision.safetensors"), load_file("back.safetensors")
    assert back.keys() == arrays.keys()
    assert all(np.array_equal(back[name], arrays[name]) for name in arrays)

    capsys.readouterr()
    (folder / "classes.txt").write_text("a cat\n")
    assert main(["import-weights", *files, "--force"]) == 2
    assert capsys.readouterr().err == "purecnn: classes: got 1 names, expected 2, the outputs of the net\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no such format", "a.safetensors: "),
        (None, "a.safetensors"),
        ("of another net", "classifier.1.bias: got nothing, expected (4096,); not torchvision's AlexNet?"),
    ],
)
def test_what_is_not_alexnet_is_refused(tmp_path, capsys, content, words):
    path = tmp_path / "a.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        save_file({"conv1.weight": np.zeros(3, np.float32)}, path)
    assert main(["import-weights", str(path), "--out", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
