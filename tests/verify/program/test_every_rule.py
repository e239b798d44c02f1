"""Every rule that runs in a program is found and checked on the program's values."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import verify
from verify import cli
from verify.program.records import recorded
from verify.report.finding import UncheckableError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 5)).astype(np.float32)
W = RNG.standard_normal((3, 5, 5)).astype(np.float32)
Y = np.array([0, 1, 2, 3])
FEW = ("contract", "gradient", "pushforward")


@pytest.fixture(autouse=True)
def _other_peoples_code_promotes_dtypes():
    with jax.numpy_dtype_promotion("standard"):
        yield


@jax.custom_vjp
def swish(x):
    return x * jax.nn.sigmoid(x)


def swish_bwd(x, g):
    s = jax.nn.sigmoid(x)
    return (g * s * (1 + x * (1 - s)),)


swish.defvjp(lambda x: (swish(x), x), swish_bwd)


@jax.custom_jvp
def cube(x):
    return x**3


@cube.defjvp
def cube_jvp(primals, tangents):
    return primals[0] ** 3, 2.9 * primals[0] ** 2 * tangents[0]  # should be 3


def loss(w, x, y):
    h = jax.lax.scan(lambda c, v: (swish(c @ v), None), x, w)[0]
    h = jax.vmap(jax.checkpoint(cube))(h)
    return optax.softmax_cross_entropy_with_integer_labels(jax.nn.relu(h), y).mean()


OPTIMIZER = optax.adam(1e-3)


def step(w, state, x, y):
    value, gradient = jax.value_and_grad(loss)(w, x, y)
    updates, state = OPTIMIZER.update(gradient, state, w)
    return optax.apply_updates(w, updates), state, value


def by_name(reports):
    return {r.rule.split(".")[-1]: r for r in reports}


def test_an_optax_training_step_under_jit_scan_vmap_and_remat():
    compiled = jax.jit(step, donate_argnums=(0, 1))
    w, state = jnp.asarray(W), OPTIMIZER.init(W)
    reports = by_name(verify.check_all(compiled, w, state, X, Y, checks=FEW))
    assert set(reports) == {"swish", "cube", "relu"}
    assert [r.verdict for r in reports.values()] == ["right", "wrong", "right"]
    assert "×0.9667" in str(reports["cube"])
    assert "f32[5]" in reports["cube"].call  # one row of the vmap
    assert not w.is_deleted()  # the copies were donated


def test_the_values_are_those_that_reach_the_rule():
    (first,) = recorded(jax.jit(jax.grad(lambda x: swish(2 * x).sum())), X)
    np.testing.assert_array_equal(first.args[0], 2 * X)
    (first,) = recorded(jax.jit(lambda xs: jax.lax.scan(lambda c, x: (c, swish(x + 1)), 0.0, xs)), X)
    np.testing.assert_array_equal(first.args[0], X[0] + 1)
    (first,) = recorded(jax.vmap(jax.grad(lambda x: swish(x).sum())), X)
    np.testing.assert_array_equal(first.args[0], X[0])


def test_arrays_of_numpy_have_the_dtypes_that_jax_computes_with():
    (first,) = recorded(swish, X.astype(np.float64))
    assert first.args[0].dtype == first.avals[0].dtype == np.float32
    with jax.enable_x64(True):
        (first,) = recorded(swish, X.astype(np.float64))
    assert first.args[0].dtype == first.avals[0].dtype == np.float64


def test_of_a_cond_the_branch_taken_and_of_a_rule_each_shape_once():
    def branches(x):
        x = jax.lax.cond(x.sum() > 1e9, cube, swish, x)
        return swish(x[:2]) + swish(x[2:])

    assert [(r.name.split(".")[-1], r.args[0].shape) for r in recorded(jax.jit(branches), X)] == [
        ("swish", (4, 5)),
        ("swish", (2, 5)),
    ]


def test_a_program_traced_before_is_looked_into_and_left_as_it_was():
    compiled = jax.jit(lambda x: swish(x) + 1)
    before = compiled.lower(X).as_text()
    compiled(X)
    assert len(recorded(compiled, X)) == 1
    assert len(recorded(compiled, X)) == 1
    assert compiled.lower(X).as_text() == before


def test_a_rule_made_anew_at_every_call_is_one_rule_for_each_value_it_closes_over():
    def scaled(x, factor):
        rule = jax.custom_vjp(lambda x: factor * x)
        rule.defvjp(lambda x: (factor * x, None), lambda _, g: (factor * g,))
        return rule(x)

    assert len(recorded(lambda x: scaled(scaled(scaled(x, 2), 2), 3), X)) == 2


def test_static_arguments_integers_and_keys_reach_the_rule():
    def masked(rate, x, index, key):
        return x[index] * jax.random.bernoulli(key, 1 - rate, (1, x.shape[1]))

    rule = jax.custom_vjp(masked, nondiff_argnums=(0,))

    def bwd(rate, res, g):
        x, index, key = res
        kept = g * jax.random.bernoulli(key, 1 - rate, (1, x.shape[1]))
        return jnp.zeros_like(x).at[index].add(kept), None, None

    rule.defvjp(lambda rate, *args: (masked(rate, *args), args), bwd)
    program = jax.jit(jax.grad(lambda x, index, key: rule(0.5, x, index, key).sum()))
    (record,) = recorded(program, X, Y[:2], jax.random.key(3))
    assert record.args[0] == 0.5
    assert record.args[2].tolist() == [0, 1]
    assert jnp.array_equal(jax.random.key_data(record.args[3]), jax.random.key_data(jax.random.key(3)))
    (report,) = verify.check_all(program, X, Y[:2], jax.random.key(3), checks=FEW)
    assert report.ok, report


def test_flax():
    nnx = pytest.importorskip("flax.nnx", reason="Flax is in the lock; another environment may lack it")

    class Net(nnx.Module):
        def __init__(self):
            self.dense = nnx.Linear(5, 4, rngs=nnx.Rngs(0))

        def __call__(self, x):
            return nnx.relu(swish(self.dense(x)))

    net = Net()
    optimizer = nnx.Optimizer(net, OPTIMIZER, wrt=nnx.Param)
    before = np.asarray(net.dense.kernel[...])

    @nnx.jit
    def train(net, optimizer):
        gradient = nnx.grad(lambda net: net(X).sum())(net)
        optimizer.update(net, gradient)

    reports = by_name(verify.check_all(train, net, optimizer, checks=FEW))
    assert set(reports) == {"swish", "relu"}
    assert all(r.ok for r in reports.values())
    np.testing.assert_array_equal(net.dense.kernel[...], before)  # a copy was trained


def test_equinox():
    eqx = pytest.importorskip("equinox", reason="Equinox is in the lock; another environment may lack it")

    @eqx.filter_custom_vjp
    def product(pair, scale):
        return pair[0] * pair[1] * scale

    product.def_fwd(lambda perturbed, pair, scale: (product(pair, scale), None))
    product.def_bwd(lambda res, g, perturbed, pair, scale: (g * pair[1] * scale, g * pair[0]))  # scale is missing

    @eqx.filter_jit
    def train(layer, x):
        return eqx.filter_grad(lambda m: jax.vmap(lambda r: product((swish(m(r)), r[:4]), 3.0))(x).sum())(layer)

    reports = verify.check_all(train, eqx.nn.Linear(5, 4, key=jax.random.key(0)), X, checks=FEW)
    assert [r.verdict for r in reports] == ["right", "wrong"]
    assert "filter_custom_vjp" in reports[1].rule
    assert reports[1].rule.endswith("product")


def test_a_failing_program_a_program_without_rules_and_a_spent_budget():
    with pytest.raises(UncheckableError, match="the function fails on these arguments: TypeError"):
        verify.check_all(lambda x: jnp.sin(x, x), X)
    assert verify.check_all(jnp.sin, X) == []
    (report,) = verify.check_all(swish, X, seconds=-1)
    assert report.verdict == "could not be checked"
    assert "were spent" in report.because


def wrong_step(x):
    return jax.grad(lambda x: cube(x).sum())(x)


def test_from_a_shell(capsys):
    few = ("--cases", "0", "--devices", "1")
    assert cli.main(["--all", f"{__name__}:wrong_step", "f32[3]", *few]) == 1
    assert "cube" in capsys.readouterr().out
    assert cli.main(["--all", f"{__name__}:swish", "f32[3]", *few]) == 0
    assert cli.main(["--all", f"{__name__}:Y", *few]) == 2
    assert cli.main(["--all", *few]) == 2
