"""Run in a process of its own (see test_shardings.py): every net on every kind of mesh of four CPU devices."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import purecnn
from purecnn import nn
from tests.modern_net import INPUT_SHAPE, modern
from tests.oracles.agreement import assert_trees_close
from tests.sharded import AUTO, MESH, assert_placed  # sets the number of devices
from verify.running import quickly


def nets():
    """Every kind of layer once; "plain" keeps no state and draws nothing, so that shards can be told from the whole."""
    every = purecnn.Chain(
        "every",
        (
            nn.conv2d(4, 3, padding="SAME", stride=2, bias=False),
            nn.batch_norm(),
            nn.relu(),
            nn.max_pool2d(3, stride=2),
            nn.local_response_norm(),
            nn.residual(nn.conv2d(4, 3, padding="SAME", algorithm="im2col"), shortcut=(nn.conv2d(4, 1),)),
            nn.dropout(0.5),
            nn.avg_pool2d(2, stride=1),
            nn.flatten(),
            nn.dense(4),
        ),
    )
    plain = purecnn.Chain("plain", (nn.conv2d(4, 3), nn.relu(), nn.max_pool2d(), nn.flatten(), nn.dense(4)))
    return [(every, (12, 12, 2)), (plain, (8, 8, 1)), (modern(), INPUT_SHAPE)]


def check_net(net, shape):
    """By the two lists and by `jax.grad`, on explicit and auto meshes and in shard_map."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), shape))
    params = jax.tree.map(lambda p: jnp.asarray(0.3 * rng.normal(size=p.shape), p.dtype), shapes)
    state, key = net.init_state(shape), jax.random.key(1)
    x, labels = jnp.asarray(rng.normal(size=(8, *shape)), "float32"), jnp.arange(8) % 4

    def by_hand(params, x, labels):
        return purecnn.backprop(net, params, x, labels, state=state, train=True, key=key)

    def by_jax(params, x, labels):
        def loss(params):
            y = net.apply(params, x, state=state, train=True, key=key)
            return purecnn.softmax_cross_entropy(y, labels).mean()

        return jax.value_and_grad(loss)(params)

    def both(*args):
        return by_hand(*args), by_jax(*args)

    expected = quickly(by_hand)(params, x, labels)
    for mesh in (MESH, AUTO):
        split = [jax.device_put(a, NamedSharding(mesh, P("data"))) for a in (x, labels)]
        columns = jax.tree.map(
            lambda p, mesh=mesh: NamedSharding(
                mesh, P(*[None] * (p.ndim - 1), "model" if p.shape[-1] % 2 == 0 else None)
            ),
            params,
        )
        for where in (columns, NamedSharding(mesh, P()))[: 2 if mesh is MESH else 1]:
            placed = jax.device_put(params, where)
            for got in quickly(both)(placed, *split):
                assert_trees_close(got, expected, 2e-5, net.name)
                if mesh is MESH:  # with auto axes XLA places them
                    assert_placed(jax.tree.leaves(got[1]), jax.tree.leaves(placed))
    if net.name == "every":  # an operation outside `jit` is a program of its own
        with jax.set_mesh(MESH):
            split = [jax.device_put(a, NamedSharding(MESH, P("data"))) for a in (x, labels)]
            assert_trees_close(by_jax(jax.device_put(params, P()), *split), expected, 2e-5, f"{net.name}: eager")

    if net.name == "plain":  # statistics and masks are a device's own in shard_map
        mesh = jax.make_mesh((4,), ("data",))
        specs = {"mesh": mesh, "in_specs": (P(), P("data"), P("data")), "out_specs": P()}
        split = [
            jax.device_put(a, NamedSharding(mesh, s))
            for a, s in zip((params, x, labels), specs["in_specs"], strict=True)
        ]

        def average(step, *args):
            loss, grads = step(*args)
            return jax.lax.pmean(loss, "data"), jax.tree.map(lambda g: g / 4, grads)

        def cast_by_the_caller(params, x, labels):
            return jax.lax.pmean(by_hand(jax.lax.pcast(params, "data", to="varying"), x, labels), "data")

        def ways(*args):
            return average(by_hand, *args), average(by_jax, *args), cast_by_the_caller(*args)

        for got in quickly(jax.shard_map(ways, **specs))(*split):
            assert_trees_close(got, expected, 2e-5, f"{net.name}: shard_map")

        def not_summed(params, x, labels):
            return by_hand(jax.lax.pcast(params, "data", to="varying"), x, labels)

        try:
            quickly(jax.shard_map(not_summed, **specs))(*split)
        except ValueError:
            pass
        else:
            raise AssertionError("a gradient of each device's own samples passed for that of all")
        spread = jax.pmap(lambda p, x, l: jax.lax.pmean(by_hand(p, x, l), "data"), "data", in_axes=(None, 0, 0))
        got = jax.tree.map(lambda a: a[0], spread(params, x.reshape(4, 2, *shape), labels.reshape(4, 2)))
        assert_trees_close(got, expected, 2e-5, f"{net.name}: pmap")


if __name__ == "__main__":
    for net, shape in nets():
        check_net(net, shape)
    print("right on four devices")
