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


def test_residual_bytes_are_what_the_rules_keep():
    """conv: its input; relu: its output; pool: a byte a window; dense: its input."""
    layers = (nn.conv2d(8, 3), nn.relu(), nn.max_pool2d(), nn.flatten(), nn.dense(7))
    net = purecnn.Chain("net", layers)
    assert [row.residual_bytes for row in net.summary((6, 6, 2)).rows] == [
        6 * 6 * 2 * 4,
        4 * 4 * 8 * 4,
        2 * 2 * 8,
        0,
        32 * 4,
    ]
    assert net.summary((6, 6, 2)).residual_bytes == 288 + 512 + 32 + 128
    assert net.summary((6, 6, 2), jnp.bfloat16).rows[0].residual_bytes == 6 * 6 * 2 * 2


def test_totals_are_the_parameters_of_the_net():
    net = purecnn.models.resnet(features=(4, 8))
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
