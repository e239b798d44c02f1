"""A small net for images of any size."""

from purecnn import Chain, nn


def small(num_classes: int) -> Chain:
    layers = (nn.conv2d(8, 7, stride=4), nn.relu(), nn.conv2d(16, 3, stride=2), nn.relu())
    return Chain("small", (*layers, nn.global_avg_pool(), nn.dense(num_classes)))
