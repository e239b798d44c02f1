"""Who imports whom, and what `import purecnn` loads. An arrow not listed here is not allowed."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "purecnn").rglob("*.py"))
FOUNDATIONS = {  # module -> what it may import of purecnn
    "annotations": set(),
    "backend": set(),
    "geometry": set(),
    "shardings": set(),
    "checks": set(),
    "chunks": {"annotations"},
    "offsets": {"annotations", "geometry"},
    "tiles": {"annotations", "geometry"},
    "ops": {"annotations", "geometry"},
    "signatures": set(),
    "mapped_axes": {"shardings"},
    "rules": {"mapped_axes", "shardings", "signatures"},
    "initializers": {"annotations", "backend", "signatures"},
}
FOUND = {f"purecnn.{name}" for name in FOUNDATIONS}
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


BUILT_ON = {"purecnn.layers.conv_transpose2d": "purecnn.layers.conv2d"}  # the one is the other's transpose
RULES = [path for path in FILES if path.parent.name in ("layers", "losses")]
KERNELS = [path for path in FILES if path.parent.name == "kernels"]


@pytest.mark.parametrize("path", RULES, ids=module)
def test_layers_and_losses_import_the_foundations_and_of_kernels_the_table(path):
    allowed = FOUND | {"purecnn.kernels.select", BUILT_ON.get(module(path))}
    strangers = {n for n in imports(path) if not (within(n, "jax") or n in allowed or is_standard(n))}
    assert not strangers - {"purecnn"}


@pytest.mark.parametrize("path", KERNELS, ids=module)
def test_kernels_import_the_foundations_and_no_layer(path):
    """And `select` the kernels."""
    allowed = FOUND - {"purecnn.rules", "purecnn.shardings"}
    kernels = ("purecnn.kernels",) if path.stem == "select" else ()
    strangers = {
        n for n in imports(path) if not (within(n, "jax", "numpy", *kernels) or n in allowed or is_standard(n))
    }
    assert not strangers


@pytest.mark.parametrize("name", FOUNDATIONS)
def test_the_foundations_import_nothing_above_them(name):
    below = {f"purecnn.{other}" for other in FOUNDATIONS[name]}
    strangers = {n for n in imports(ROOT / "purecnn" / f"{name}.py") if within(n, "purecnn")} - below
    assert not strangers


def test_no_module_of_purecnn_imports_itself_in_a_circle():
    arrows = {module(path): {n for n in imports(path) if within(n, "purecnn")} - {"purecnn"} for path in FILES}
    arrows.pop("purecnn")
    while arrows:
        leaves = {name for name, below in arrows.items() if not below & arrows.keys()}
        assert leaves, f"a circle among {sorted(arrows)}"
        arrows = {name: below for name, below in arrows.items() if name not in leaves}


def test_geometry_is_integers_only():
    assert all(is_standard(name) for name in imports(ROOT / "purecnn" / "geometry.py"))


@pytest.mark.parametrize("path", [p for p in FILES if p.parent.name == "models"], ids=module)
def test_models_stand_on_chain_and_nn(path):
    """And what converts their weights on arrays."""
    allowed = {"purecnn.chain", "purecnn.nn", "purecnn.initializers", "purecnn.annotations", "purecnn.geometry"}
    allowed |= {"jax", "jax.numpy", "numpy"} if path.stem == "torchvision" else set()
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
    """Layers, losses, kernels, chain and nn differentiate nothing; nor does anything else outside training, but what
    stands in for a rule that is not there."""
    if module(path) == "purecnn.autodiff":
        return
    tree = ast.parse(path.read_text())
    named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    named |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    named |= {a.name.split(".")[-1] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for a in node.names}
    assert not named & DIFFERENTIATES


@pytest.mark.parametrize("path", [p for p in RULES if p.stem != "__init__"], ids=module)
def test_a_file_of_a_rule_is_named_after_it(path):
    import purecnn

    functions = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
    assert {path.stem, f"{path.stem}_fwd", f"{path.stem}_bwd"} <= functions
    assert getattr(purecnn, path.stem).__module__ == module(path)


def test_import_purecnn_loads_jax_and_numpy_alone():
    script = "import sys, json, purecnn; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    out = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(out.stdout))
    unwanted = {"beartype", "flax", "jaxtyping", "matplotlib", "optax", "pytest", "rich", "safetensors"}
    unwanted |= {"sklearn", "torch", "typeguard", "tyro", "verify", "yaml"}
    assert {"jax", "numpy", "purecnn"} <= loaded
    assert not loaded & unwanted
    assert out.stderr == ""


OWN = ("purecnn", "verify", "tests", "experiments")


def test_every_module_of_our_own_that_is_imported_is_there():
    """Also in an import inside of a function, as of an experiment's `main`, which no other test may run."""
    lost = []
    for path in (p for name in OWN for p in sorted((ROOT / name).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            named += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            lost += [f"{path}: {name}" for name in named if within(name, *OWN) and not is_package_or_module(name)]
    assert lost == []


def is_package_or_module(name):
    return is_module(name) or ROOT.joinpath(*name.split(".")).is_dir()
