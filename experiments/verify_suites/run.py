"""The test suites of five public packages under `pytest --verify-rules`: which hand-written rules do they call, and is
each right?

Run from the repository: `python -m experiments.verify_suites.run [package …] [--out FILE]`. It makes a virtual
environment in a temporary folder, installs the packages there with pip (their wheels hold their tests) and the JAX that
runs this, and runs the tests named below; nothing of theirs is changed. One line for each rule and shape, and the
report of each that is not right.
"""

import argparse
import importlib.metadata
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("optax==0.2.8", "distrax==0.1.9", "dm-haiku==0.0.17", "rlax==0.1.9", "e3nn-jax==0.21.0")
TOOLS = ("pytest", "absl-py", "chex", "networkx", "jraph")
# Of each package the tests that reach a rule of its own or of JAX's, and not those that train for minutes.
SUITES = {
    "optax": ("optax/losses", "optax/projections", "optax/perturbations", "optax/_src/utils_test.py"),
    "distrax": (
        "distrax/_src/utils/math_test.py",
        "distrax/_src/distributions/von_mises_test.py",
        "distrax/_src/bijectors/tanh_test.py",
        "distrax/_src/bijectors/sigmoid_test.py",
    ),
    "haiku": ("haiku/_src/dot_test.py", "haiku/_src/basic_test.py", "haiku/_src/recurrent_test.py", "haiku/_src/nets"),
    "rlax": ("rlax/_src",),
    # The wheel of e3nn-jax puts its tests beside the package.
    "e3nn": ("tests/_src/utils", "tests/_src/basic_test.py", "tests/_src/gate_test.py"),
}


def run_suite(python: Path, site: Path, paths: tuple[str, ...], seconds: int) -> str:
    """What pytest prints from the plugin's heading on, or its last lines where it prints none."""
    command = [python, "-m", "pytest", "-q", "-p", "verify.pytest_plugin", "-p", "no:cacheprovider", "-W", "ignore"]
    command += ["--verify-rules", "--verify-rules-seconds", str(seconds), "-o", "python_files=*_test.py"]
    command += [f"--rootdir={site}", *(str(site / p) for p in paths)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    try:
        done = subprocess.run(command, cwd=site, env=variables, capture_output=True, text=True, timeout=10 * seconds)
    except subprocess.TimeoutExpired:
        return f"did not end within {10 * seconds} s\n"
    _, heading, said = done.stdout.partition("hand-written derivative rules")
    return said.partition("\n")[2] if heading else done.stdout[-2000:] + done.stderr[-2000:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", default=list(SUITES), help=f"of {', '.join(SUITES)}")
    parser.add_argument("--seconds", type=int, default=240, help="for the checks of one package")
    parser.add_argument("--python", type=Path, help="an interpreter that has the packages already")
    parser.add_argument("--out", type=Path, help="write what is printed here, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        python = options.python
        if python is None:
            venv.create(folder, with_pip=True)
            python = Path(folder) / "bin" / "python"
            jax = [f"{name}=={importlib.metadata.version(name)}" for name in ("jax", "jaxlib")]
            subprocess.run([python, "-m", "pip", "install", "--quiet", *jax, *PACKAGES, *TOOLS], check=True)
        where = "import optax, pathlib; print(pathlib.Path(optax.__file__).parent.parent)"
        site = Path(subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip())
        text = ""
        for package in options.packages:
            said = (
                f"{package}: {' '.join(SUITES[package])}\n{run_suite(python, site, SUITES[package], options.seconds)}\n"
            )
            print(said, flush=True)
            text += said
            if options.out:
                options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
