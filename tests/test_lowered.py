"""Guards without a GPU: what a bfloat16 training step of every model asks of one.

No convolution or product with a float32 result (cuDNN has none from 16 to 32 bits: XLA widens both operands and runs
TF32), the reversed kernel straight in every x̄ convolution (else XLA materialises it and takes a forward convolution),
no scatter or select-and-scatter (slow, and refused in deterministic mode), no strided convolution of few channels
(`kernels.select` has a faster form), one convolution for w̄ of all groups, and no more residual bytes than autodiff.
"""

import functools
import re

import jax
import jax.numpy as jnp
import optax
import pytest
from jax import lax

import purecnn
from purecnn import nn
from purecnn.models import alexnet, alexnet_one_tower, cifar_cnn, lenet, mlp, resnet_cifar
from purecnn.train.objectives import OBJECTIVES
from purecnn.train.step import training_step
from tests import lowered
from tests.oracles import plain
from tests.residuals import residual_bytes


def stem():
    return purecnn.Chain(
        "stem",
        (
            nn.conv2d(64, 7, stride=2, padding=3, bias=False),
            nn.batch_norm(),
            nn.relu(),
            nn.max_pool2d(3, stride=2, padding=1),
            nn.residual(nn.conv2d(64, 3, padding=1, groups=2), shortcut=(nn.conv2d(64, 1),)),
            nn.conv2d(128, 3, stride=2, padding=1, groups=64),
            nn.avg_pool2d(2),
            nn.global_avg_pool(),
            nn.dense(10),
        ),
    )


def convnext_block():
    """The first layers of ConvNeXt."""
    block = (nn.conv2d(96, 7, padding=3, groups=96), nn.layer_norm(), nn.dense(384), nn.gelu(), nn.dense(96))
    head = (nn.global_avg_pool(), nn.dense(10))
    return purecnn.Chain("convnext_block", (nn.conv2d(96, 4, stride=4), nn.layer_norm(), nn.residual(*block), *head))


PLAIN = (
    "conv2d",
    "max_pool2d",
    "avg_pool2d",
    "global_avg_pool",
    "relu",
    "dense",
    "flatten",
    "batch_norm",
    "local_response_norm",
    "layer_norm",
    "gelu",
)
NETS = {
    "lenet": (lenet, (28, 28, 1)),
    "cifar_cnn": (cifar_cnn, (32, 32, 3)),
    "resnet_cifar": (resnet_cifar, (32, 32, 3)),
    "alexnet": (alexnet, (224, 224, 3)),
    "alexnet_one_tower": (alexnet_one_tower, (224, 224, 3)),
    "mlp": (mlp, (28, 28, 1)),
    "stem": (stem, (64, 64, 3)),
    "convnext_block": (convnext_block, (64, 64, 3)),
}
every_net = pytest.mark.parametrize(("build", "shape"), NETS.values(), ids=NETS)


def shapes_of(net, shape, batch=8, dtype=jnp.float32):
    """Parameters, state, images and labels, as shapes."""
    params = jax.eval_shape(lambda: net.init(jax.random.key(0), shape, dtype))
    state = jax.eval_shape(lambda: net.init_state(shape, dtype))
    return params, state, jax.ShapeDtypeStruct((batch, *shape), dtype), jax.ShapeDtypeStruct((batch,), jnp.int32)


@every_net
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_a_training_step_in_bfloat16(build, shape, platform):
    """The step that `purecnn train` compiles, optimiser and all."""
    from purecnn.train.step import TrainState

    net, optimizer = build(), optax.sgd(0.1, momentum=0.9)
    objective = OBJECTIVES["squared_error" if net.name == "mlp" else "softmax_cross_entropy"]
    step = training_step(net, objective, optimizer, precision=jnp.bfloat16)
    params, state, x, labels = shapes_of(net, shape)
    now = TrainState(
        params,
        state,
        jax.eval_shape(optimizer.init, params),
        jax.eval_shape(lambda: jax.random.key(0)),
        jax.ShapeDtypeStruct((), jnp.int32),
    )
    program = lowered.text(step, platform, now, x, labels)
    found = [operation for operation, *_ in lowered.operations(program)]
    kernels = sum(len(p.shape) > 1 for p in jax.tree.leaves(params))  # each has y, x̄ (but the first) and w̄
    assert sum(operation in ("convolution", "dot_general") for operation in found) >= 3 * kernels - 1
    assert not lowered.faults(program)


def pullback(net, loss, params, state, x, labels, key):
    """What `jax.vjp` returns of the mean loss as a function of the parameters."""
    return jax.vjp(lambda params: loss(net.apply(params, x, state=state, train=True, key=key), labels).mean(), params)


@every_net
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_residual_bytes_are_at_most_those_of_autodiff(build, shape, dtype, monkeypatch):
    """Of the same net of plain functions, without a rule anywhere."""
    net, key = build(), jax.eval_shape(lambda: jax.random.key(0))
    arguments = (*shapes_of(net, shape, dtype=dtype), key)
    ours = residual_bytes(functools.partial(pullback, net, purecnn.softmax_cross_entropy), *arguments)
    for name in PLAIN:
        module = "training_modes" if name == "batch_norm" else "nn"
        monkeypatch.setattr(f"purecnn.{module}.{name}_rule", plain_rule(name))
    theirs = residual_bytes(functools.partial(pullback, build(), plain.named("softmax_cross_entropy")), *arguments)
    assert ours <= theirs


def plain_rule(name):
    """A plain function of tests.oracles in the place of a rule."""
    rule, function = getattr(purecnn, name), plain.named(name)

    def stands_in(x, *args, **options):
        if name != "batch_norm":
            return function(x, *args, **options)
        y, *statistics = function(*(a.astype(jnp.float32) for a in (x, *args)), **options)
        return y.astype(x.dtype), *statistics

    stands_in.__name__ = name
    stands_in.__wrapped__ = stands_in.primal = function
    for attribute in ("fwd", "bwd", "def_fwd", "def_bwd", "static", "traceable"):
        setattr(stands_in, attribute, getattr(rule, attribute))
    return stands_in


def test_the_guards_see_what_they_are_there_for():
    """Faulty forms of each kind: what this library once did, and what autodiff does."""
    x, w = (jax.ShapeDtypeStruct(s, jnp.bfloat16) for s in ((8, 16, 16, 8), (3, 3, 8, 8)))
    numbers = ("NHWC", "HWIO", "NHWC")

    def wide(x, w):
        wide = {"dimension_numbers": numbers, "preferred_element_type": jnp.float32}
        return lax.conv_general_dilated(x, w, (1, 1), "SAME", **wide).astype(x.dtype)

    def materialised(y_bar, w):
        flipped = w[::-1, ::-1] + 0
        return lax.conv_general_dilated(y_bar, flipped, (1, 1), "SAME", dimension_numbers=("NHWC", "HWOI", "NHWC"))

    def pool(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID").sum()

    def widened_product(x, w):
        return jnp.matmul(x.reshape(-1, 8), w.reshape(8, -1), preferred_element_type=jnp.float32)

    def strided(x, w):
        return lax.conv_general_dilated(x[..., :3], w[:, :, :3], (2, 2), "SAME", dimension_numbers=numbers)

    (found,) = lowered.faults(lowered.text(strided, "tpu", x, w))
    assert found.startswith("a strided convolution of few channels")
    (found,) = lowered.faults(lowered.text(wide, "cuda", x, w))
    assert found.startswith("a convolution with a float32 result")
    (found,) = lowered.faults(lowered.text(materialised, "cuda", x, w))
    assert found.startswith("the kernel of an input cotangent comes from add")
    (found,) = lowered.faults(lowered.text(jax.grad(pool), "cuda", jax.ShapeDtypeStruct(x.shape, jnp.float32)))
    assert found.startswith("a select_and_scatter")
    found = lowered.faults(lowered.text(widened_product, "cuda", x, w))
    assert any(one.startswith("a dot_general with a float32 result") for one in found)


@pytest.mark.parametrize("groups", [4, 32])
def test_every_equation_of_a_convolution_in_groups_is_one_convolution_on_a_gpu(groups):
    """cuDNN's, which on an H200 takes a fifth of the time of sums over kernel offsets; w̄ by groups was one for each."""
    x = jax.ShapeDtypeStruct((2, 16, 16, 32), jnp.bfloat16)
    w = jax.ShapeDtypeStruct((3, 3, 32 // groups, 32), jnp.bfloat16)

    def gradients(x, w):
        return jax.grad(lambda x, w: (purecnn.conv2d(x, w, groups=groups) ** 2).sum().astype(jnp.float32), (0, 1))(x, w)

    program = lowered.operations(lowered.text(gradients, "cuda", x, w))
    found = [line for operation, *_, line in program if operation == "convolution"]
    assert len(found) == 3
    assert [f"batch_group_count = {groups}" in line for line in found].count(True) == 1


def test_groups_of_four_channels_become_groups_of_64_on_a_gpu():
    """ResNeXt's: of 32 groups of 4 there are two, in every equation."""
    x, w = (jax.ShapeDtypeStruct(shape, jnp.bfloat16) for shape in ((2, 16, 16, 128), (3, 3, 4, 128)))

    def gradients(x, w):
        return jax.grad(lambda x, w: (purecnn.conv2d(x, w, groups=32) ** 2).sum().astype(jnp.float32), (0, 1))(x, w)

    program = lowered.operations(lowered.text(gradients, "cuda", x, w))
    found = [line for operation, *_, line in program if operation == "convolution"]
    assert sorted(re.findall(r"(\w+)_group_count = (\d+)", " ".join(found))) == [
        ("batch", "1"), ("batch", "1"), ("batch", "2"), ("feature", "1"), ("feature", "2"), ("feature", "2")
    ]  # fmt: skip


def test_depthwise_w_bar_of_small_images_is_one_product_on_a_gpu():
    """ConvNeXt's last stage: sums over its 49 kernel offsets were 75 kernels a layer."""
    x, w = (jax.ShapeDtypeStruct(shape, jnp.bfloat16) for shape in ((2, 7, 7, 32), (7, 7, 1, 32)))

    def w_bar(x, w):
        return jax.grad(lambda w: purecnn.conv2d(x, w, groups=32, padding=3).sum().astype(jnp.float32))(w)

    program = [operation for operation, *_ in lowered.operations(lowered.text(w_bar, "cuda", x, w))]
    assert program.count("dot_general") == 1
    assert program.count("reduce") <= 1  # the loss
