"""What a user gets: build the wheel and the sdist, install the wheel into an empty environment, and try it there.

    python -m tests.release.smoke            versions are held at the lock's
    python -m tests.release.smoke --newest   the newest that pip finds for this Python

First with the core dependencies alone: the rules, the checker and a command line that says which extra is missing. Then
with the extra `train`. Everything happens in a temporary folder, and nothing of the source tree is in reach of what is
tried.
"""

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from importlib.metadata import version
from pathlib import Path

import purecnn
from purecnn.backend import repair_flag

ROOT = Path(__file__).parents[2]
GRADIENT = """
import jax, jax.numpy as jnp, purecnn, verify
assert "{environment}" in purecnn.__file__ and "{environment}" in verify.__file__
net = purecnn.models.mlp(3)
params, x, labels = net.init(jax.random.key(0), (4, 4, 1)), jnp.ones((2, 4, 4, 1)), jnp.array([0, 2])
loss, grads = jax.jit(lambda params: purecnn.backprop(net, params, x, labels))(params)
other, same = jax.value_and_grad(lambda p: purecnn.softmax_cross_entropy(net.apply(p, x), labels).mean())(params)
assert jnp.allclose(loss, other) and jax.tree.all(jax.tree.map(jnp.allclose, grads, same))
print("gradient of", len(jax.tree.leaves(grads)), "arrays")
"""


def build(source: Path, into: Path, *targets: str) -> list[Path]:
    """The files hatchling makes of `source`."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(into)]
    wanted = [word for target in targets for word in ("--target", target)]
    subprocess.run([*command, *wanted], cwd=source, check=True, stdout=subprocess.DEVNULL)
    return sorted(into.iterdir())


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist()}


def pinned(lock: str) -> str:
    """The lock's `name==version` lines: hashes have no place beside a wheel that was built a moment ago."""
    return "\n".join(re.findall(r"^([\w.-]+==[^\\\n]*?) *\\?$", lock, re.M)) + "\n"


def try_release(folder: Path, newest: bool = False) -> None:
    sdist, wheel = sorted(build(ROOT, folder / "dist", "sdist", "wheel"), key=lambda path: path.suffix)
    with tarfile.open(sdist) as file:
        file.extractall(folder, filter="data")
    source = folder / sdist.name.removesuffix(".tar.gz")
    (again,) = build(source, folder / "again", "wheel")
    assert contents(again) == contents(wheel), "the sdist builds another wheel than the source tree"
    missing = {"docs", "CITATION.cff", "LICENSE", "tests", "experiments"} - {path.name for path in source.iterdir()}
    assert not missing, f"not in the sdist: {missing}"
    absent = {"purecnn/py.typed", "verify/py.typed"} - set(contents(wheel))
    assert not absent, f"not in the wheel: {absent}"

    environment = folder / "environment"
    bin = environment / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    lock = "" if newest else (ROOT / "requirements" / "lock.txt").read_text()
    (folder / "pinned.txt").write_text(pinned(lock))

    def install(what):
        pip = [bin / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        subprocess.run([*pip, "--constraint", folder / "pinned.txt", what], check=True)

    # What an affected JAX asks its user to set: the same release as here, from the lock or the newest.
    flags = repair_flag(version("jaxlib"), os.environ.get("XLA_FLAGS", ""))

    def expect(words, *command, code=0):
        """Run `command` in the new environment: this exit code, these words, and never a traceback."""
        outside = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {"XLA_FLAGS": flags}
        done = subprocess.run(
            [bin / command[0], *command[1:]],
            cwd=environment,
            env=outside,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, f"{command}: exit code {done.returncode}\n{said}"
        assert words in said, f"{command}: said\n{said}"
        assert "Traceback" not in said, f"{command}: said\n{said}"
        print(f"  {' '.join(command[:4]).splitlines()[0]}: {words}")

    install(wheel)
    print("with the core dependencies:")
    expect("gradient of 2 arrays", "python", "-W", "error", "-c", GRADIENT.format(environment=environment))
    expect("purecnn COMMAND --help", "purecnn", "--help")
    expect(f"purecnn {purecnn.__version__}", "purecnn", "--version")
    expect('pip install "purecnn[train]"', "purecnn", "summary", "--model", "lenet", code=2)
    expect("pkg.mod:rule", "python", "-m", "verify", "--help")
    expect(": RIGHT", "python", "-m", "verify", "relu", "--cases", "1", "--jobs", "1")
    install(f"{wheel}[train]")
    print("with the extra train:")
    expect("107,550", "purecnn", "summary", "--model", "lenet")
    expect("this backend computes correctly", "purecnn", "doctor")


if __name__ == "__main__":
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        try_release(Path(name), newest="--newest" in sys.argv[1:])
    print(f"the wheel and the sdist are sound ({time.perf_counter() - began:.0f} s)")
