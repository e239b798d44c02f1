"""An error in a user's own net: one line, with the line of the user's code that raised."""

import re
import sys

import pytest

from purecnn.cli import main
from purecnn.train.config import Config
from purecnn.train.nets import call_own, make_net
from purecnn.train.own_code import of_library, place_in_own_code

NETS = """
import purecnn
from purecnn import nn

def no_argument():
    pass

def raises(classes):
    return {}[
        "two\\nlines"]

def ends(classes):
    raise SystemExit(3)

def number(classes):
    return classes

def layer(classes):
    def apply(params, state, x, train, key):
        return params["missing"]
    return purecnn.Chain("own", (purecnn.chain.Layer("own", apply), nn.flatten(), nn.dense(classes)))

three = 3
"""
EXPECTED = "expected a function from the number of classes to a purecnn.Chain"
WRONG = {
    "own_nets:none": "got 'own_nets:none': module 'own_nets' has no attribute 'none' (own_nets.py)",
    "own_nets:no_argument": "own_nets:no_argument, called with the number of classes: "
    f"too many positional arguments (own_nets.py:5); {EXPECTED}",
    "own_nets:raises": "own_nets:raises raised KeyError: 'two\\nlines' (own_nets.py:9)",
    "own_nets:ends": "own_nets:ends raised SystemExit: 3 (own_nets.py:13)",
    "own_nets:number": "own_nets:number gave int, expected a purecnn.Chain",
    "own_nets:three": f"own_nets:three is int, {EXPECTED}",
    "own_syntax:net": "got 'own_syntax:net', whose module cannot be imported: "
    "SyntaxError: invalid syntax (own_syntax.py, line 2) (own_syntax.py:2)",
    "own_zero:net": "got 'own_zero:net', whose module cannot be imported: "
    "ZeroDivisionError: division by zero (own_zero.py:1)",
    "own_import:net": "got 'own_import:net': ModuleNotFoundError: No module named 'is_not_there' (own_import.py:2)",
    "is_not_there.py:net": "got 'is_not_there.py:net': No module named 'is_not_there'; "
    "it is looked for in the working directory and in PYTHONPATH; without .py: is_not_there:net",
}


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in [name for name in sys.modules if name.startswith("own_")]:
        monkeypatch.delitem(sys.modules, module)
    (tmp_path / "own_nets.py").write_text(NETS)
    (tmp_path / "own_syntax.py").write_text("\ndef net(:\n")
    (tmp_path / "own_zero.py").write_text("1 / 0\n")
    (tmp_path / "own_import.py").write_text("\nimport is_not_there\n")


@pytest.mark.parametrize("model", WRONG)
def test_what_fails_in_a_users_own_code_is_one_line_that_names_theirs(own, model):
    with pytest.raises(ValueError, match=r"^model: ") as caught:
        make_net(model, 10)
    assert str(caught.value) == f"model: {WRONG[model]}"


@pytest.mark.usefixtures("own")
def test_an_error_in_a_layer_of_their_own_is_one_line_and_one_in_ours_has_no_place(capsys):
    code = main(["train", "--model", "own_nets:layer", "--epochs", "1", "--run-dir", "run", "--no-cache"])
    said = capsys.readouterr().err
    assert code == 2
    assert said.startswith("purecnn: model: own_nets:layer: KeyError: ")
    assert said.count("\n") == 1
    assert "own: layer 0 (own), fed samples of shape (8, 8, 1): 'missing'" in said
    assert said.endswith("(own_nets.py:20)\n")
    with pytest.raises(ValueError, match="such model") as ours:
        make_net("lenet6", 10)
    ours.value.__traceback__ = ours.tb.tb_next  # without this file, which is no library's either
    assert place_in_own_code(ours.value) is None


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("ResNet18", "; did you mean resnet18?"),
        ("./nets/mine.py", "; did you mean mine:FUNCTION?"),
        ("nets.mine.small", "; did you mean nets.mine:small?"),
        ("efficientnet_b0", ""),
        ("mine:small:er", ""),
        ("./nets/mine.py:small", "; where mine.py lies, it is mine:small"),
        ("my-nets:small", "; my-nets is no name that Python imports"),
    ],
)
def test_what_may_be_meant_by_a_name_that_is_no_model(model, hint):
    with pytest.raises(ValueError, match=re.escape(f"or MODULE:FUNCTION{hint}") + "$"):
        Config(model=model)


def test_a_module_alone_is_told_that_a_function_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").touch()
    with pytest.raises(ValueError, match=r"or MODULE:FUNCTION; did you mean mine:FUNCTION\?$"):
        Config(model="mine")


def test_a_net_of_another_library_is_told_what_is_expected():
    class Module:
        def __call__(self, x):
            return x.shape

    with pytest.raises(
        ValueError, match=r"net raised AttributeError: .*; expected a function from the number of classes"
    ):
        call_own(Module(), 3, "net")


def test_a_net_of_a_known_library_is_told_what_there_is_for_it():
    Module = type("Module", (), {"__module__": "torch.nn.modules.module", "__init__": lambda self, classes=3: None})
    Own = type("Own", (Module,), {"__module__": "__main__"})
    what = (
        r"; a net of torch is made anew of the layers of purecnn\.nn; purecnn import-weights takes the weights of torch"
    )
    for net in (Own, lambda classes: Own()):
        with pytest.raises(ValueError, match=rf"^net gave Own, expected a purecnn\.Chain{what}"):
            call_own(net, 3, "net")
    Failing = type("Failing", (Own,), {"__init__": lambda self, classes: {}[classes]})
    with pytest.raises(ValueError, match=rf"^net raised KeyError: 3 .*{what}"):
        call_own(Failing, 3, "net")
    assert of_library(3) == of_library(print) == of_library(type("Own", (), {})) == ""
