"""Weight gradients of a grouped convolution on meshes of four CPU devices.

Run `python -m experiments.grouped_on_a_mesh.run`. For each mesh, placement of the images and number of groups, the
gradient by autodiff of `lax.conv_general_dilated` and by purecnn, divided by one device's. 1 is right.
"""

import argparse
from pathlib import Path

import jax

jax.config.update("jax_num_cpu_devices", 4)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax import lax  # noqa: E402
from jax.sharding import AxisType, NamedSharding  # noqa: E402
from jax.sharding import PartitionSpec as P  # noqa: E402

import purecnn  # noqa: E402

MESHES = {"4": (P("a"),), "2 × 2": (P("a"), P("a", None, None, "b"), P(("a", "b"))), "2 × 1 × 2": (P("a"),)}
GROUPS = (1, 2, 8)


def plain(x, w, groups):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=numbers, feature_group_count=groups)


def ours(x, w, groups):
    return purecnn.conv2d(x, w, padding="SAME", groups=groups, algorithm="xla")


def ratio(conv, mesh_shape: str, spec: P, groups: int) -> float:
    """The median over the kernel's entries of its gradient on the mesh, over that on one device."""
    sizes = [int(n) for n in mesh_shape.split("×")]
    mesh = jax.make_mesh(tuple(sizes), tuple("abc"[: len(sizes)]), axis_types=(AxisType.Auto,) * len(sizes))
    x, w = jax.random.normal(jax.random.key(0), (8, 6, 6, 16)), jnp.ones((3, 3, 16 // groups, 16))
    gradient = jax.jit(jax.grad(lambda x, w: (conv(x, w, groups) ** 2).sum(), argnums=1))
    placed = jax.device_put(x, NamedSharding(mesh, spec)), jax.device_put(w, NamedSharding(mesh, P()))
    return float(np.median(np.asarray(gradient(*placed)) / np.asarray(gradient(x, w))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the table here")
    options = parser.parse_args()
    lines = [f"JAX {jax.__version__}, four CPU devices", "", "| mesh | images | groups | autodiff | purecnn |"]
    lines.append("|---|---|---:|---:|---:|")
    for mesh, specs in MESHES.items():
        for spec in specs:
            for groups in GROUPS:
                found = [ratio(conv, mesh, spec, groups) for conv in (plain, ours)]
                cells = " | ".join(f"{value:.4f}" for value in found)
                lines.append(f"| {mesh} | `{spec}` | {groups} | {cells} |")
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
