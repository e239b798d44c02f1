"""python -m experiments.compiled_for_gpu.run [--nets NAME …] [--layers [NAME …]] [--out FILE]"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmark import with_jax
from experiments.benchmark.nets import GPU_NETS, gpu_net
from experiments.benchmark.page import print_table
from experiments.compiled_for_gpu.target import compiled
from experiments.compiled_for_gpu.traffic import operations
from purecnn import Chain, nn

CHANNELS, IMAGES, SIDE = 64, 256, 56  # arrays of 103 MB, twice the cache
LAYERS: dict[str, tuple[Any, ...]] = {
    "relu": (nn.relu(),),
    "relu6": (nn.relu6(),),
    "leaky_relu": (nn.leaky_relu(),),
    "hard_swish": (nn.hard_swish(),),
    "silu": (nn.silu(),),
    "gelu": (nn.gelu(),),
    "gelu, exact": (nn.gelu(approximate=False),),
    "sigmoid": (nn.sigmoid(),),
    "tanh": (nn.tanh(),),
    "softmax": (nn.softmax(),),
    "max_pool2d 2×2/2": (nn.max_pool2d(2),),
    "max_pool2d 3×3/2": (nn.max_pool2d(3, stride=2, padding=1),),
    "max_pool2d 3×3/1": (nn.max_pool2d(3, stride=1, padding=1),),
    "avg_pool2d 2×2/2": (nn.avg_pool2d(2),),
    "avg_pool2d 3×3/2": (nn.avg_pool2d(3, stride=2, padding=1),),
    "adaptive_avg_pool2d 7×7": (nn.adaptive_avg_pool2d(7),),
    "upsample2d, nearest": (nn.upsample2d(2),),
    "upsample2d, bilinear": (nn.upsample2d(2, method="bilinear"),),
    "local_response_norm": (nn.local_response_norm(),),
    "batch_norm": (nn.batch_norm(),),
    "group_norm": (nn.group_norm(8),),
    "layer_norm": (nn.layer_norm(),),
    "squeeze_excite": (nn.squeeze_excite(CHANNELS, 16),),
    "dropout": (nn.dropout(0.3),),
    "drop_path": (nn.drop_path(0.3),),
    "conv2d 3×3": (nn.conv2d(CHANNELS, 3, padding=1),),
    "conv2d 3×3/2": (nn.conv2d(CHANNELS, 3, stride=2, padding=1),),
    "conv2d 3×3, dilated": (nn.conv2d(CHANNELS, 3, padding=2, dilation=2),),
    "conv2d 3×3, 8 groups": (nn.conv2d(CHANNELS, 3, padding=1, groups=8),),
    "conv2d 3×3, depthwise": (nn.conv2d(CHANNELS, 3, padding=1, groups=CHANNELS),),
    "conv2d 7×7, depthwise": (nn.conv2d(CHANNELS, 7, padding=3, groups=CHANNELS),),
    "conv_transpose2d 2×2/2": (nn.conv_transpose2d(CHANNELS, 2, stride=2),),
    "conv_transpose2d 4×4/2": (nn.conv_transpose2d(CHANNELS, 4, stride=2, padding=1),),
    "batch_norm, relu": (nn.batch_norm(), nn.relu()),
    "batch_norm, silu": (nn.batch_norm(), nn.silu()),
    "group_norm, silu": (nn.group_norm(8), nn.silu()),
    "relu, max_pool2d 2×2/2": (nn.relu(), nn.max_pool2d(2)),
}


def steps(name: str) -> Iterator[Any]:
    """The compiled training steps of a net of the GPU's benchmark: purecnn's and autodiff's."""
    net = gpu_net(name, tiny=False)
    for build in (with_jax.purecnn_step, with_jax.autodiff_step):
        way = build(net, jnp.bfloat16)
        yield compiled(way.step, way.state, *way.data)


def both_passes(layers: tuple[Any, ...]) -> Iterator[Any]:
    """Layers between two convolutions of 1×1 with a bias, forward and backward: purecnn's lists and autodiff."""
    net = Chain("layer", (nn.conv2d(CHANNELS, 1), *layers, nn.conv2d(CHANNELS, 1)))
    key, shape = jax.random.key(0), (SIDE, SIDE, CHANNELS)
    params, state, x = jax.eval_shape(
        lambda: (net.init(key, shape, jnp.bfloat16), net.init_state(shape), jnp.zeros((IMAGES, *shape), jnp.bfloat16))
    )

    def lists(params, x, state, y_bar):
        y, state, residuals = net.forward(params, x, state=state, train=True, key=key)
        return y, state, net.backward(residuals, y_bar, train=True)

    def autodiff(params, x, state, y_bar):
        plain = net.without_rules()
        y, back, state = jax.vjp(
            lambda p, x: plain.apply_with_state(p, x, state=state, train=True, key=key), params, x, has_aux=True
        )
        return y, state, back(y_bar)

    y_bar = jax.eval_shape(lambda p, x, s: net.apply(p, x, state=s, train=True, key=key), params, x, state)
    for way in (lists, autodiff):
        yield compiled(way, params, x, state, y_bar)


def row(name: str, programs: Callable[..., Iterator[Any]], of: Any) -> str:
    found = []
    for program in programs(of):
        kernels = list(operations(program.as_text()))
        moved = sum(kernel.bytes for kernel in kernels)
        convolutions = sum(kernel.bytes for kernel in kernels if kernel.convolution)
        found.append((moved, convolutions, len(kernels), program.memory_analysis().temp_size_in_bytes))
    (ours, convolutions, kernels, held), (theirs, _, others, also) = found
    cells = [f"{ours / 1e9:.2f}", f"{theirs / 1e9:.2f}", f"{ours / theirs:.2f}", f"{convolutions / 1e9:.2f}"]
    cells += [str(kernels), str(others), f"{held / 1e6:.0f}", f"{held / max(also, 1):.2f}"]
    return f"| {name} | {' | '.join(cells)} |"


HEAD = ("", "moved, GB", "autodiff, GB", "× autodiff", "of it by cuDNN, GB", "kernels", "autodiff's")
HEAD += ("temporaries, MB", "× autodiff's")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="*", default=list(GPU_NETS), choices=GPU_NETS)
    parser.add_argument("--layers", nargs="*", default=list(LAYERS), choices=LAYERS)
    parser.add_argument("--out", type=Path, help="write the table to this file, too")
    options = parser.parse_args()
    versions = f"JAX {jax.__version__}; in bfloat16, compiled for an NVIDIA H200, run nowhere"
    rows = [lambda name=name: row(f"{name}, a step", steps, name) for name in options.nets]
    rows += [lambda name=name: row(name, both_passes, LAYERS[name]) for name in options.layers]
    head = [versions, "", f"| {' | '.join(HEAD)} |", "|---" + "|---:" * (len(HEAD) - 1) + "|"]
    print_table(head, (one() for one in rows), options.out)


if __name__ == "__main__":
    main()
