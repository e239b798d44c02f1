"""Run in a process of its own (see test_sharding.py): data parallel steps on eight CPU devices."""

import jax

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax.sharding import AxisType, NamedSharding  # noqa: E402
from jax.sharding import PartitionSpec as P  # noqa: E402

import purecnn  # noqa: E402
from purecnn import blocks  # noqa: E402
from tests.oracles.roads import quick_jit  # noqa: E402

MESH = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))


def net(algorithm):
    return purecnn.Chain(
        "net",
        (
            blocks.conv2d(4, 3, padding="SAME", stride=2, algorithm=algorithm),
            blocks.relu(),
            blocks.max_pool2d(3, stride=2),
            blocks.local_response_norm(),
            blocks.flatten(),
            blocks.dense(3),
        ),
    )


def problem(algorithm):
    chain, rng = net(algorithm), np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: chain.init(jax.random.key(0), (8, 8, 2)))
    params = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), p.dtype), shapes)
    return chain, params, jnp.asarray(rng.normal(size=(16, 8, 8, 2)), "float32"), jnp.arange(16) % 3


def assert_close(got, expected):
    for g, e in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-5, atol=1e-6)


def check_shard_map(algorithm):
    """Each device its two samples: weights made varying, gradients averaged, the same as all sixteen on one device."""
    chain, params, x, labels = problem(algorithm)

    def loss(params, x, labels):
        return purecnn.softmax_cross_entropy(chain.apply(params, x), labels).mean()

    def by_hand(params, x, labels):
        params = jax.lax.pcast(params, "data", to="varying")
        return jax.lax.pmean(purecnn.backprop(chain, params, x, labels), "data")

    def by_jax(params, x, labels):
        params = jax.lax.pcast(params, "data", to="varying")
        return jax.lax.pmean(jax.value_and_grad(loss)(params, x, labels), "data")

    def not_averaged(params, x, labels):
        params = jax.lax.pcast(params, "data", to="varying")
        return jax.value_and_grad(loss)(params, x, labels)

    specs = {"mesh": MESH, "in_specs": (P(), P("data"), P("data")), "out_specs": P()}
    expected = quick_jit(jax.value_and_grad(loss))(params, x, labels)
    for step in (by_hand, by_jax):
        assert_close(quick_jit(jax.shard_map(step, **specs))(params, x, labels), expected)
    try:
        quick_jit(jax.shard_map(not_averaged, **specs))(params, x, labels)
    except ValueError:
        return
    raise AssertionError("a gradient of each device's own samples passed for that of all")


def check_jit_of_a_sharded_batch(algorithm):
    chain, params, x, labels = problem(algorithm)
    step = quick_jit(lambda params, x, labels: purecnn.backprop(chain, params, x, labels))
    expected = step(params, x, labels)
    split = NamedSharding(MESH, P("data"))
    params = jax.device_put(params, NamedSharding(MESH, P()))
    assert_close(step(params, jax.device_put(x, split), jax.device_put(labels, split)), expected)


if __name__ == "__main__":
    assert jax.device_count() == 8
    for algorithm in ("auto", "im2col", "blocks"):
        check_shard_map(algorithm)
    check_jit_of_a_sharded_batch("auto")
    print("right on eight devices")
