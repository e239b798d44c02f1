"""Run in a process of its own (see test_shardings.py): every rule and net on every kind of mesh of four CPU devices.

What is expected is what one device computes, and that a cotangent lies where its primal lies.
"""

import sys

import jax

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_dtype_promotion", "strict")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax.sharding import AxisType, NamedSharding  # noqa: E402
from jax.sharding import PartitionSpec as P  # noqa: E402

import purecnn  # noqa: E402
from purecnn import nn  # noqa: E402
from tests.catalogue import SUBJECTS  # noqa: E402
from tests.oracles.roads import assert_trees_close, at_positions, quick_jit  # noqa: E402

AXES = ("data", "model")
MESH = jax.make_mesh((2, 2), AXES)  # explicit axes: the default
AUTO = jax.make_mesh((2, 2), AXES, axis_types=(AxisType.Auto, AxisType.Auto))
LOSSES = (purecnn.softmax_cross_entropy, purecnn.squared_error)
CLOSE = 2e-6


def arguments(subject):
    """The subject's own in float32, of an even batch, and which of them are images (or rows)."""
    args = list(subject.arguments("float32"))
    batched = [0, 1] if subject.rule in LOSSES else [0]
    if args[0].shape[0] % 2:
        for i in batched:
            args[i] = jnp.concatenate([args[i], 2 * args[i] if i == 0 else args[i]])
    return args, batched


def specs(args, batched, columns):
    """Images over "data"; with `columns` the last axis of all but images over "model", where it divides."""

    def spec(i, a):
        if a is None:
            return None
        if i in batched:
            return P("data")
        even = columns and a.ndim > 0 and a.shape[-1] % 2 == 0 and jnp.issubdtype(a.dtype, jnp.floating)
        return P(*[None] * (a.ndim - 1), "model") if even else P()

    return [spec(i, a) for i, a in enumerate(args)]


def place(mesh, args, spec):
    return [None if a is None else jax.device_put(a, NamedSharding(mesh, s)) for a, s in zip(args, spec, strict=True)]


def waves(tree):
    """A scalar that is not linear in y."""
    return sum(jnp.sin(y.astype(jnp.float32)).sum() for y in jax.tree.leaves(tree))


def gradients(subject, args):
    """y and the gradients with respect to the floating arguments, through the joined rule."""
    chosen = subject.differentiable(args)
    function = at_positions(subject.call, args, chosen)
    some = [args[i] for i in chosen]
    return function(*some), jax.grad(lambda some: waves(function(*some)))(some)


def curvature(subject, args):
    chosen = subject.differentiable(args)
    function = at_positions(subject.call, args, chosen)

    def slope(some):
        bars = jax.grad(lambda some: waves(function(*some)))(some)
        return sum((jnp.cos(bar) * bar).sum() for bar in bars)

    return jax.grad(slope)([args[i] for i in chosen])


def assert_placed(bars, primals):
    for bar, primal in zip(bars, primals, strict=True):
        assert bar is None or bar.sharding.is_equivalent_to(primal.sharding, primal.ndim), (
            bar.sharding,
            primal.sharding,
        )


def check_meshes(subject):
    """Explicit axes under jit, eagerly, in vmap, by hand and in second order; auto axes under jit."""
    args, batched = arguments(subject)
    floats = subject.differentiable(args)
    expected = quick_jit(lambda args: gradients(subject, args))(args)
    for columns in (False, True):
        spec = specs(args, batched, columns)
        placed = place(MESH, args, spec)
        got = quick_jit(lambda args: gradients(subject, args))(placed)
        assert_trees_close(got, expected, CLOSE, f"{subject}: explicit")
        assert_placed(got[1], [placed[i] for i in floats])
        assert_trees_close(
            quick_jit(lambda args: gradients(subject, args))(place(AUTO, args, spec)),
            expected,
            CLOSE,
            f"{subject}: auto",
        )
    with jax.set_mesh(MESH):
        assert_trees_close(quick_jit(lambda args: gradients(subject, args))(placed), expected, CLOSE, f"{subject}: set")
        assert_trees_close(gradients(subject, placed), expected, CLOSE, f"{subject}: eager")

    def by_hand(args):
        y, residuals = subject.fwd(*args, **subject.options)
        y_bar = jax.tree.map(lambda y: jnp.cos(y.astype(jnp.float32)).astype(y.dtype), y)
        return y, [bar for bar in subject.bwd(residuals, y_bar, **subject.options) if bar is not None]

    for function in (by_hand, quick_jit(by_hand)):
        got = function(placed)
        assert_trees_close(got, expected, CLOSE, f"{subject}: by hand")
        assert_placed(got[1], [placed[i] for i in floats])

    weights = [i for i in floats if i not in batched] or [0]
    axes = [0 if i in weights else None for i in range(len(args))]

    def stacked(args):
        return [jnp.stack([a, 2 * a]) if i in weights else a for i, a in enumerate(args)]

    mapped = quick_jit(jax.vmap(lambda *args: gradients(subject, args), in_axes=tuple(axes)))
    assert_trees_close(mapped(*stacked(placed)), mapped(*stacked(args)), CLOSE, f"{subject}: vmap")
    second = quick_jit(lambda args: curvature(subject, args))
    assert_trees_close(second(placed), second(args), 2e-5, f"{subject}: second order")


def check_shard_map(subject):
    """Each mix of replicated and varying arguments; gradients inside and outside: those of all devices together."""
    if subject.rule in (purecnn.batch_norm, purecnn.dropout) or "input_shape" in subject.options:
        return  # a device has statistics, a mask and a batch size of its own
    args, batched = arguments(subject)
    chosen = subject.differentiable(args)
    expected = quick_jit(lambda args: gradients(subject, args))(args)[1]
    mesh = jax.make_mesh((2,), ("data",), devices=jax.devices()[:2])
    spec = tuple(P("data") if i in batched else P() for i in range(len(args)))
    args = place(mesh, args, spec)

    def inside(cast):
        def run(*args):
            if cast:
                args = [a if i in batched else jax.lax.pcast(a, "data", to="varying") for i, a in enumerate(args)]
            bars = gradients(subject, args)[1]
            return [
                jax.lax.psum(b, "data") if cast and i not in batched else b for i, b in zip(chosen, bars, strict=True)
            ]

        return jax.shard_map(run, mesh=mesh, in_specs=spec, out_specs=[spec[i] for i in chosen])

    def loss(some):
        full = list(args)
        for i, a in zip(chosen, some, strict=True):
            full[i] = a
        total = jax.shard_map(
            lambda *args: jax.lax.psum(waves(subject.call(*args)), "data"), mesh=mesh, in_specs=spec, out_specs=P()
        )
        return total(*full)

    some = [args[i] for i in chosen]
    present = tuple(args)
    assert_trees_close(quick_jit(inside(False))(*present), expected, CLOSE, f"{subject}: inside")
    if None not in args:
        assert_trees_close(quick_jit(inside(True))(*present), expected, CLOSE, f"{subject}: cast by the caller")
    assert_trees_close(quick_jit(jax.grad(loss))(some), expected, CLOSE, f"{subject}: outside")


def nets():
    every = purecnn.Chain(
        "every",
        (
            nn.conv2d(4, 3, padding="SAME", stride=2, bias=False),
            nn.batch_norm(),
            nn.relu(),
            nn.max_pool2d(3, stride=2),
            nn.local_response_norm(),
            nn.residual(nn.conv2d(4, 3, padding="SAME", algorithm="im2col")),
            nn.dropout(0.5),
            nn.avg_pool2d(2, stride=1),
            nn.flatten(),
            nn.dense(4),
        ),
    )
    return [
        (every, (12, 12, 2)),
        (purecnn.models.lenet(4), (8, 8, 1)),
        (purecnn.models.cifar_cnn(4, features=(4, 8), hidden=8), (8, 8, 3)),
        (purecnn.models.resnet(4, features=(4, 8)), (8, 8, 3)),
    ]


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

    expected = quick_jit(by_hand)(params, x, labels)
    for mesh in (MESH, AUTO):
        split = [jax.device_put(a, NamedSharding(mesh, P("data"))) for a in (x, labels)]
        columns = jax.tree.map(
            lambda p, mesh=mesh: NamedSharding(
                mesh, P(*[None] * (p.ndim - 1), "model" if p.shape[-1] % 2 == 0 else None)
            ),
            params,
        )
        for placed in (jax.device_put(params, NamedSharding(mesh, P())), jax.device_put(params, columns)):
            for step in (by_hand, by_jax):
                got = quick_jit(step)(placed, *split)
                assert_trees_close(got, expected, 2e-5, net.name)
                if mesh is MESH:  # with auto axes XLA places them
                    assert_placed(jax.tree.leaves(got[1]), jax.tree.leaves(placed))
    with jax.set_mesh(MESH):
        split = [jax.device_put(a, NamedSharding(MESH, P("data"))) for a in (x, labels)]
        assert_trees_close(by_jax(jax.device_put(params, P()), *split), expected, 2e-5, f"{net.name}: eager")

    if state == [{}] * len(state) and net.name != "every":  # statistics and masks are a device's own in shard_map
        mesh = jax.make_mesh((4,), ("data",))
        specs = {"mesh": mesh, "in_specs": (P(), P("data"), P("data")), "out_specs": P()}
        split = [
            jax.device_put(a, NamedSharding(mesh, s))
            for a, s in zip((params, x, labels), specs["in_specs"], strict=True)
        ]

        def average(params, x, labels, step=by_hand):
            loss, grads = step(params, x, labels)
            return jax.lax.pmean(loss, "data"), jax.tree.map(lambda g: g / 4, grads)

        def average_by_jax(params, x, labels):
            return average(params, x, labels, by_jax)

        def cast_by_the_caller(params, x, labels):
            return jax.lax.pmean(by_hand(jax.lax.pcast(params, "data", to="varying"), x, labels), "data")

        for step in (average, average_by_jax, cast_by_the_caller):
            got = quick_jit(jax.shard_map(step, **specs))(*split)
            assert_trees_close(got, expected, 2e-5, f"{net.name}: shard_map")

        def not_summed(params, x, labels):
            return by_hand(jax.lax.pcast(params, "data", to="varying"), x, labels)

        try:
            quick_jit(jax.shard_map(not_summed, **specs))(*split)
        except ValueError:
            pass
        else:
            raise AssertionError("a gradient of each device's own samples passed for that of all")
        spread = jax.pmap(lambda p, x, l: jax.lax.pmean(by_hand(p, x, l), "data"), "data", in_axes=(None, 0, 0))
        got = jax.tree.map(lambda a: a[0], spread(params, x.reshape(4, 2, *shape), labels.reshape(4, 2)))
        assert_trees_close(got, expected, 2e-5, f"{net.name}: pmap")


if __name__ == "__main__":
    assert jax.device_count() == 4
    part, parts = (int(n) for n in sys.argv[1:]) if len(sys.argv) > 1 else (0, 1)
    for subject in SUBJECTS[part::parts]:
        check_meshes(subject)
        check_shard_map(subject)
    for net, shape in nets()[part::parts]:
        check_net(net, shape)
    print("right on four devices")
