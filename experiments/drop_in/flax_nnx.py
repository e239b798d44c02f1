"""A Flax NNX module, and the same module on purecnn's rules: its parameters, names and checkpoints stay what they are.

    python -m experiments.drop_in.flax_nnx

NNX keeps images N H W C and kernels H W I O, as purecnn does, so nothing is transposed.
"""

from flax import nnx

import purecnn


class Net(nnx.Module):
    conv = nnx.Conv

    def __init__(self, side: int, rngs: nnx.Rngs):
        self.conv1 = self.conv(3, 16, (3, 3), rngs=rngs)
        self.conv2 = self.conv(16, 32, (3, 3), rngs=rngs)
        self.out = nnx.Linear(32 * (side // 4) ** 2, 10, rngs=rngs)

    def relu_and_pool(self, x):
        return nnx.max_pool(nnx.relu(x), (2, 2), strides=(2, 2))

    def __call__(self, x):
        x = self.relu_and_pool(self.conv1(x))
        x = self.relu_and_pool(self.conv2(x))
        return self.out(x.reshape(len(x), -1))


class Conv(nnx.Conv):
    """nnx.Conv, computed by purecnn: the same constructor and the same two parameters."""

    def __call__(self, x):
        return purecnn.conv2d(x, self.kernel[...], self.bias[...], stride=self.strides, padding=self.padding)


class Swapped(Net):
    conv = Conv

    def relu_and_pool(self, x):
        return purecnn.max_pool2d(purecnn.relu(x))


def forms(side: int):
    """name: (parameters, a function of them and of a batch N H W C to logits)."""

    def pure(net):
        graph, params = nnx.split(net(side, rngs=nnx.Rngs(0)))
        return params, lambda params, x: nnx.merge(graph, params)(x)

    return {"as it was": pure(Net), "swapped": pure(Swapped)}


if __name__ == "__main__":
    from experiments.drop_in.run import compare, steps

    print(compare(steps("flax_nnx")))
