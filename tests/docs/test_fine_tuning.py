"""The page about fine-tuning: its commands, run one after the other, print what it shows, digits aside."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from tests.commands.running import purecnn
from tests.docs.pages import DOCS, ROOT, blocks

RNG = np.random.default_rng(0)
COLOURS = {"cat": (200, 60, 60), "dog": (60, 200, 60), "owl": (60, 60, 200)}
SHAPES = json.loads((ROOT / "experiments/against_torchvision/results/shapes.json").read_text(encoding="utf-8"))
MACHINE = ("hardware: ", "compiled in ")


def transcripts():
    """(arguments of the command, the lines that it prints), for each block that has a command and what it prints."""
    for block in blocks(DOCS / "fine_tuning.md"):
        command, *printed = block.text.replace("\\\n", " ").splitlines()
        yield command.removeprefix("$ purecnn ").split(), without_numbers(printed)


def without_numbers(lines):
    lines = [re.sub(r"[\d,.]*\d", "#", line.rstrip()) for line in lines]
    return [line for line in lines if not line.startswith(MACHINE)]


def weight(name, shape):
    """Kernels that keep the scale of their input; normalisations do nothing, the last of a block makes it small."""
    if len(shape) > 1:
        return RNG.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
    return np.full(shape, 0.2 if "bn2.weight" in name else name.endswith(("weight", "running_var")))


def make(folder: Path):
    """ResNet-18's weights as torchvision names them, and a folder of images."""
    arrays = {name: weight(name, shape).astype(np.float32) for name, shape in SHAPES["torchvision"]["resnet18"].items()}
    save_file(arrays, folder / "torchvision.safetensors")
    for name, colour in COLOURS.items():
        (folder / "pets" / name).mkdir(parents=True)
        for i in range(20):
            pixels = RNG.normal(colour, 40, (40, 48, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "pets" / name / f"{i:02}.png")


@pytest.mark.slow
def test_the_commands_print_what_the_page_shows(tmp_path):
    make(tmp_path)
    shown = list(transcripts())
    assert [arguments[0] for arguments, _ in shown] == ["import-weights", "train", "eval", "predict"]
    for arguments, printed in shown:
        done = purecnn(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert without_numbers(done.stdout.splitlines()) == printed
