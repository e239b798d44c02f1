"""Run in a process of its own (see test_shardings.py): batch norm's statistics over four CPU devices.

The expected values, cotangents and second derivatives are those that one device computes from the whole batch.
"""

import functools

import jax

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_disable_most_optimizations", True)  # what runs eagerly is compiled too, and runs but once

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax import lax  # noqa: E402
from jax.sharding import AxisType, NamedSharding  # noqa: E402
from jax.sharding import PartitionSpec as P  # noqa: E402

import purecnn  # noqa: E402
from purecnn import nn  # noqa: E402
from tests.oracles.agreement import assert_trees_close  # noqa: E402
from verify.running import quickly  # noqa: E402

RNG = np.random.default_rng(0)
X, W = (jnp.asarray(RNG.normal(size=(8, 3, 2, 5))) for _ in range(2))
SCALE, BIAS = (jnp.asarray(RNG.normal(size=5)) for _ in range(2))
PARTS, WEIGHTS = (a.reshape(4, 2, *a.shape[1:]) for a in (X, W))  # a device's share first
SPEC, COPIED = (P("data"), P(), P()), (0, None, None)
on_all = functools.partial(purecnn.batch_norm, axis_name="data")


def of_y(y, w):
    return (jnp.sin(y) * w).sum()


def of_statistics(mean, variance):
    return (jnp.cos(mean) * jnp.arange(5.0)).sum() + (variance**2).sum()


def whole(x, scale, bias):
    y, mean, variance = purecnn.batch_norm(x, scale, bias)
    return of_y(y, W) + of_statistics(mean, variance)


def gradients(loss):
    return jax.grad(loss, argnums=(0, 1, 2))


def curvature(loss):
    return gradients(lambda *args: sum((jnp.cos(bar) * bar).sum() for bar in gradients(loss)(*args)))


def check(got, expected, where):
    got = (got[0].reshape(X.shape), *got[1:])
    assert_trees_close(got, expected, 1e-12, where)


def check_shard_map(types, checked):
    """With shard_map's checks a replicated array is one array; without them each device has a copy."""
    mesh, where = jax.make_mesh((4,), ("data",), axis_types=(types,)), f"shard_map, {types}, checked: {checked}"
    mapped = functools.partial(jax.shard_map, mesh=mesh, check_vma=checked)
    args = [jax.device_put(a, NamedSharding(mesh, s)) for a, s in zip((X, SCALE, BIAS), SPEC, strict=True)]
    w = jax.device_put(W, NamedSharding(mesh, P("data")))
    values = quickly(mapped(on_all, in_specs=SPEC, out_specs=SPEC))(*args)  # the statistics are shared by all devices
    check(values, VALUES, where)

    def loss(shares):
        """A loss of the statistics: all of it once, or a quarter of it on each of the four devices."""

        def inner(x, scale, bias, w):
            y, mean, variance = on_all(x, scale, bias)
            if shares:
                return lax.psum(of_y(y, w) + of_statistics(mean, variance) / 4, "data")
            return lax.psum(of_y(y, w), "data") + of_statistics(mean, variance)

        return lambda *args: mapped(inner, in_specs=(*SPEC, P("data")), out_specs=P())(*args, w)

    for shares in (False, True):
        ways = [way(loss(shares)) for way in (gradients, curvature)]
        both = quickly(lambda *args, ways=ways: [way(*args) for way in ways])
        for got, expected, what in zip(both(*args), (GRADIENTS, CURVATURE), ("gradient", "second order"), strict=True):
            check(got, expected, f"{where}, {what} outside")

    def inside(cast):
        def run(x, scale, bias, w):
            if cast:
                scale, bias = (lax.pcast(a, "data", to="varying") for a in (scale, bias))

            def loss(x, scale, bias):
                y, mean, variance = on_all(x, scale, bias)
                statistics = of_statistics(mean, variance)
                return of_y(y, w) + (lax.pcast(statistics, "data", to="varying") if checked else statistics) / 4

            x_bar, *bars = gradients(loss)(x, scale, bias)
            return x_bar, *(lax.psum(bar, "data") if cast or not checked else bar for bar in bars)

        return quickly(mapped(run, in_specs=(*SPEC, P("data")), out_specs=SPEC))

    for cast in (False, True) if checked else (False,):
        check(inside(cast)(*args, w), GRADIENTS, f"{where}, gradient inside, cast: {cast}")
    if checked:
        alike = [jax.device_put(a, NamedSharding(mesh, P())) for a in (X, SCALE, BIAS)]

        def everywhere(x, scale, bias):
            y, mean, variance = on_all(x, scale, bias)
            return of_y(y, W) + of_statistics(mean, variance)

        got = quickly(mapped(gradients(everywhere), in_specs=(P(),) * 3, out_specs=(P(),) * 3))(*alike)
        check(got, GRADIENTS, f"{where}, the same x on every device")


def check_copies(map_over, where):
    """`pmap` and `vmap`: every device has a copy of the statistics, and any of them may be used."""
    run = map_over(on_all, axis_name="data", in_axes=COPIED)
    y, means, variances = run(PARTS, SCALE, BIAS)
    for mean, variance in zip(means, variances, strict=True):
        check((y, mean, variance), VALUES, where)

    def loss(parts, scale, bias):
        y, mean, variance = run(parts, scale, bias)
        return of_y(y, WEIGHTS) + of_statistics(mean[0], variance[3])

    for one in (loss, jax.jit(loss)):
        check(gradients(one)(PARTS, SCALE, BIAS), GRADIENTS, f"{where}, gradient outside")
    check(curvature(loss)(PARTS, SCALE, BIAS), CURVATURE, f"{where}, second order")

    def inside(x, scale, bias, w):
        def loss(x, scale, bias):
            y, mean, variance = on_all(x, scale, bias)
            return of_y(y, w) + of_statistics(mean, variance) / 4

        x_bar, *bars = gradients(loss)(x, scale, bias)
        return x_bar, *(lax.psum(bar, "data") for bar in bars)

    x_bar, *bars = map_over(inside, axis_name="data", in_axes=(*COPIED, 0))(PARTS, SCALE, BIAS, WEIGHTS)
    check((x_bar, *(bar[1] for bar in bars)), GRADIENTS, f"{where}, gradient inside")


def check_net():
    """`backprop` of a net on its share of the batch: averaged over the devices, that of the whole batch."""

    def net(axis_name):
        norms = (nn.batch_norm(axis_name=axis_name), nn.batch_norm(axis_name=axis_name))
        return purecnn.Chain(
            "net", (nn.conv2d(4, 2, bias=False), norms[0], nn.residual(nn.relu(), norms[1]), nn.flatten(), nn.dense(3))
        )

    labels, shape = jnp.arange(8) % 3, X.shape[1:]
    params, state = net(None).init(jax.random.key(0), shape, X.dtype), net(None).init_state(shape, X.dtype)
    expected = purecnn.backprop(net(None), params, X, labels, state=state, train=True)
    expected_state = net(None).apply_with_state(params, X, state=state, train=True)[1]

    def step(params, x, labels):
        found = purecnn.backprop(net("data"), params, x, labels, state=state, train=True)
        return lax.pmean(found, "data"), net("data").apply_with_state(params, x, state=state, train=True)[1]

    mesh = jax.make_mesh((4,), ("data",))
    args = [jax.device_put(a, NamedSharding(mesh, P("data"))) for a in (X, labels)]
    specs = (P(), P("data"), P("data"))
    placed = jax.device_put(params, NamedSharding(mesh, P()))
    mapped = jax.shard_map(step, mesh=mesh, in_specs=specs, out_specs=P(), check_vma=False)
    assert_trees_close(quickly(mapped)(placed, *args), (expected, expected_state), 1e-12, "net, shard_map")
    labels = labels.reshape(4, 2)
    for map_over in (jax.vmap, jax.pmap):
        got = map_over(step, axis_name="data", in_axes=(None, 0, 0))(params, PARTS, labels)
        first = jax.tree.map(lambda a: a[0], got)
        assert_trees_close(first, (expected, expected_state), 1e-12, f"net, {map_over}")


if __name__ == "__main__":
    assert jax.device_count() == 4
    expected = quickly(lambda *args: (purecnn.batch_norm(*args), gradients(whole)(*args), curvature(whole)(*args)))
    VALUES, GRADIENTS, CURVATURE = expected(X, SCALE, BIAS)
    for types in (AxisType.Explicit, AxisType.Auto):
        for checked in (True, False):
            check_shard_map(types, checked)
    check_copies(jax.pmap, "pmap")
    check_copies(jax.vmap, "vmap")
    check_net()
    print("right on four devices")
