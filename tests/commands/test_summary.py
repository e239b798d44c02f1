from pathlib import Path
from typing import get_args

import pytest

from purecnn.cli import main
from purecnn.commands.summary import CUSTOMARY
from purecnn.train.config import Model
from tests.commands.running import purecnn
from tests.sampling import one_in

PARAMETERS = {
    "lenet": 107_786,
    "alexnet": 60_965_224,
    "alexnet_one_tower": 61_100_840,
    "cifar_cnn": 1_116_970,
    "resnet_cifar": 78_042,
    "mlp": 50_816,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "mobilenet_v2": 3_504_872,
    "convnext_tiny": 28_589_128,
}


def line_of_the_page(model):
    """What docs/nets.md says: the cells behind the name."""
    page = (Path(__file__).parents[2] / "docs" / "nets.md").read_text(encoding="utf-8")
    return next(line for line in page.splitlines() if line.startswith(f"| [`{model}`]")).split(" | ")[1:]


def test_every_model_has_a_size_it_was_drawn_for():
    assert set(get_args(Model)) == CUSTOMARY.keys() == PARAMETERS.keys()


@pytest.mark.parametrize("model", one_in(3, PARAMETERS))
def test_the_lectures_table_for_every_model(model, capsys):
    assert main(["summary", "--model", model]) == 0
    lines = capsys.readouterr().out.splitlines()
    end = next(i for i, line in enumerate(lines) if line.startswith("total "))  # a word on repeated layers may follow
    title, _, head, _, *rows, _, total = lines[: end + 1]
    assert title == f"{model}, one sample: {PARAMETERS[model]:,} parameters"
    assert head.split()[:4] == ["layer", "units", "weights", "biases"]
    assert rows[0].split() == ["input", "×".join(map(str, CUSTOMARY[model][0]))]
    assert rows[-1].split()[1] == str(CUSTOMARY[model][1])  # units of the last layer: the classes
    weights, biases = (int(cell.replace(",", "")) for cell in total.split()[1:3])
    assert weights + biases == PARAMETERS[model]
    parameters, flops, kept = line_of_the_page(model)[1:4]
    assert (parameters, flops, kept) == (f"{PARAMETERS[model]:,}", *total.split()[3:])


def test_summary_prints_the_lectures_columns(tmp_path):
    done = purecnn("summary", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [word for word in lines[2].split("  ") if word] == [
        "layer", "units", "weights", "biases", "FLOPs", "residual bytes",
    ] or lines[2].split() == ["layer", "units", "weights", "biases", "FLOPs", "residual", "bytes"]  # fmt: skip
    first = next(line for line in lines if line.startswith("conv2d"))
    assert first.split()[1:4] == ["28×28×6", "5×5×1×6", "1×6"]


def test_ones_own_net_by_the_function_that_makes_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "summary_nets.py").write_text(
        "import purecnn\nfrom purecnn import nn\n\n"
        "def flat(classes):\n    return purecnn.Chain('flat', (nn.flatten(), nn.dense(classes)))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["summary", "--model", "summary_nets:flat", "--num-classes", "3"]) == 0
    assert capsys.readouterr().out.startswith("flat, one sample: 9,219 parameters\n")
    assert main(["summary", "--model", "lenett"]) == 2
    assert "model: got 'lenett', no such model; expected one of lenet, " in capsys.readouterr().err


def test_the_net_of_a_run(finished, capsys):
    assert main(["summary", str(finished)]) == 0
    assert capsys.readouterr().out.startswith("lenet, one sample: 21,386 parameters\n")
    for words, said in (
        (("lenet",), "run: got lenet, expected the folder of a run; did you mean --model lenet?"),
        (("nowhere",), "nowhere"),
        (("--input-shape", "3", "64", "64"), "input_shape: got (3, 64, 64), channels first, expected 64 64 3"),
        ((str(finished), "--num-classes", "3"), "num_classes: got 3, expected none beside a run"),
    ):
        assert main(["summary", *words]) == 2
        assert said in capsys.readouterr().err
