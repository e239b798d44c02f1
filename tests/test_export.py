"""Portability, tested on a machine with only a CPU: a step with every rule lowers for CPUs, NVIDIA GPUs and TPUs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from purecnn import nn
from purecnn.checks import UNDECIDED
from tests.catalogue import ONE_OF_EACH_KERNEL, SUBJECTS
from tests.modern_net import INPUT_SHAPE, modern
from tests.oracles.agreement import assert_trees_close, at_positions
from tests.sampling import slow_but
from verify.running import quickly

PLATFORMS = ("cpu", "cuda", "tpu")
LAYERS = (
    nn.conv2d(4, 3, padding="SAME", groups=2),
    nn.batch_norm(),
    nn.relu(),
    nn.local_response_norm(),
    nn.max_pool2d(3, stride=2),
    nn.residual(nn.conv2d(4, 3, padding="SAME", algorithm="im2col")),
    nn.max_pool2d(2, stride=1, ties="split"),
    nn.avg_pool2d(2, stride=1, padding=1),
    nn.flatten(),
    nn.dense(5),
    nn.sigmoid(),
    nn.dropout(0.5),
    nn.dense(3),
)


def exported_step(dtype):
    net, shape, key = purecnn.Chain("net", LAYERS), (8, 8, 2), jax.random.key(0)
    state = net.init_state(shape, dtype)
    params = jax.tree.map(
        lambda p: jnp.full(p.shape, 0.1, p.dtype), jax.eval_shape(lambda: net.init(key, shape, dtype))
    )
    x, labels = jnp.asarray(np.random.default_rng(0).normal(size=(2, *shape)), dtype), jnp.array([0, 2])

    def step(params, x, labels):
        loss, grads = purecnn.backprop(net, params, x, labels, state=state, train=True, key=key)
        return loss, jax.tree.map(lambda p, g: p - g, params, grads)

    exported = jax.export.export(jax.jit(step), platforms=PLATFORMS)(params, x, labels)
    return step, exported, (params, x, labels)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_step_lowers_for_every_platform_and_is_the_same_step_here(dtype):
    step, exported, args = exported_step(dtype)
    assert exported.platforms == PLATFORMS
    if dtype == "float32":
        assert_trees_close(quickly(exported.call)(*args), quickly(step)(*args), 1e-5)


def with_symbolic_batch(function, args, batched):
    """`function` exported for a batch "b", serialised and read back."""
    (b,) = jax.export.symbolic_shape("b")

    def shape(i, a):
        return jax.ShapeDtypeStruct((b, *a.shape[1:]) if i in batched else a.shape, a.dtype)

    shapes = [jax.tree.map(lambda a, i=i: shape(i, a), arg) for i, arg in enumerate(args)]
    exported = jax.export.export(jax.jit(function), platforms=PLATFORMS)(*shapes)
    return jax.export.deserialize(exported.serialize())


# Of a kernel by name the batch must be a number; "auto" takes the page here.
EXPORTED = [s for s in SUBJECTS if s.name not in ("conv2d-winograd", "conv2d-wgrad_chunked")]


@pytest.mark.parametrize("subject", slow_but(ONE_OF_EACH_KERNEL, EXPORTED), ids=str)
def test_every_rule_exports_with_a_symbolic_batch(subject):
    args = subject.arguments("float32")
    chosen = subject.differentiable(args)
    pairs = (purecnn.softmax_cross_entropy, purecnn.squared_error, purecnn.concatenate)
    batched = range(len(args)) if subject.rule in pairs else (0,)

    def gradients(*args):
        options = dict(subject.options)
        if "input_shape" in options:
            options["input_shape"] = (args[0].shape[0], *options["input_shape"][1:])
        function = at_positions(lambda *args: subject.rule(*args, **options), args, chosen)
        some = [args[i] for i in chosen]
        y = function(*some)
        return y, jax.grad(lambda some: sum(jnp.sin(y).sum() for y in jax.tree.leaves(function(*some))))(some)

    exported = with_symbolic_batch(gradients, args, batched)
    more = [jnp.concatenate([a, a]) if i in batched else a for i, a in enumerate(args)]
    assert_trees_close(quickly(exported.call)(*more), quickly(gradients)(*more), 1e-5, str(subject))


NETS = [
    (purecnn.models.lenet(4), (8, 8, 1)),
    (purecnn.models.cifar_cnn(4, features=(4, 8), hidden=8), (8, 8, 3)),
    (purecnn.models.resnet_cifar(4, features=(4, 8)), (8, 8, 3)),
    (purecnn.models.mlp(4), (5,)),
    (purecnn.models.alexnet(4), (64, 64, 3)),
    (purecnn.models.alexnet_one_tower(4), (64, 64, 3)),
    (purecnn.Chain("every", (*LAYERS[:-1], nn.dense(4))), (8, 8, 2)),
    (modern(), INPUT_SHAPE),
]
RUN = ("every", "modern")  # between them they have every kind of layer


@pytest.mark.parametrize(("net", "shape"), NETS, ids=[net.name for net, _ in NETS])
def test_every_net_exports_with_a_symbolic_batch(net, shape):
    state = net.init_state(shape)
    loss = (purecnn.squared_error_fwd, purecnn.squared_error_bwd)

    def step(params, x, targets):
        y = net.apply(params, x, state=state)
        return y, purecnn.backprop(net, params, x, targets, loss=loss, state=state)

    params = jax.eval_shape(lambda: net.init(jax.random.key(0), shape))
    x, targets = (jax.ShapeDtypeStruct((3, *size), "float32") for size in (shape, (4,)))
    exported = with_symbolic_batch(step, (params, x, targets), (1, 2))
    if net.name in RUN:
        rng = np.random.default_rng(0)
        args = jax.tree.map(lambda a: jnp.asarray(0.3 * rng.normal(size=a.shape), a.dtype), (params, x, targets))
        assert_trees_close(quickly(exported.call)(*args), quickly(step)(*args), 1e-4, net.name)


def symbolic(net, shape, sizes, constraints=()):
    """The shape of what `net` gives, exported for images of symbolic `sizes`, and its values for some of `shape`."""
    rng, shapes = np.random.default_rng(0), jax.eval_shape(lambda: net.init(jax.random.key(0), shape))
    params = jax.tree.map(lambda p: jnp.asarray(0.3 * rng.normal(size=p.shape), p.dtype), shapes)
    state = net.init_state(shape)
    sizes = jax.export.symbolic_shape(sizes, constraints=constraints)
    images = jax.ShapeDtypeStruct((*sizes, shape[-1]), jnp.float32)
    return jax.export.export(jax.jit(lambda x: net.apply(params, x, state=state)))(images), params, state


@pytest.mark.parametrize(
    ("net", "constraints"),
    [
        (purecnn.models.resnet_cifar(4, features=(4, 8)), ()),
        (purecnn.Chain("valid", (nn.conv2d(3, 4, stride=4), nn.max_pool2d(), nn.global_avg_pool())), ("h>=8", "w>=8")),
    ],
    ids=["no bound", "bounds"],
)
@pytest.mark.usefixtures("users_errors")
def test_a_net_that_ends_in_a_global_pool_exports_with_symbolic_height_and_width(net, constraints):
    exported, params, state = symbolic(net, (8, 8, 3), "n, h, w", constraints)
    for shape in ((1, 8, 8, 3), (2, 13, 21, 3)):
        x = jax.random.normal(jax.random.key(1), shape)
        here = quickly(lambda x: net.apply(params, x, state=state))
        assert_trees_close(quickly(exported.call)(x), here(x), 1e-5)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((nn.conv2d(3, 4), nn.global_avg_pool()), r"net: layer 0 \(conv2d\).*constraints=\[\"h >= 32\""),
        ((nn.conv2d(3, 3, stride=2, padding="SAME"),), 'conv2d: padding: got "SAME" for h with stride 2, expected'),
        ((nn.adaptive_avg_pool2d(2),), r"adaptive_avg_pool2d: x: got shape \(n, h, w, 3\), expected a height"),
        ((nn.flatten(), nn.dense(2)), r"layer 1 \(dense\), .*: dense: w: got shape \(192, 2\)"),
    ],
)
@pytest.mark.usefixtures("users_errors")
def test_what_takes_a_known_height_and_width_says_so(layers, words):
    net = purecnn.Chain("net", layers)
    with pytest.raises((ValueError, UNDECIDED), match=words):
        symbolic(net, (8, 8, 3), "n, h, w")
    if words.startswith("conv2d: padding"):
        symbolic(net, (8, 8, 3), "n, 2*h, 2*w")
