"""A run on images that stay in their files, from Python. Whole runs by the command: tests/commands/test_train.py."""

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import purecnn
from purecnn import nn
from purecnn.data import files
from purecnn.train.fitting import fit
from purecnn.train.run_folder import read_metrics

pytestmark = pytest.mark.usefixtures("a_users_jax")
RNG = np.random.default_rng(0)
NET = purecnn.Chain("own", (nn.flatten(), nn.dense(3)))


@pytest.fixture
def root(tmp_path):
    for name in ("cat", "dog", "owl"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(12):
            picture = Image.fromarray(RNG.integers(0, 256, (4, 4, 3), np.uint8))
            picture.resize((int(RNG.integers(9, 20)), 12)).save(tmp_path / "pets" / name / f"{i}.jpg")
    return tmp_path / "pets"


def train(root, run_dir, **options):
    """Of 28 images to train on, seven steps in each of two epochs."""
    options = {"augmentation": "resized_crop+flip", "streaming": "always", "checkpoint_every": 1e9, **options}
    console = Console(quiet=True)
    options = {"image_size": 6, "batch_size": 4, "steps_per_dispatch": 2, "epochs": 2, **options}
    return fit(NET, str(root), run_dir=str(run_dir), console=console, classes=["a", "b", "c"], **options)


def weights(run_dir):
    return (run_dir / "weights.safetensors").read_bytes()


def test_an_image_that_cannot_be_read_ends_the_run_in_words_and_nothing_is_lost(root, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SAMPLE", 1)  # so that the image that is replaced is not what the set is known by
    whole = train(root, tmp_path / "whole")
    images = whole.data.train.images
    # By the order of the first epoch, in its third dispatch: four steps are done when it is asked for.
    order = np.random.default_rng([0, 0]).permutation(len(images))
    path = images.path(int(images.numbers[order[5 * 4]]))
    content = path.read_bytes()
    path.write_bytes(content[:100])
    with pytest.raises(ValueError, match=rf"{path.name}: .*step 4 is saved; .* --run-dir \S*/run --resume"):
        train(root, tmp_path / "run")
    assert not read_metrics(tmp_path / "run")
    path.write_bytes(content)
    done = train(root, tmp_path / "run", resume=True, steps_per_dispatch=3)  # other dispatches, the same result
    assert done.steps == whole.steps == 14
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_weights_of_classes_mixing_and_accumulation_are_the_same_on_a_stream(root, tmp_path):
    for n in range(8):
        (root / "owl" / f"{n}.jpg").unlink()
    how = {"class_weights": "balanced", "mixup": 0.2, "accumulate": 2, "augmentation": "flip"}
    for streaming in ("always", "never"):
        train(root, tmp_path / streaming, streaming=streaming, **how)
    train(root, tmp_path / "unweighted", **(how | {"class_weights": "none"}))
    assert weights(tmp_path / "always") == weights(tmp_path / "never") != weights(tmp_path / "unweighted")


def test_a_run_that_is_resumed_before_the_file_is_mended_says_the_same_again(root, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SAMPLE", 1)
    images = train(root, tmp_path / "whole", epochs=1).data.train.images
    path = images.path(int(images.numbers[np.random.default_rng([0, 0]).permutation(len(images))[5 * 4]]))
    path.write_bytes(path.read_bytes()[:100])
    for resume in (False, True):
        with pytest.raises(ValueError, match=rf"{path.name}: .*step 4 is saved"):
            train(root, tmp_path / "run", epochs=1, resume=resume)


def test_an_image_to_validate_that_cannot_be_read_says_what_is_saved(root, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SAMPLE", 1)
    images = train(root, tmp_path / "whole", epochs=1).data.val.images
    path = images.path(int(images.numbers[1]))
    content = path.read_bytes()
    path.write_bytes(content[:100])
    with pytest.raises(ValueError, match=rf"{path.name}: .*nothing is saved yet; put an image there and resume with"):
        train(root, tmp_path / "run", epochs=1)
    path.write_bytes(content)
    train(root, tmp_path / "run", epochs=1, resume=True)
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
