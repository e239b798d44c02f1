import json
import os
import shutil

import matplotlib.image
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from purecnn.cli import main
from purecnn.train.metadata import read_model_metadata
from purecnn.train.run_folder import read_metrics, read_test
from tests.commands.running import QUICK, here, purecnn
from tests.data.making import write_folder


def test_eval_agrees_with_the_test_at_the_end_of_the_run_and_draws_the_worst(run_copy):
    test = read_test(run_copy)
    done = purecnn("eval", "run", cwd=run_copy.parent, module="purecnn.cli")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    first, *rest = done.stdout.splitlines()
    assert first.startswith(f"360 test images: top-1 {test['test_accuracy']:.2%}, top-5 9")
    head = next(line for line in rest if "precision" in line)
    assert head.split()[:4] == ["class", "images", "precision", "recall"]
    assert head.count("→") == 10
    assert [line.split()[0] for line in rest if line.count("%") == 2] == list("0123456789")
    assert "the worst images are in run/worst.png" in done.stdout
    assert matplotlib.image.imread(run_copy / "worst.png").std() > 0


def test_json_is_one_object_and_nothing_else(run_copy):
    done = here("eval", run_copy, "--json", "--split", "train", cwd=run_copy.parent)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["split"], found["images"]) == ("train", 1295)
    diagonal = sum(row[i] for i, row in enumerate(found["confusion"]))
    assert diagonal / 1295 == found["accuracy"] == found["top1"] <= found["top5"] <= 1
    assert sum(map(sum, found["confusion"])) == 1295
    assert found["worst_png"] == str(run_copy / "worst-train.png")
    assert os.path.exists(found["worst_png"])


def test_what_is_no_run_is_said_in_one_line(run_copy, capsys):
    assert main(["eval", "nowhere"]) == 2
    assert capsys.readouterr() == ("", "purecnn: nowhere: got no config.yaml, expected the folder of a run\n")
    (run_copy / "best.safetensors").write_bytes(b"cut")
    assert main(["eval", str(run_copy)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "best.safetensors: got " in err
    assert err.count("\n") == 1


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """A folder with a run on the images beside it, of which 42 train, 6 validate and 12 test. Not to be changed."""
    folder = tmp_path_factory.mktemp("pets")
    write_folder(folder / "pets", each=20)
    options = (*QUICK, "--data", "folder", "--data-dir", "pets", "--epochs", 1, "--batch-size", 8, "--run-dir", "run")
    done = here("train", *options, cwd=folder, quick=True)
    assert done.returncode == 0, done.stderr
    return folder


def judged(capsys, *arguments):
    assert main(["eval", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_best_weights_are_evaluated_unless_others_are_named(run_copy, capsys, monkeypatch):
    monkeypatch.chdir("/")
    worse = run_copy / "weights.safetensors"
    shutil.copy(run_copy / "best.safetensors", run_copy / "kept.safetensors")
    last = load_file(worse)
    metadata = read_model_metadata(worse).header()
    save_file({name: np.zeros_like(array) for name, array in last.items()}, worse, metadata)
    best = max(line["val_accuracy"] for line in read_metrics(run_copy))
    assert judged(capsys, run_copy, "--split", "val")["accuracy"] == best
    assert judged(capsys, run_copy, "--split", "val", "--last")["accuracy"] < 0.2
    assert judged(capsys, worse, "--split", "val")["accuracy"] < 0.2
    found = judged(capsys, run_copy / "kept.safetensors", "--split", "val")
    assert (found["split"], found["images"], found["accuracy"]) == ("val", 142, best)
    assert found["worst_png"] == str(run_copy / "worst-val.png")


@pytest.mark.slow
def test_other_images_of_the_same_classes_and_data_that_were_moved(pets, tmp_path, capsys, monkeypatch):
    shutil.copytree(pets / "run", tmp_path / "run")
    write_folder(tmp_path / "others", each=10)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    capsys.readouterr()
    found = [judged(capsys, "../run", "--split", split)["images"] for split in ("train", "val", "test")]
    assert found == [42, 6, 12]
    assert judged(capsys, "../run", "--data-dir", "../others")["images"] == 6
    assert main(["eval", "../run", "--data-dir", "../others"]) == 0
    held, first, *_ = capsys.readouterr().out.splitlines()
    assert held.startswith("held out of every class, by file name: ")
    assert held.endswith("; --split all looks at all")
    assert first.startswith("6 test images: top-1 ")
    assert main(["eval", "../run", "--data-dir", "../others", "--split", "all"]) == 0
    assert capsys.readouterr().out.startswith("30 images: top-1 ")
    write_folder(tmp_path / "some", classes=("owl", "cat"), each=10)
    found = judged(capsys, "../run", "--data-dir", "../some", "--split", "all")
    assert {row["class"]: row["images"] for row in found["classes"]} == {"cat": 10, "dog": 0, "owl": 10}
    write_folder(tmp_path / "birds", classes=("owl", "crow"), each=10)
    assert main(["eval", "../run", "--data-dir", "../birds"]) == 2
    assert "birds: class crow is not among those of the training images: " in capsys.readouterr().err
    shutil.copytree(pets / "pets", tmp_path / "cats")
    try:
        (pets / "pets").rename(pets / "moved")
        assert main(["eval", "../run"]) == 2
        assert "pets: there is no such folder" in capsys.readouterr().err
    finally:
        (pets / "moved").rename(pets / "pets")
    assert judged(capsys, "../run", "--data-dir", "../cats")["images"] == 12
    more = ("--run-dir", "../run", "--resume", "--data-dir", "../cats", "--epochs", 2)
    done = here("train", *more, cwd=tmp_path / "elsewhere", quick=True)
    assert done.returncode == 0, done.stderr
    assert "resuming after step 6 of 12" in done.stdout
    assert "epoch 2/2" in done.stdout


def test_a_folder_that_cannot_be_written_to_is_judged(run_copy, capsys):
    (run_copy / "worst.png").unlink()
    (run_copy / "worst.png").mkdir()  # permissions do not stop root
    assert main(["eval", str(run_copy), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["worst_png"] is None
    assert err.startswith("purecnn: warning: the worst images are not drawn: ")


def test_of_a_run_without_an_epoch_it_is_said_what_is_judged(run_copy):
    """As one is that diverged at once: its weights are those it began with."""
    (run_copy / "metrics.jsonl").unlink()
    (run_copy / "best.safetensors").unlink()
    done = here("eval", "run", "--json", cwd=run_copy.parent)
    assert done.returncode == 0
    said = "run: no epoch of this run is over: these are the weights that it began with"
    assert done.stderr == f"purecnn: warning: {said}\n"


def test_weights_far_from_their_run_are_evaluated_on_named_images(run_copy, tmp_path, capsys):
    shutil.move(run_copy / "best.safetensors", tmp_path / "lenet.safetensors")
    found = judged(capsys, tmp_path / "lenet.safetensors", "--data", "digits")
    assert found["accuracy"] == read_test(run_copy)["test_accuracy"]
    assert main(["eval", str(tmp_path / "lenet.safetensors")]) == 2
    assert "lenet.safetensors: got a file outside of a run's folder, expected --data and" in capsys.readouterr().err


def test_other_images_need_no_split_to_train_on_nor_two_of_every_class_nor_the_same_channels(
    pets, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "tests" / "test", classes=("owl", "cat"), each=3)
    write_folder(tmp_path / "both" / "test", each=1)
    write_folder(tmp_path / "both" / "val", classes=("dog",), each=2)
    write_folder(tmp_path / "one", classes=("dog",), each=1)
    write_folder(tmp_path / "grey", each=1)
    for path in (tmp_path / "grey").glob("*/*"):
        Image.open(path).convert("L").save(path)
    for place, split, counts in (
        ("tests", "test", [3, 0, 3]),
        ("both", "test", [1, 1, 1]),
        ("both", "val", [0, 2, 0]),
        ("both", "all", [1, 3, 1]),
        ("one", "all", [0, 1, 0]),
        ("grey", "all", [1, 1, 1]),
    ):
        found = judged(capsys, pets / "run", "--data-dir", place, "--split", split)
        assert [row["images"] for row in found["classes"]] == counts, place
    (tmp_path / "l.csv").write_text("".join(f"{name}\n" for name in ("file,class", "owl/0.png,owl", "cat/0.png,cat")))
    found = judged(capsys, pets / "run", "--data-dir", "grey", "--labels", "l.csv", "--split", "all")
    assert [row["images"] for row in found["classes"]] == [1, 0, 1]
    (tmp_path / "l.csv").write_text("file,class,split\nowl/0.png,owl,test\n")
    assert judged(capsys, pets / "run", "--data-dir", "grey", "--labels", "l.csv")["images"] == 1
    (tmp_path / "l.csv").write_text("file,class\nowl/0.png,bat\n")
    assert main(["eval", str(pets / "run"), "--data-dir", "grey", "--labels", "l.csv"]) == 2
    assert "l.csv: class bat is not among those of the training images: " in capsys.readouterr().err
    assert main(["eval", str(pets / "run"), "--data-dir", "tests", "--split", "val"]) == 2
    assert (
        "split: got 'val', expected one of test, which tests has; --split all looks at all" in capsys.readouterr().err
    )


def test_other_images_of_another_kind_are_read_by_no_option_of_the_runs_own(pets, run_copy, tmp_path, capsys):
    """A run on a folder at a size of its own is asked about arrays; one on digits about a folder, of other sizes."""
    shape = read_model_metadata(pets / "run" / "best.safetensors").input_shape
    shutil.copytree(pets / "run", tmp_path / "pets-run")
    config = (pets / "run" / "config.yaml").read_text()
    assert "image_size: null" in config
    (tmp_path / "pets-run" / "config.yaml").write_text(config.replace("image_size: null", f"image_size: {shape[0]}"))
    images, names = np.random.default_rng(0).integers(0, 256, (12, *shape), np.uint8), np.array(("owl", "cat", "dog"))
    np.savez(tmp_path / "arrays.npz", images=images, labels=np.arange(12) % 3, classes=names)
    others = ("--data", "npz", "--data-dir", tmp_path / "arrays.npz", "--split", "all")
    found = judged(capsys, tmp_path / "pets-run", *others)
    assert [row["images"] for row in found["classes"]] == [4, 4, 4]

    write_folder(tmp_path / "photographs", classes=(*"0123456789",), each=2)
    others = ("--data", "folder", "--data-dir", tmp_path / "photographs", "--split", "all")
    found = judged(capsys, run_copy, *others)
    assert found["images"] == 20
    far = shutil.copy(run_copy / "best.safetensors", tmp_path / "far.safetensors")
    assert found["worst"] == judged(capsys, far, *others)["worst"]
