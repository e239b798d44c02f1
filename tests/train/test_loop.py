"""A run on images that stay in their files, from Python. Whole runs by the command: tests/commands/test_train.py."""

import shutil

import jax
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import purecnn
from purecnn import nn
from purecnn.data import files
from purecnn.train.fitting import fit
from purecnn.train.run_folder import read_metrics

pytestmark = pytest.mark.usefixtures("a_users_jax", "runs_compiled_quickly")
NET = purecnn.Chain("own", (nn.flatten(), nn.dense(3)))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("photographs") / "pets"
    rng = np.random.default_rng(0)
    for name in ("cat", "dog", "owl"):
        (root / name).mkdir(parents=True)
        for i in range(12):
            picture = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
            picture.resize((int(rng.integers(9, 20)), 12)).save(root / name / f"{i}.jpg")
    return root


def train(root, run_dir, **options):
    """Of 28 images to train on, four steps in each of two epochs, in dispatches of one length."""
    options = {"augmentation": "resized_crop+flip", "streaming": "always", "checkpoint_every": 1e9, **options}
    console = Console(quiet=True)
    options = {"image_size": 6, "batch_size": 7, "steps_per_dispatch": 2, "epochs": 2, **options}
    return fit(NET, str(root), run_dir=str(run_dir), console=console, classes=["a", "b", "c"], **options)


@pytest.fixture(scope="module")
def whole(runs_compiled_quickly, root, tmp_path_factory):
    """A run that nothing disturbs."""
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(files, "SAMPLE", 1)
        return train(root, tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def damaged(monkeypatch):
    """Damages an image until the test is over, or until `mend` is called; it is not what the set is known by."""
    monkeypatch.setattr(files, "SAMPLE", 1)
    kept = {}

    def damage(path):
        kept[path] = path.read_bytes()
        path.write_bytes(kept[path][:100])

    def mend():
        for path, content in kept.items():
            path.write_bytes(content)

    yield damage, mend
    mend()


def weights(run_dir):
    return (run_dir / "weights.safetensors").read_bytes()


def test_an_image_that_cannot_be_read_ends_the_run_in_words_and_nothing_is_lost(root, whole, tmp_path, damaged):
    damage, mend = damaged
    images = whole.data.train.images
    # By the order of the first epoch, in its second dispatch: two steps are done when it is asked for.
    order = np.random.default_rng([0, 0]).permutation(len(images))
    path = images.path(int(images.numbers[order[3 * 7]]))
    damage(path)
    for resume in (False, True):  # resumed before the file is mended, it says the same again
        with pytest.raises(ValueError, match=rf"{path.name}: .*step 2 is saved; .* --run-dir \S*/run --resume"):
            train(root, tmp_path / "run", resume=resume)
        assert not read_metrics(tmp_path / "run")
    mend()
    done = train(root, tmp_path / "run", resume=True, steps_per_dispatch=1)  # other dispatches, the same result
    assert done.steps == whole.steps == 8
    assert weights(tmp_path / "run") == weights(whole.folder)


def test_an_image_to_validate_that_cannot_be_read_says_what_is_saved(root, whole, tmp_path, damaged):
    damage, mend = damaged
    images = whole.data.val.images
    path = images.path(int(images.numbers[1]))
    damage(path)
    for resume in (False, True):
        with pytest.raises(ValueError, match=rf"{path.name}: .*step 4 is saved; put an image there and resume with"):
            train(root, tmp_path / "run", resume=resume)
    mend()
    lines = []
    train(root, tmp_path / "run", resume=True, on_epoch=lines.append)
    assert [line["epoch"] for line in lines] == [1, 2]
    assert weights(tmp_path / "run") == weights(whole.folder)


def test_a_last_epoch_that_could_not_be_validated_is_so_when_the_run_goes_on(root, whole, tmp_path, damaged):
    damage, mend = damaged
    images = whole.data.val.images

    def later(line):
        damage(images.path(int(images.numbers[1])))

    with pytest.raises(ValueError, match="step 8 is saved"):
        train(root, tmp_path / "run", on_epoch=later)
    mend()
    for _ in range(2):  # once it is over it stays as it is
        done = train(root, tmp_path / "run", resume=True)
        assert (done.test, done.steps) == (whole.test, 8)
        assert [line["val_loss"] for line in done.metrics] == [line["val_loss"] for line in whole.metrics]
    assert (tmp_path / "run" / "best.safetensors").read_bytes() == (whole.folder / "best.safetensors").read_bytes()


def test_weights_of_classes_mixing_and_accumulation_are_the_same_on_a_stream(root, tmp_path):
    root = shutil.copytree(root, tmp_path / "pets")
    for n in range(8):
        (root / "owl" / f"{n}.jpg").unlink()
    how = {"class_weights": "balanced", "mixup": 0.2, "accumulate": 2, "augmentation": "flip", "steps_per_dispatch": 1}
    for streaming in ("always", "never"):
        train(root, tmp_path / streaming, streaming=streaming, **how)
    train(root, tmp_path / "unweighted", **(how | {"class_weights": "none"}))
    assert weights(tmp_path / "always") == weights(tmp_path / "never") != weights(tmp_path / "unweighted")
