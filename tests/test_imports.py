"""Who imports whom, and what `import purecnn` loads. An arrow not listed here is not allowed."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "purecnn").rglob("*.py"))
SHARED = {"purecnn.annotations", "purecnn.arguments", "purecnn.geometry", "purecnn.rules"}
DIFFERENTIATES = {
    "grad",
    "value_and_grad",
    "vjp",
    "jvp",
    "linearize",
    "linear_transpose",
    "jacrev",
    "jacfwd",
    "hessian",
}


def module(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path):
    """Every module that a file names in an import, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in inside if is_module(name)} or {node.module}
    return found


def is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def within(name, *packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def is_standard(name):
    return name.split(".")[0] in sys.stdlib_module_names


RULES = [path for path in FILES if path.parent.name in ("layers", "losses")]


@pytest.mark.parametrize("path", RULES, ids=module)
def test_layers_and_losses_import_jax_and_what_all_rules_share(path):
    siblings = f"purecnn.{path.parent.name}"
    strangers = {n for n in imports(path) if not (within(n, "jax", siblings) or n in SHARED or is_standard(n))}
    assert not strangers


@pytest.mark.parametrize("name", ["annotations", "arguments", "geometry", "rules", "initializers"])
def test_the_foundations_import_nothing_above_them(name):
    below = {"initializers": {"purecnn.annotations"}}.get(name, set())
    strangers = {n for n in imports(ROOT / "purecnn" / f"{name}.py") if within(n, "purecnn")} - below
    assert not strangers


def test_geometry_is_integers_only():
    assert all(is_standard(name) for name in imports(ROOT / "purecnn" / "geometry.py"))


@pytest.mark.parametrize("path", [p for p in FILES if p.parent.name == "models"], ids=module)
def test_models_stand_on_chain_and_blocks(path):
    allowed = {"purecnn.chain", "purecnn.blocks", "purecnn.initializers", "purecnn.annotations", "purecnn.geometry"}
    strangers = {n for n in imports(path) if not (n in allowed or within(n, "purecnn.models") or is_standard(n))}
    assert not strangers


@pytest.mark.parametrize("path", FILES, ids=module)
def test_purecnn_imports_neither_checker_nor_tests_nor_experiments(path):
    """Only the command knows `verify`, whose subcommand it passes on to, and the doctor its canaries."""
    checkers = ("purecnn.cli", "purecnn.commands.doctor")
    others = ("tests", "experiments") if module(path) in checkers else ("verify", "tests", "experiments")
    assert not {n for n in imports(path) if within(n, *others)}


def test_nothing_below_imports_training_or_data():
    above = ("purecnn.train", "purecnn.data", "purecnn.results", "purecnn.commands", "purecnn.cli", "purecnn.__main__")
    below = [path for path in FILES if not within(module(path), *above)]
    offenders = {module(p): n for p in below for n in imports(p) if within(n, *above)}
    assert not offenders


def test_training_and_data_know_nothing_of_results():
    below = [path for path in FILES if within(module(path), "purecnn.train", "purecnn.data")]
    offenders = {module(p): n for p in below for n in imports(p) if within(n, "purecnn.results")}
    assert not offenders


def test_nothing_but_the_command_line_imports_the_commands():
    offenders = {
        module(p): n
        for p in FILES
        for n in imports(p)
        if within(n, "purecnn.commands", "purecnn.cli")
        and not within(module(p), "purecnn.commands", "purecnn.cli", "purecnn.__main__")
    }
    assert not offenders


def test_verify_knows_purecnn_in_its_suite_alone():
    offenders = {}
    for path in sorted((ROOT / "verify").rglob("*.py")):
        unknown = {n for n in imports(path) if within(n, "purecnn", "tests", "experiments", "optax")}
        if unknown and module(path) != "verify.suite":
            offenders[module(path)] = unknown
    assert not offenders


@pytest.mark.parametrize("path", [p for p in FILES if not within(module(p), "purecnn.train")], ids=module)
def test_no_autodiff_in_the_library(path):
    """Layers, losses, chain and blocks differentiate nothing; nor does anything else outside training."""
    tree = ast.parse(path.read_text())
    named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    named |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    named |= {a.name.split(".")[-1] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for a in node.names}
    assert not named & DIFFERENTIATES


@pytest.mark.parametrize("path", FILES, ids=module)
def test_no_module_has_the_name_of_a_function_it_exports(path):
    functions = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
    assert path.stem not in functions


def test_no_module_has_the_name_of_anything_public():
    import purecnn
    from purecnn import blocks, models

    public = {name for home in (purecnn, models, blocks) for name, value in vars(home).items() if callable(value)}
    assert {"conv2d", "lenet", "backprop"} <= public
    assert not public & {path.stem for path in FILES}


def test_import_purecnn_loads_jax_and_numpy_alone():
    script = "import sys, json, purecnn; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    out = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(out.stdout))
    unwanted = {"beartype", "flax", "jaxtyping", "matplotlib", "optax", "pytest", "rich", "safetensors"}
    unwanted |= {"sklearn", "torch", "typeguard", "tyro", "verify", "yaml"}
    assert {"jax", "numpy", "purecnn"} <= loaded
    assert not loaded & unwanted
    assert out.stderr == ""
