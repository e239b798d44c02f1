import jax
import jax.numpy as jnp

import purecnn
from purecnn import nn


def test_lecture_row_9():
    """Units H×W×C₁ → H×W×C₂ → H×W×C₂ → H₂×W₂×C₂; weights F×F×C₁×C₂, 0, 0; biases 1×C₂, 0, 0."""
    net = purecnn.Chain("row 9", (nn.conv2d(8, 5, padding="SAME"), nn.relu(), nn.max_pool2d()))
    table = str(net.summary((12, 10, 3)))
    cells = [line.split() for line in table.splitlines()]
    assert cells[2][:4] == ["layer", "units", "weights", "biases"]
    assert ["input", "12×10×3"] in cells
    assert [line[:4] for line in cells if line[0] in ("conv2d", "relu", "max_pool2d")] == [
        ["conv2d", "12×10×8", "5×5×3×8", "1×8"],
        ["relu", "12×10×8", "0", "0"],
        ["max_pool2d", "6×5×8", "0", "0"],
    ]
    assert cells[-1][:3] == ["total", "600", "8"]


def test_flops_are_two_per_multiply_add():
    net = purecnn.Chain("net", (nn.conv2d(8, 5, padding="SAME", groups=2), nn.flatten(), nn.dense(7)))
    conv, flat, dense = net.summary((12, 10, 4)).rows
    assert conv.flops == 2 * 12 * 10 * 8 * 5 * 5 * 2
    assert flat.flops == 0
    assert dense.flops == 2 * 12 * 10 * 8 * 7


def test_flops_of_a_depthwise_convolution_which_has_a_kernel_of_its_own_on_every_platform():
    (row,) = purecnn.Chain("net", (nn.conv2d(8, 7, padding=3, stride=2, groups=4),)).summary((12, 10, 4)).rows
    assert row.flops == 2 * 6 * 5 * 8 * 7 * 7


def test_flops_of_a_transposed_convolution_leave_out_the_zeros_between_entries():
    """Each of 8×7×4 entries meets a 3×3 kernel and the output channels of its group."""
    layers = (nn.conv_transpose2d(6, 3, stride=2), nn.conv_transpose2d(6, 3, stride=(1, 2), groups=2))
    rows = [purecnn.Chain("net", (layer,)).summary((8, 7, 4)).rows[0] for layer in layers]
    assert [row.flops for row in rows] == [2 * 8 * 7 * 4 * 3 * 3 * 6, 2 * 8 * 7 * 4 * 3 * 3 * 3]


def test_residual_bytes_are_what_the_rules_keep():
    """conv: its input; relu: its output, but nothing where a pool has its mask; pool: a byte per window; dense: its
    input."""
    layers = (nn.conv2d(8, 3), nn.relu(), nn.max_pool2d(), nn.flatten(), nn.dense(7))
    rows = purecnn.Chain("net", layers[:2]).summary((6, 6, 2)).rows
    assert [row.residual_bytes for row in rows] == [6 * 6 * 2 * 4, 4 * 4 * 8 * 4]
    net = purecnn.Chain("net", layers)
    assert [row.residual_bytes for row in net.summary((6, 6, 2)).rows] == [6 * 6 * 2 * 4, 0, 2 * 2 * 8, 0, 32 * 4]
    assert net.summary((6, 6, 2)).residual_bytes == 288 + 32 + 128
    assert net.summary((6, 6, 2), jnp.bfloat16).rows[0].residual_bytes == 6 * 6 * 2 * 2


def test_totals_are_the_parameters_of_the_net():
    net = purecnn.models.resnet_cifar(features=(4, 8))
    params = jax.eval_shape(lambda: net.init(jax.random.key(0), (8, 8, 3)))
    summary = net.summary((8, 8, 3))
    assert summary.parameters == sum(p.size for p in jax.tree.leaves(params))
    assert summary.parameters == summary.weights + summary.biases


def test_alexnet_has_the_papers_sixty_million_parameters():
    summary = purecnn.models.alexnet().summary((224, 224, 3))
    assert summary.parameters == 60_965_224
    assert [row.units for row in summary.rows if row.layer in ("conv2d", "dense")] == [
        (55, 55, 96),
        (27, 27, 256),
        (13, 13, 384),
        (13, 13, 384),
        (13, 13, 256),
        (4096,),
        (4096,),
        (1000,),
    ]


def test_alexnet_in_one_tower_is_torchvisions():
    """61,100,840 parameters, as torchvision's page of its weights says."""
    net = purecnn.models.alexnet_one_tower()
    assert net.summary((224, 224, 3)).parameters == 61_100_840
    assert net.shapes((224, 224, 3))[13] == (6, 6, 256)


def test_constants_among_the_residuals_take_no_bytes():
    """A number, an array that does not depend on the input: they are part of the program, not of a step."""
    table = jnp.arange(6.0)

    def fwd(params, state, x, train, key):
        return 2 * x, state, (x, 2, 0.5, jnp.float32(3), table)

    double = nn.function(lambda x: 2 * x)
    layer = purecnn.chain.Layer("double", double.apply, fwd, lambda residuals, y_bar, train: (2 * y_bar, {}))
    row, pool = purecnn.Chain("net", (layer, nn.avg_pool2d(2))).summary((2, 2, 6)).rows
    assert (row.residual_bytes, pool.residual_bytes) == (2 * 2 * 6 * 4, 0)


def test_blocks_that_repeat_are_one_entry_of_the_table():
    net = purecnn.models.resnet_cifar(features=(4, 8), blocks_per_stage=5)
    summary = net.summary((8, 8, 3))
    assert len(summary.rows) == len(net.layers) == 25
    cells = [line.split() for line in str(summary).splitlines()]
    names = [line[: 3 if "×" in line else 1] for line in cells[5:-3]]
    assert names == [
        *(["conv2d"], ["batch_norm"], ["relu"], ["residual"], ["relu"]),  # it keeps the first ReLU's y
        *(["4", "×", "residual"], ["relu"]),
        *(["residual"], ["relu"], ["4", "×", "residual"], ["relu"], ["global_avg_pool"], ["dense"]),
    ]
    assert summary.parameters == summary.weights + summary.biases  # all of them, not those that are shown
    assert str(summary).endswith("n times in sequence; each line is one layer's")
    assert "×" not in str(purecnn.Chain("two", (nn.relu(), nn.relu())).summary((3,)))


def test_a_block_repeats_where_all_of_its_layers_do():
    narrow, wide = (nn.conv2d(4, 1), nn.relu()), (nn.conv2d(8, 1), nn.relu())
    text = str(purecnn.Chain("net", (*narrow * 4, *wide * 4)).summary((2, 2, 4)))
    assert text.count("4 × conv2d") == 0  # the first of the four widens
    assert text.count("3 × conv2d") == 2


def test_each_of_equal_layers_is_traced_once_for_its_shape():
    calls = []

    def traced(x):
        calls.append(x.shape)
        return x + 1

    net = purecnn.Chain("deep", (nn.function(traced),) * 50)
    net.shapes((3,))
    assert len(calls) == 1
    net.summary((3,))
    assert len(calls) == 1 + 1 + 50  # shapes are remembered; FLOPs once; the forward pass as it runs


def test_a_layer_without_a_rule_is_marked():
    net = purecnn.Chain("net", (nn.function(jnp.tanh), nn.relu(), nn.residual(nn.function(jnp.sin))))
    lines = str(net.summary((3,))).splitlines()
    assert [line.split("  ")[0].strip() for line in lines[5:8]] == ["tanh (autodiff)", "relu", "residual (autodiff)"]
    assert lines[-1] == "autodiff: no backward rule, JAX differentiates the layer or one inside it"
    assert not any(row.by_autodiff for row in purecnn.models.lenet().summary((8, 8, 1)).rows)


def test_without_rules_the_residuals_are_autodiffs():
    """Of a pool, what the maximum at every offset needs, in place of a byte per window."""
    net = purecnn.Chain("net", (nn.conv2d(4, 3), nn.max_pool2d()))
    ruled, plain = (n.summary((6, 6, 2)).rows for n in (net, net.without_rules()))
    assert plain[0].flops == ruled[0].flops
    assert plain[1].residual_bytes > 4 * ruled[1].residual_bytes


def test_statistics_over_devices_are_counted_as_those_of_one():
    nets = [purecnn.Chain("net", (nn.residual(nn.batch_norm(axis_name=name)),)) for name in (None, "data", ("a", "b"))]
    assert len({str(net.summary((4, 4, 2))) for net in nets}) == 1
