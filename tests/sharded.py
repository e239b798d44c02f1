"""Run in a process of its own (see test_shardings.py): every rule on every kind of mesh of four CPU devices.

What is expected is what one device computes, and that a cotangent has its primal's sharding.
"""

import sys

import jax

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_disable_most_optimizations", True)  # what runs eagerly is compiled too, and runs but once

import jax.numpy as jnp  # noqa: E402
from jax.sharding import AxisType, NamedSharding  # noqa: E402
from jax.sharding import PartitionSpec as P  # noqa: E402

import purecnn  # noqa: E402
from tests.catalogue import ONE_OF_EACH_KERNEL, ONE_OF_EACH_RULE, SUBJECTS  # noqa: E402
from tests.oracles.agreement import assert_trees_close, at_positions  # noqa: E402
from verify.running import quickly  # noqa: E402

AXES = ("data", "model")
MESH = jax.make_mesh((2, 2), AXES)  # explicit axes: the default
AUTO = jax.make_mesh((2, 2), AXES, axis_types=(AxisType.Auto, AxisType.Auto))
LOSSES = (purecnn.softmax_cross_entropy, purecnn.squared_error)
CLOSE = 2e-6


def arguments(subject):
    """The subject's own in float32, of an even batch, and which of them are images (or rows)."""
    args = list(subject.arguments("float32"))
    batched = list(range(len(args))) if subject.rule in (*LOSSES, purecnn.concatenate) else [0]
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


def by_hand(subject, args):
    """y and the cotangents, by the two functions of the pair, for the ȳ that `waves` has."""
    y, residuals = subject.fwd(*args, **subject.options)
    y_bar = jax.tree.map(lambda y: jnp.cos(y.astype(jnp.float32)).astype(y.dtype), y)
    return y, [bar for bar in subject.bwd(residuals, y_bar, **subject.options) if bar is not None]


WHOLE = "whole" in sys.argv


def in_full(subject):
    """The first of each rule: the others differ in an option or a kernel."""
    return WHOLE or subject in ONE_OF_EACH_RULE


def everything(subject, batched):
    """args -> gradients, the pair by hand; of a rule's first subject also gradients under vmap over the weights, and
    second order. One program, for most of a program's time is its compilation."""

    def run(args):
        found = gradients(subject, args), by_hand(subject, args)
        if not in_full(subject):
            return *found, None, None
        weights = [i for i in subject.differentiable(args) if i not in batched] or [0]
        axes = tuple(0 if i in weights else None for i in range(len(args)))
        stacked = [jnp.stack([a, a / 2]) if i in weights else a for i, a in enumerate(args)]  # 2 a would round more
        mapped = jax.vmap(lambda *args: gradients(subject, args), in_axes=axes)(*stacked)
        return *found, mapped, curvature(subject, args)

    return quickly(run)


def check_meshes(subject):
    """Explicit axes under jit, by hand and eagerly, in vmap and in second order; auto axes under jit. Returns the
    arguments, which of them are images, and the gradients."""
    args, batched = arguments(subject)
    floats = subject.differentiable(args)
    run = everything(subject, batched)
    expected, _, mapped, second = run(args)

    def compare(got, where, placed=None):
        assert_trees_close(got, expected, CLOSE, f"{subject}: {where}")
        if placed is not None:
            assert_placed(got[1], [placed[i] for i in floats])

    rows, columns = (specs(args, batched, columns) for columns in (False, True))
    placed = place(MESH, args, columns)
    got, paired, got_mapped, got_second = run(placed)
    compare(got, "explicit", placed)
    compare(paired, "by hand", placed)
    assert_trees_close(got_mapped, mapped, CLOSE, f"{subject}: vmap")
    assert_trees_close(got_second, second, 2e-5, f"{subject}: second order")
    compare(by_hand(subject, placed), "by hand, eager", placed)
    compare(quickly(lambda args: gradients(subject, args))(place(AUTO, args, columns)), "auto")
    with jax.set_mesh(MESH):
        if in_full(subject):
            compare(gradients(subject, placed), "set, eager", placed)
        placed = place(MESH, args, rows)
        compare(quickly(lambda args: gradients(subject, args))(placed), "set, rows alone", placed)
    return args, batched, expected[1]


def check_shard_map(subject, args, batched, expected):
    """Each mix of replicated and varying arguments; gradients inside and outside: those of all devices together."""
    if subject.rule in (purecnn.dropout, purecnn.drop_path) or "input_shape" in subject.options:
        return  # a device has a mask and a batch size of its own
    chosen = subject.differentiable(args)
    if subject.rule is purecnn.batch_norm:  # a device's statistics are those of its own samples
        half = args[0].shape[0] // 2
        alone = quickly(lambda args: gradients(subject, args))
        parts = ([samples, *args[1:]] for samples in (args[0][:half], args[0][half:]))
        first, second = (alone(part)[1] for part in parts)
        expected = [jnp.concatenate([first[0], second[0]]), *map(jnp.add, first[1:], second[1:])]
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

    def loss(some, args):
        full = list(args)
        for i, a in zip(chosen, some, strict=True):
            full[i] = a
        total = jax.shard_map(
            lambda *args: jax.lax.psum(waves(subject.call(*args)), "data"), mesh=mesh, in_specs=spec, out_specs=P()
        )
        return total(*full)

    def ways(args):
        found = {"inside": inside(False)(*args), "outside": jax.grad(loss)([args[i] for i in chosen], args)}
        if None not in args:
            found["cast by the caller"] = inside(True)(*args)
        return found

    for way, got in quickly(ways)(args).items():
        assert_trees_close(got, expected, CLOSE, f"{subject}: {way}")


if __name__ == "__main__":
    assert jax.device_count() == 4
    part, parts = map(int, sys.argv[1:3] or (0, 1))
    for subject in (SUBJECTS if WHOLE else ONE_OF_EACH_KERNEL)[part::parts]:
        check_shard_map(subject, *check_meshes(subject))
    print("right on four devices")
