"""An Equinox module, and the same module on purecnn's rules, in two ways.

    python -m experiments.drop_in.equinox_net

Equinox's layers take one image, C H W, with kernels O I H W and a bias O 1 1, and `jax.vmap` makes the batch. purecnn
takes a batch, N H W C, with kernels H W I O. `Swapped` keeps Equinox's convention to the outside: each layer takes and
gives C H W and is a batch of one inside. `Batched` is called on the batch, with no vmap around it, and turns the images
once, on entering; only the kernels, which are small, are transposed in each layer.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

import purecnn


class Conv(eqx.nn.Conv2d):
    """eqx.nn.Conv2d, computed by purecnn: the same constructor and the same two parameters. x is N H W C."""

    def batched(self, x):
        w, b = self.weight.transpose(2, 3, 1, 0), self.bias[:, 0, 0]
        return purecnn.conv2d(x, w, b, stride=self.stride, padding=self.padding)

    def __call__(self, x, *, key=None):
        return self.batched(x.transpose(1, 2, 0)[None])[0].transpose(2, 0, 1)


class Net(eqx.Module):
    conv1: eqx.nn.Conv2d
    conv2: eqx.nn.Conv2d
    out: eqx.nn.Linear

    def __init__(self, side, key, conv=eqx.nn.Conv2d):
        one, two, three = jax.random.split(key, 3)
        self.conv1 = conv(3, 16, 3, padding=1, key=one)
        self.conv2 = conv(16, 32, 3, padding=1, key=two)
        self.out = eqx.nn.Linear(32 * (side // 4) ** 2, 10, key=three)

    def relu_and_pool(self, x):
        return eqx.nn.MaxPool2d(2, stride=2)(jax.nn.relu(x))

    def __call__(self, x):
        """One image C H W."""
        x = self.relu_and_pool(self.conv1(x))
        x = self.relu_and_pool(self.conv2(x))
        return self.out(x.ravel())


class Swapped(Net):
    def relu_and_pool(self, x):
        return purecnn.max_pool2d(purecnn.relu(x.transpose(1, 2, 0))[None])[0].transpose(2, 0, 1)


class Batched(Net):
    def __call__(self, x):
        """Images N C H W."""
        x = x.transpose(0, 2, 3, 1)
        x = purecnn.max_pool2d(purecnn.relu(self.conv1.batched(x)))
        x = purecnn.max_pool2d(purecnn.relu(self.conv2.batched(x)))
        return purecnn.dense(x.transpose(0, 3, 1, 2).reshape(len(x), -1), self.out.weight.T, self.out.bias)


def forms(side: int):
    """name: (parameters, a function of them and of a batch N H W C to logits)."""

    def pure(net, conv, batch):
        params, rest = eqx.partition(net(side, jax.random.key(0), conv), eqx.is_array)

        def apply(params, x):
            return batch(eqx.combine(params, rest))(jnp.transpose(x, (0, 3, 1, 2)))

        return params, apply

    return {
        "as it was": pure(Net, eqx.nn.Conv2d, jax.vmap),
        "swapped": pure(Swapped, Conv, jax.vmap),
        "swapped, batched": pure(Batched, Conv, lambda net: net),
    }


if __name__ == "__main__":
    from experiments.drop_in.run import compare, steps

    print(compare(steps("equinox_net")))
