"""The nets of the benchmark with their inputs and batches, and each in plain `lax` and `jnp` for autodiff.

All ways take parameters in purecnn's layout (kernels H W I O, dense weights in × out over rows, columns, channels), so
that losses and gradients can be compared. Dropout is off in all of them: its draws cannot be made alike.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import optax
from jax import lax

import purecnn
from experiments.benchmark import specs
from experiments.benchmark.specs import (
    ALEXNET,
    BATCH_NORM,
    CIFAR_CNN,
    DROPOUT,
    FLATTEN,
    GLOBAL_POOL,
    LAYER_NORM,
    LENET,
    NORM,
    RELU,
    VGG16,
    Conv,
    Dense,
    Pool,
    Residual,
)
from purecnn.ops import accumulation_dtype

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


@dataclass(frozen=True)
class Net:
    """A net, its customary input and batch, and purecnn's form of it."""

    spec: tuple
    shape: tuple[int, int, int]
    batch: int
    chain: purecnn.Chain
    learning_rate: float = 0.01

    @property
    def classes(self) -> int:
        return self.spec[-1].features


def net(name: str, spec: tuple, shape: tuple[int, int, int], batch: int) -> Net:
    """Of a spec that is no model of purecnn's."""
    return Net(spec, shape, batch, specs.chain(name, spec))


NETS = {
    "lenet": Net(LENET, (28, 28, 1), 128, purecnn.models.lenet()),
    "cifar_cnn": Net(CIFAR_CNN, (32, 32, 3), 128, purecnn.models.cifar_cnn()),
    "alexnet": Net(ALEXNET, (227, 227, 3), 16, purecnn.models.alexnet(grouped=False, dropout=0.0, input_padding=0)),
    "resnet20": Net(specs.resnet_cifar(), (32, 32, 3), 64, purecnn.models.resnet_cifar(blocks_per_stage=3)),
    "mobilenet": net("mobilenet", specs.mobilenet(), (96, 96, 3), 16),
    "mobilenet_v2": Net(specs.mobilenet_v2(), (96, 96, 3), 8, purecnn.models.mobilenet_v2(dropout=0.0)),
    "resnet18": Net(specs.resnet18(), (96, 96, 3), 8, purecnn.models.resnet18()),
    "resnet50 blocks": net("resnet50_blocks", specs.resnet50((1, 1, 1, 1)), (96, 96, 3), 8),
    "convnext": net("convnext", specs.convnext((96, 3), (192, 3)), (112, 112, 3), 8),
}
# For one image, forward alone: what `purecnn predict` waits for.
PREDICTS = {
    "alexnet convolutions": net("alexnet", specs.convolutions(ALEXNET), (227, 227, 3), 1),
    "vgg16 convolutions": net("vgg16", specs.convolutions(VGG16), (224, 224, 3), 1),
}
# On a GPU, and beside each what tests run on a CPU.
GPU_NETS = {
    # Without normalisation its loss grows without bound at 0.01.
    "alexnet": (replace(net("alexnet", specs.ALEXNET_NO_NORM, (227, 227, 3), 1024), learning_rate=1e-3), (67, 67, 3)),
    "vgg16": (net("vgg16", VGG16, (224, 224, 3), 128), (32, 32, 3)),
    "resnet50": (net("resnet50", specs.resnet50(), (224, 224, 3), 256), (96, 96, 3)),  # its last maps are 3×3
    "cifar_cnn": (Net(CIFAR_CNN, (32, 32, 3), 512, purecnn.models.cifar_cnn()), (8, 8, 3)),
    "lenet": (Net(LENET, (28, 28, 1), 128, purecnn.models.lenet()), (8, 8, 1)),
    "mobilenet block": (net("mobilenet_block", specs.mobilenet_block(), (224, 224, 3), 256), (16, 16, 3)),
    "convnext block": (net("convnext_block", specs.convnext((96, 1)), (224, 224, 3), 128), (16, 16, 3)),
    "mobilenet_v2": (net("mobilenet_v2", specs.mobilenet_v2(), (224, 224, 3), 256), (32, 32, 3)),
    "convnext_tiny": (net("convnext_tiny", specs.CONVNEXT_TINY, (224, 224, 3), 128), (32, 32, 3)),
}


def gpu_net(name: str, tiny: bool) -> Net:
    full, small = GPU_NETS[name]
    return replace(full, shape=small, batch=2) if tiny else full


def step_flops(net: Net) -> float:
    """Of the products of a training step: forward once, backward twice that but for the first layer's x̄."""
    rows = net.chain.summary(net.shape).rows
    return net.batch * (3 * sum(row.flops for row in rows) - rows[0].flops)


def images(net: Net, batch: int | None = None):
    return jax.random.normal(jax.random.key(1), (batch or net.batch, *net.shape))


def example(net: Net, batch: int | None = None):
    """(parameters, x, labels) to start from."""
    labels = jax.random.randint(jax.random.key(2), (batch or net.batch,), 0, net.classes)
    return net.chain.init(jax.random.key(0), net.shape), images(net, batch), labels


def plain_conv(x, w, stride: int = 1, padding: int = 0, groups: int = 1):
    options = {"dimension_numbers": DIMENSIONS, "feature_group_count": groups}
    return lax.conv_general_dilated(x, w, (stride, stride), [(padding, padding)] * 2, **options)


def plain_pool(x, window: int, stride: int, padding: int = 0):
    edges = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, window, window, 1), (1, stride, stride, 1), edges)


def plain_norm(x, size=5, alpha=1e-4, beta=0.75, k=2.0):
    edges = ((0, 0), (0, 0), (0, 0), (size // 2, size // 2))
    sums = lax.reduce_window(x * x, 0.0, lax.add, (1, 1, 1, size), (1, 1, 1, 1), edges)
    return x / (k + alpha * sums) ** beta


def plain_batch_norm(x, scale, bias, epsilon=1e-5):
    """With the batch's statistics, in float32 at the least, rounded to x's dtype at the end."""
    wide = x.astype(accumulation_dtype(x.dtype))
    mean, variance = wide.mean((0, 1, 2)), wide.var((0, 1, 2))
    return ((wide - mean) * lax.rsqrt(variance + epsilon) * scale + bias).astype(x.dtype)


def plain_forward(spec: tuple, params, x):
    """The operations in `lax` and `jnp`, for autodiff. Batch normalisation keeps no running statistics here: one
    vector a channel less than the other ways do."""
    for op, p in zip(spec, params, strict=True):
        if isinstance(op, Conv):
            x = plain_conv(x, p["w"], op.stride, op.padding, op.groups)
            x = x + p["b"] if op.bias else x
        elif isinstance(op, Pool):
            x = plain_pool(x, op.window, op.stride, op.padding)
        elif isinstance(op, Dense):
            x = x @ p["w"] + p["b"]
        elif isinstance(op, Residual):
            x = plain_forward(op.body, p["body"], x) + plain_forward(op.shortcut, p["shortcut"], x)
        elif op == BATCH_NORM:
            x = plain_batch_norm(x, **p)
        elif op == LAYER_NORM:
            x = specs.layer_norm(x, **p)
        elif op != DROPOUT:
            x = WITHOUT_PARAMETERS[op](x)
    return x


WITHOUT_PARAMETERS = {
    **{RELU: jax.nn.relu, specs.RELU6: jax.nn.relu6, specs.GELU: specs.gelu, NORM: plain_norm},
    **{FLATTEN: lambda x: x.reshape(len(x), -1), GLOBAL_POOL: lambda x: x.mean((1, 2))},
}


def plain_logits(net: Net, params, x):
    return plain_forward(net.spec, params, x)


def plain_loss(net: Net, params, x, labels):
    """Of logits in float32 at the least."""
    logits = plain_logits(net, params, x)
    logits = logits.astype(accumulation_dtype(logits.dtype))
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
