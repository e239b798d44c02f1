"""Many devices: a missing and a doubled sum are caught. Runs in a separate process, which can have eight devices."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import jax
jax.config.update("jax_num_cpu_devices", 8)
import jax.numpy as jnp, numpy as np
import verify
from jax.sharding import Mesh, PartitionSpec as P
from tests.verify.faulty_rules.joined import joined, normal
from tests.verify.faulty_rules.products import dense, dense_backward

args = normal(1, 4, 3), normal(2, 3, 5), normal(3, 5)
names = ("contract", "gradient", "devices")
report = verify.check(joined(dense, dense_backward), *args, cases=0, checks=names)
assert report.ok and {o.check for o in report.outcomes if o.status == "passed"} == set(names), str(report)

mesh = Mesh(np.array(jax.devices()), ("d",))

def local_of(sum_of):
    @jax.custom_vjp
    def local(x, w):
        return x * w[None, :]
    local.defvjp(lambda x, w: (x * w[None, :], (x, w)), lambda r, g: (g * r[1][None, :], sum_of((g * r[0]).sum(0))))
    return local

def summing(sum_of):
    # x split over devices, w on each of them; the rule of one device sums w's cotangent as it sees fit
    local = local_of(sum_of)
    def rule(x, w):
        return jax.shard_map(local, mesh=mesh, in_specs=(P("d"), P()), out_specs=P("d"), check_vma=False)(x, w)
    return rule

def plain(x, w):
    return x * w[None, :]

x, w = normal(4, 16, 3), normal(5, 3)
total = lambda v: jax.lax.psum(v, "d")
for name, sum_of in {"none": lambda v: v, "once": total, "twice": lambda v: total(total(v))}.items():
    for what, reference in {"with": plain, "without": None}.items():
        report = verify.check(summing(sum_of), x, w, reference=reference, cases=0, checks=("gradient",))
        print(f"{name} {what}: {report.verdict}", *[f.cause for f in report.failures])

# JAX asks that a cotangent vary over the devices as its argument does, and says so in words of its own.
def strict(x, w):
    return jax.shard_map(local_of(lambda v: v), mesh=mesh, in_specs=(P("d"), P()), out_specs=P("d"))(x, w)
report = verify.check(strict, x, w, reference=plain, cases=0)
print(f"varying: {report.verdict}", report.failures[0].cause)

# A rule that maps its own backward rule over the devices and forgets the sum: the first device's share is left.
@jax.custom_vjp
def whole(x, w):
    return plain(x, w)
def shares(r, g):
    body = lambda x, w, g: (g * w[None], (g * x).sum(0))
    specs = {"in_specs": (P("d"), P(), P("d")), "out_specs": (P("d"), P())}
    return jax.shard_map(body, mesh=mesh, check_vma=False, **specs)(*r, g)
whole.defvjp(lambda x, w: (whole(x, w), (x, w)), shares)
report = verify.check(whole, x, w, cases=0, checks=("gradient",))
print(f"share: {report.verdict}", *[f.cause for f in report.failures])

# Called where nothing has the axis.
report = verify.check(local_of(total), x, w, cases=0)
print(f"unbound: {report.verdict}", *[f.cause for f in report.failures])

# A rule that asks which device it is on is right on one and wrong on many.
def by_device(args, y, g):
    x, w, b = args
    return g @ w.T, x.T @ g, g.sum(0) * 1

def batch_constant(args, y, g):
    x, w, b = args
    return g @ w.T, x.T @ g, g.sum(0) if g.shape[0] != 1 else g[0] * 8

# On a mesh with explicit axes: the weight's cotangent states its sharding, does not, or is doubled.
def product(factor, said=True):
    rule = jax.custom_vjp(lambda x, w: x @ w)
    def w_bar(x, g):
        sharding = jax.typeof(x).sharding
        if not said or sharding.spec[0] is None:
            return x.T @ g
        whole = jax.sharding.NamedSharding(sharding.mesh, P(None, None))
        return jnp.einsum("nc,nd->cd", x, factor * g, out_sharding=whole)
    rule.defvjp(lambda x, w: (x @ w, (x, w)), lambda r, g: (g @ r[1].T, w_bar(r[0], g)))
    return rule

for name, rule in {"said": product(1), "unsaid": product(1, False), "doubled": product(2)}.items():
    report = verify.check(rule, *args[:2], cases=0, checks=("contract", "gradient", "devices"))
    found = [f.case.split(", ")[-1] for f in report.failures]
    print(f"{name}: {report.verdict}", found, ["out_sharding=" in n for n in report.notes if n.startswith("devices")])

report = verify.check(joined(dense, batch_constant), *args, cases=0, checks=("contract", "gradient", "devices"))
print(f"constant: {report.verdict}", [f.case.split(", ")[-1] for f in report.failures])

# One coin a sample, thrown on each device anew: the first part and the last may agree with the whole by chance.
def survivors(x, key):
    return jax.random.bernoulli(key, 0.6, x.shape[:1])[:, None]
drop = jax.custom_vjp(lambda x, key: jnp.where(survivors(x, key), x, 0))
drop.defvjp(lambda x, key: (drop(x, key), survivors(x, key)), lambda kept, g: (jnp.where(kept, g, 0), None))
for seed in range(4):
    report = verify.check(drop, normal(6, 6, 5), jax.random.key(seed), cases=0, checks=("gradient", "devices"))
    print(f"coins {seed}: {report.verdict}")
"""


def test_sums_over_devices():
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    # check_vma=False makes autodiff sum replicated cotangents itself: one more sum is one too many.
    for reference in ("with", "without"):
        assert said[f"none {reference}"] == "right"
        assert said[f"once {reference}"] == "wrong ×8 = the number of devices: a psum too many"
        assert said[f"twice {reference}"] == "wrong ×64 = the number of devices, squared: two psums too many"
    assert said["varying"].startswith("wrong a psum is missing or one too many")
    assert said["share"].startswith("wrong only the first 2 of the 16 entries of ȳ")
    assert said["share"].endswith("the share of one device: a psum is missing")
    assert said["unbound"].startswith("wrong the rule sums over an axis of a mesh (check it through a function")
    assert said["constant"].startswith("wrong")
    assert [said[f"coins {seed}"] for seed in range(4)] == ["right"] * 4
    assert said["said"] == "right [] []"
    assert said["unsaid"] == "right [] [True]"
    assert said["doubled"] == "wrong ['a mesh with explicit axes'] []"
