"""The three nets as data, and the same net four times: purecnn's own, plain `lax` for autodiff, Flax and PyTorch.

All take parameters in purecnn's layout (kernels H W I O, dense weights in × out over rows, columns, channels), so that
losses and gradients can be compared. Dropout is off in all of them: its draws cannot be made alike.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax
from jax import lax

import purecnn

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


@dataclass(frozen=True)
class Conv:
    features: int
    window: int
    padding: int = 0
    stride: int = 1


@dataclass(frozen=True)
class Pool:
    window: int
    stride: int


@dataclass(frozen=True)
class Dense:
    features: int


RELU, NORM, FLATTEN, DROPOUT = "relu", "norm", "flatten", "dropout at rate 0"


def _conv(*args, **options):
    return (Conv(*args, **options), RELU)


LENET = (
    *(*_conv(6, 5, 2), Pool(2, 2), *_conv(16, 5, 2), Pool(2, 2), FLATTEN),
    *(Dense(120), RELU, Dense(84), RELU, Dense(10)),
)
CIFAR_CNN = (
    *(*_conv(32, 3, 1), *_conv(32, 3, 1), Pool(2, 2), *_conv(64, 3, 1), *_conv(64, 3, 1), Pool(2, 2), FLATTEN),
    *(Dense(256), RELU, Dense(10)),
)
ALEXNET = (
    *(*_conv(96, 11, 0, 4), NORM, Pool(3, 2), *_conv(256, 5, 2), NORM, Pool(3, 2)),
    *(*_conv(384, 3, 1), *_conv(384, 3, 1), *_conv(256, 3, 1), Pool(3, 2), FLATTEN),
    *(Dense(4096), RELU, DROPOUT, Dense(4096), RELU, DROPOUT, Dense(1000)),
)


@dataclass(frozen=True)
class Net:
    """A net, its customary input and batch, and purecnn's model of it."""

    spec: tuple
    shape: tuple[int, int, int]
    batch: int
    chain: purecnn.Chain

    @property
    def classes(self) -> int:
        return self.spec[-1].features


NETS = {
    "lenet": Net(LENET, (28, 28, 1), 128, purecnn.models.lenet()),
    "cifar_cnn": Net(CIFAR_CNN, (32, 32, 3), 128, purecnn.models.cifar_cnn()),
    "alexnet": Net(ALEXNET, (227, 227, 3), 16, purecnn.models.alexnet(grouped=False, dropout=0.0, input_padding=0)),
}


def example(net: Net, batch: int | None = None):
    """(parameters, x, labels) to start from."""
    n = batch or net.batch
    x = jax.random.normal(jax.random.key(1), (n, *net.shape))
    labels = jax.random.randint(jax.random.key(2), (n,), 0, net.classes)
    return net.chain.init(jax.random.key(0), net.shape), x, labels


def plain_conv(x, w, stride: int = 1, padding: int = 0):
    edges = [(padding, padding)] * 2
    return lax.conv_general_dilated(x, w, (stride, stride), edges, dimension_numbers=DIMENSIONS)


def plain_pool(x, window: int, stride: int):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, window, window, 1), (1, stride, stride, 1), "VALID")


def plain_norm(x, size=5, alpha=1e-4, beta=0.75, k=2.0):
    edges = ((0, 0), (0, 0), (0, 0), (size // 2, size // 2))
    sums = lax.reduce_window(x * x, 0.0, lax.add, (1, 1, 1, size), (1, 1, 1, 1), edges)
    return x / (k + alpha * sums) ** beta


def plain_logits(net: Net, params, x):
    """The net in `lax` and `jnp` operations, for autodiff."""
    for op, p in zip(net.spec, params, strict=True):
        if isinstance(op, Conv):
            x = plain_conv(x, p["w"], op.stride, op.padding) + p["b"]
        elif isinstance(op, Pool):
            x = plain_pool(x, op.window, op.stride)
        elif isinstance(op, Dense):
            x = x @ p["w"] + p["b"]
        elif op == FLATTEN:
            x = x.reshape(len(x), -1)
        elif op != DROPOUT:
            x = jax.nn.relu(x) if op == RELU else plain_norm(x)
    return x


def plain_loss(net: Net, params, x, labels):
    return optax.softmax_cross_entropy_with_integer_labels(plain_logits(net, params, x), labels).mean()
