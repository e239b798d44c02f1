"""What XLA makes of the rules on a CPU, read in the compiled program, not by the clock.

A backward rule has no scatter (slow everywhere, and refused by XLA's deterministic mode on GPUs), no
select-and-scatter, and no convolution but the plain one, N H W C with kernels H W I O, which XLA:CPU runs fast inside a
scan as well: it rewrites others to it in a program's main computation only.
"""

import re

import jax
import jax.numpy as jnp
import pytest
from jax import lax

import purecnn
from purecnn import nn
from tests.catalogue import ONE_OF_EACH_KERNEL, SUBJECTS
from tests.oracles.plain import conv2d as plain_conv2d
from tests.sampling import slow_but

FORBIDDEN = re.compile(r"= \S+ (select-and-scatter|scatter)\(")
CONVOLUTION = re.compile(r"= \S+ convolution\(.*?dim_labels=(\S+?)[,\s]")
PRODUCT = re.compile(r"= \S+ dot\(")
PLAIN = "b01f_01io->b01f"
USERS = {"xla_backend_optimization_level": 0}  # LLVM's optimiser is off; XLA's passes are those of a user's program


def faults(text):
    """What the guard finds in a compiled program, in words."""
    labels = CONVOLUTION.findall(text)
    return [found[1] for found in FORBIDDEN.finditer(text)] + [one for one in labels if one != PLAIN]


def in_a_scan(function, *args):
    """The compiled text of two runs of `function` inside a scan, each on arguments of its own."""
    twice = jax.tree.map(lambda a: jnp.stack([a, a]), args)
    in_turn = jax.jit(lambda args: lax.map(lambda one: function(*one), args), compiler_options=USERS)
    return in_turn.lower(twice).compile().as_text()


@pytest.mark.parametrize("subject", slow_but(ONE_OF_EACH_KERNEL, SUBJECTS), ids=str)
def test_no_rule_has_a_scatter_or_a_convolution_that_is_slow_in_a_scan(subject):
    args = subject.arguments("float32")
    y, residuals = jax.eval_shape(lambda: subject.fwd(*args, **subject.options))
    ones = jax.tree.map(lambda a: jnp.ones(a.shape, a.dtype), (residuals, y))
    # A CPU never takes the page's w̄, a convolution whose window is the image ("xla" asks for it).
    asked = slice(1) if subject.name == "conv2d-xla" else slice(None)
    text = in_a_scan(lambda residuals, y: subject.bwd(residuals, y, **subject.options)[asked], *ones)
    assert not faults(text)


def a_step(net, shape):
    params = net.init(jax.random.key(0), shape)
    x, labels = jnp.ones((4, *shape)), jnp.array([0, 1, 0, 1])
    return (lambda params, x: purecnn.backprop(net, params, x, labels)), (params, x)


THICK = purecnn.Chain(
    "thick",
    (
        nn.conv2d(32, 3, stride=2, padding=1),
        nn.relu(),
        nn.max_pool2d(3, stride=2),
        nn.conv2d(16, 3, padding="SAME", groups=2),
        nn.relu(),
        nn.flatten(),
        nn.dense(2),
    ),
)


@pytest.mark.parametrize(
    ("net", "products", "convolutions"), [(purecnn.models.lenet(2), 11, 3), (THICK, 5, 3)], ids=["lenet", "thick"]
)
def test_a_step_has_no_cotangent_that_is_not_used(net, products, convolutions):
    """Of the convolutions y is one, w̄ a product, and x̄ one too, but for the first layer's, which is not used. A dense
    layer has three products."""
    step, args = a_step(net, (12, 12, 1 if net is not THICK else 3))
    text = in_a_scan(step, *args)
    assert not faults(text)
    assert (len(PRODUCT.findall(text)), len(CONVOLUTION.findall(text))) == (products, convolutions)


DEPTHWISE = purecnn.Chain(
    "depthwise",
    (
        nn.conv2d(8, 1),
        nn.gelu(),
        nn.conv2d(8, 7, padding="SAME", groups=8),
        nn.layer_norm(),
        nn.conv2d(8, 1),
        nn.max_pool2d(2),
        nn.gelu(),
        nn.flatten(),
        nn.dense(2),
    ),
)


@pytest.mark.parametrize(
    ("operation", "name", "times"),
    [
        ("multiply", "conv_depthwise.forward/mul", 49),
        ("multiply", "conv_depthwise.input_cotangent/mul", 49),
        ("compare", "winner/le", 3),
    ],
)
def test_what_is_summed_or_searched_over_offsets_is_computed_once(operation, name, times):
    """XLA:CPU would fuse it into each operation that reads it: y of the depthwise layer nine times."""
    step, args = a_step(DEPTHWISE, (12, 12, 8))
    text = jax.jit(step).lower(*args).compile().as_text()
    assert len(re.findall(rf'= \S+ {operation}\(.*op_name="{re.escape(name)}"', text)) == times


def test_autodiff_of_the_plain_layers_does_not_pass():
    """The guard sees what it is there for: the gradients autodiff makes of the same layers."""

    def conv(x, w):
        return plain_conv2d(x, w).sum()

    def pool(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID").sum()

    x, w = jnp.ones((4, 12, 12, 8)), jnp.ones((3, 3, 8, 32))
    assert faults(in_a_scan(jax.grad(conv, argnums=1), x, w))
    assert faults(in_a_scan(jax.grad(pool), x))
