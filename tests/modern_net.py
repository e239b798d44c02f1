"""A net of what came after ResNet, at the size of a toy, for the tests of meshes and of export."""

import purecnn
from purecnn import nn

INPUT_SHAPE = (8, 8, 2)


def modern() -> purecnn.Chain:
    """ConvNeXt's block, branches, squeeze-and-excitation and a decoder; four classes."""
    block = (nn.conv2d(4, 3, padding=1, groups=4), nn.layer_norm(), nn.dense(8), nn.gelu(), nn.dense(4))
    encoder = (
        nn.conv2d(4, 2, stride=2),
        nn.layer_norm(),
        nn.residual(*block),
        nn.branches((nn.conv2d(2, 1), nn.silu()), (nn.max_pool2d(3, stride=1, padding=1),)),
    )
    decoder = (nn.conv_transpose2d(4, 2, stride=2), nn.group_norm(2), nn.hard_swish(), nn.squeeze_excite(4, 2))
    head = (
        nn.upsample2d(2),
        nn.leaky_relu(),
        nn.adaptive_avg_pool2d(3),
        nn.tanh(),
        nn.relu6(),
        nn.global_avg_pool(),
        nn.dense(4),
    )
    return purecnn.Chain("modern", (*encoder, *decoder, *head))
