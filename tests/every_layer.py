"""A net of every kind of layer."""

import purecnn
from purecnn import nn


def everything():
    body = (nn.conv2d(4, 3, padding=[[1, 1], [1, 1]], bias=False), nn.batch_norm(), nn.relu(slope_at_zero=0.5))
    return purecnn.Chain(
        "everything",
        (
            nn.residual(*body),
            nn.branches((nn.conv2d(2, 1),), purecnn.Chain("way", (nn.max_pool2d(3, stride=1, padding="SAME"),))),
            nn.function(cubed),
            purecnn.with_backward(nn.sigmoid(), doubled),
            nn.dropout(0.25),
            nn.flatten(),
            nn.dense(3),
        ),
    )


def cubed(x):
    return x**3


def doubled(residuals, y_bar, train):
    x_bar, params_bar = nn.sigmoid().bwd(residuals, y_bar, train)
    return 2 * x_bar, params_bar
