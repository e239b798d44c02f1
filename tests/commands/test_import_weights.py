import argparse
import builtins
import json
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from purecnn.cli import main
from purecnn.results import exporting
from purecnn.results.exporting import import_torchvision
from purecnn.train.metadata import read_model_metadata
from tests.commands.running import here, purecnn

SHAPES = json.loads(
    (Path(__file__).parents[2] / "experiments/against_torchvision/results/shapes.json").read_text(encoding="utf-8")
)["torchvision"]


def drawn(model, classes):
    """Its arrays at random, the last layer's for so many classes."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.random(shape, np.float32) for name, shape in SHAPES[model].items()}
    for name in list(SHAPES[model])[-2:]:
        arrays[name] = arrays[name][:classes]
    counters = {name: np.zeros((), np.int64) for name in arrays if name.endswith("num_batches_tracked")}
    return arrays | counters


@pytest.fixture
def folder(tmp_path):
    """A file of ResNet-18's weights for two classes; removed afterwards, as these are large."""
    save_file(drawn("resnet18", 2), tmp_path / "torchvision.safetensors")
    (tmp_path / "classes.txt").write_text("a cat\nno cat\n")
    yield tmp_path
    for path in tmp_path.iterdir():
        path.unlink()


def test_from_torchvision_and_back_to_the_same_bits(folder, monkeypatch, capsys):
    files = ("--model", "resnet18", "torchvision.safetensors", "--classes", "classes.txt", "--out", "mine.safetensors")
    done = purecnn("import-weights", *files, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "resnet18, 2 classes: mine.safetensors\n"
    metadata = read_model_metadata(folder / "mine.safetensors")
    assert (metadata.model, metadata.classes, metadata.input_shape) == ("resnet18", ("a cat", "no cat"), (224, 224, 3))
    assert (metadata.pixel_mean, metadata.pixel_std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    monkeypatch.chdir(folder)
    back = ("mine.safetensors", "--format", "torchvision", "--out", "back.safetensors")
    done = here("export", *back, cwd=folder)
    assert done.returncode == 0, done.stderr
    size = (folder / "back.safetensors").stat().st_size
    assert done.stdout == f"resnet18, 2 classes, torchvision: back.safetensors, {size:,} bytes\n"
    arrays, back = load_file("torchvision.safetensors"), load_file("back.safetensors")
    assert back.keys() == arrays.keys()
    assert all(np.array_equal(back[name], arrays[name]) for name in arrays)

    capsys.readouterr()
    (folder / "classes.txt").write_text("a cat\n")
    assert main(["import-weights", *files, "--force"]) == 2
    assert capsys.readouterr().err == "purecnn: classes: got 1 names, expected 2, the outputs of the net\n"
    for names, words in ((b"a\n\xe9\n", "is not UTF-8: "), (b"a\na\n", "got 'a' twice, expected a name for each")):
        (folder / "classes.txt").write_bytes(names)
        assert main(["import-weights", *files, "--force"]) == 2
        assert capsys.readouterr().err.startswith(f"purecnn: classes: classes.txt: {words}")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no such format", "a.safetensors: got other bytes, or a part of one (header too large), expected a"),
        (b"version https://git-lfs.github.com/spec/v1\n", "got a Git LFS pointer, expected a safetensors file"),
        (b"<!DOCTYPE html><html>", "a.safetensors: got a web page, expected a safetensors file"),
        (None, "a.safetensors"),
        ("of another net", "bn1.bias: got nothing, expected (64,); weights of another model than resnet18?"),
    ],
)
def test_what_is_not_the_model_is_refused(tmp_path, capsys, content, words):
    path = tmp_path / "a.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        save_file({"conv1.weight": np.zeros(3, np.float32)}, path)
    assert main(["import-weights", str(path), "--model", "resnet18", "--out", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_weights_that_are_not_finite_are_written_to_no_file(tmp_path, capsys, monkeypatch):
    save_file({"conv1.weight": np.zeros(3, np.float32)}, tmp_path / "a.safetensors")
    monkeypatch.setattr(exporting, "from_torchvision", lambda *given: (None, [{"w": np.full(3, np.nan)}], []))
    files = (str(tmp_path / "a.safetensors"), "--model", "resnet18", "--out", str(tmp_path / "out"))
    assert main(["import-weights", *files]) == 2
    assert capsys.readouterr().err.endswith("a.safetensors: params.0.w: got values that are not finite\n")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def without_torch(monkeypatch):
    """As where it is not installed, for the reader alone: other packages may import it as they like."""
    found = builtins.__import__

    def refused(name, globals=None, *more):
        if name == "torch" and (globals or {}).get("__name__") == "purecnn.results.exporting":
            raise ImportError(name)
        return found(name, globals, *more)

    monkeypatch.setattr(builtins, "__import__", refused)


@pytest.mark.parametrize(("content", "got"), [(b"", "an empty file"), (b"<!DOCTYPE html><html>", "a web page")])
def test_a_download_that_failed_is_no_question_of_pytorch(tmp_path, capsys, without_torch, content, got):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    assert main(["import-weights", str(path), "--model", "resnet18", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"purecnn: {path}: got {got}, expected what torch.save writes\n"


@pytest.mark.parametrize("ending", [".pth", ".pt", ".bin"])
def test_what_takes_pytorch_says_how_to_do_without(tmp_path, capsys, without_torch, ending):
    path = tmp_path / f"a{ending}"
    path.write_bytes(b"whatever")
    assert main(["import-weights", str(path), "--model", "resnet18", "--out", str(tmp_path / "out")]) == 2
    convert = "safetensors.torch.save_file(torch.load(FILE, weights_only=True), OUT)"
    expected = f"reading {ending} takes PyTorch; where it is installed, convert it: {convert}"
    assert capsys.readouterr().err == f"purecnn: {path}: {expected}\n"


def test_a_state_dict_saved_by_pytorch_is_read(tmp_path):
    """In an environment that has it, which the tests' own has not."""
    torch = pytest.importorskip("torch", reason="the lock has no PyTorch")
    arrays = drawn("resnet18", 2)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    tensors |= {"fc.bias": torch.nn.Parameter(tensors["fc.bias"])}
    torch.save(tensors, tmp_path / "a.pth")
    trained = import_torchvision("resnet18", tmp_path / "a.pth")
    np.testing.assert_array_equal(trained.params[-1]["b"], arrays["fc.bias"])
    np.testing.assert_array_equal(trained.state[1]["variance"], arrays["bn1.running_var"])


@pytest.mark.filterwarnings("ignore:arrays. the moving average of the weights is taken")
@pytest.mark.parametrize(
    "around", [("state_dict",), ("model",), ("model_state_dict",), ("state_dict_ema", "state_dict")]
)
def test_the_weights_are_found_in_a_checkpoint_of_pytorch(tmp_path, around):
    torch = pytest.importorskip("torch", reason="the lock has no PyTorch")
    arrays = {name: torch.from_numpy(array) for name, array in drawn("resnet18", 2).items()}
    others = {name: {"fc.bias": torch.zeros(2)} for name in around[1:]}
    torch.save({"epoch": 3, "optimizer": {"state": {}}, **others, around[0]: arrays}, tmp_path / "a.pth")
    trained = import_torchvision("resnet18", tmp_path / "a.pth")
    np.testing.assert_array_equal(trained.params[-1]["b"], arrays["fc.bias"].numpy())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model._orig_mod."])
def test_what_wrappers_put_before_every_name_is_left_out(folder, prefix):
    path = folder / "wrapped.safetensors"
    arrays = load_file(folder / "torchvision.safetensors")
    save_file({prefix + name: each for name, each in arrays.items()}, path)
    found, expected = (import_torchvision("resnet18", each) for each in (path, folder / "torchvision.safetensors"))
    jax.tree.map(np.testing.assert_array_equal, found.params, expected.params)
    save_file({(name if "fc" in name else prefix + name): each for name, each in arrays.items()}, path)
    jax.tree.map(np.testing.assert_array_equal, import_torchvision("resnet18", path).params, expected.params)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_what_is_no_file_is_said_so(tmp_path, capsys, ending):
    (tmp_path / "folder.safetensors").mkdir()
    for name, what in (
        (f"none.{ending}", "there is no such file"),
        ("folder.safetensors", "is a folder, expected a file"),
    ):
        path = tmp_path / name
        assert main(["import-weights", str(path), "--model", "resnet18", "--out", str(tmp_path / "out")]) == 2
        assert capsys.readouterr().err == f"purecnn: {path}: {what}\n"


@pytest.mark.parametrize("ending", [".pth", ".ckpt", ".pth.tar"])
def test_checkpoints_that_hold_more_than_arrays_say_what_to_do(tmp_path, ending):
    torch = pytest.importorskip("torch", reason="the lock has no PyTorch")
    path = tmp_path / f"a{ending}"
    torch.save({"model": {}, "args": argparse.Namespace(lr=1)}, path)
    with pytest.raises(
        ValueError, match=r"got a pickled argparse\.Namespace, .* of a file that you trust, has its state"
    ):
        import_torchvision("resnet18", path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ValueError, match="it is cut off, or damaged"):
        import_torchvision("resnet18", path)
    with zipfile.ZipFile(path, "w") as script:
        script.writestr("a/code/__torch__.py", "")
    with pytest.raises(ValueError, match="got TorchScript, expected a state_dict"):
        import_torchvision("resnet18", path)


def test_a_checkpoint_of_lightning_takes_pytorch_whatever_it_is_called(tmp_path, capsys, without_torch):
    for name in ("a.ckpt", "a.pth.tar"):
        (tmp_path / name).write_bytes(b"PK\x03\x04" + 99 * b"x")
        files = (str(tmp_path / name), "--model", "resnet18", "--out", str(tmp_path / "out"))
        assert main(["import-weights", *files]) == 2
        assert " takes PyTorch; where it is installed, convert it" in capsys.readouterr().err
