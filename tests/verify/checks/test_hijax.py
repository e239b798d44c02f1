"""Hijax primitives: `expand` is the function, and each method written by hand is compared with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify

try:
    from jax.experimental import hijax

    HiPrim = hijax.HiPrim
except (ImportError, AttributeError):
    pytest.skip("hijax.HiPrim is in JAX 0.11 and newer; the lock has an older one", allow_module_level=True)

X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
Y = (np.abs(np.random.default_rng(1).standard_normal((3, 4))) + 0.5).astype(np.float32)


def dense(tangent, primal):
    return jnp.zeros_like(primal) if isinstance(tangent, hijax.Zero) else tangent


class OfOneArray(HiPrim):
    """Of one array, to one like it."""

    def __init__(self, x):
        self.in_avals, self.out_aval, self.params = (x,), x, {}
        super().__init__()


def sine_times(faulty="", factor=1.01, without=(), closed=False):
    """sin(x) y, with one method off by a factor, or some not written; `closed`: of one instance, made beforehand."""

    def off(name):
        return factor if name == faulty else 1.0

    class SineTimes(HiPrim):
        def __init__(self, x, y):
            self.in_avals, self.out_aval, self.params = (x, y), x, {}
            super().__init__()

        def expand(self, x, y):
            return jnp.sin(x) * y

        def vjp_fwd(self, nzs, x, y):
            return off("vjp_fwd") * self(x, y), (x, y)

        def vjp_bwd_retval(self, res, g):
            x, y = res
            return off("vjp_bwd") * g * jnp.cos(x) * y, g * jnp.sin(x)

        def jvp(self, primals, tangents):
            (x, y), (dx, dy) = primals, map(dense, tangents, primals)
            return off("jvp's value") * self(x, y), off("jvp") * jnp.cos(x) * y * dx + jnp.sin(x) * dy

        def lin(self, nzs, x, y):
            return off("lin") * self(x, y), (x, y)

        def linearized(self, res, *tangents):
            (x, y), (dx, dy) = res, map(dense, tangents, res)
            return off("linearized") * jnp.cos(x) * y * dx + jnp.sin(x) * dy

        def batch(self, axis_data, args, dims):
            x, y = (
                jnp.broadcast_to(a, (axis_data.size, *a.shape)) if d is None else jnp.moveaxis(a, d, 0)
                for a, d in zip(args, dims, strict=True)
            )
            y = y[::-1] if faulty == "batch" else y
            return type(self)(jax.typeof(x), jax.typeof(y))(x, y), 0

    for name in without:
        delattr(SineTimes, name)
    one = SineTimes(jax.typeof(X), jax.typeof(Y)) if closed else None
    return lambda x, y: (one or SineTimes(jax.typeof(x), jax.typeof(y)))(x, y)


def test_right():
    report = verify.check(sine_times(), X, Y)
    assert report.ok, report
    assert "hand-written rule removed" in report.oracle


@pytest.mark.parametrize(
    ("faulty", "check", "words"),
    [
        ("vjp_fwd", "forward", "output"),
        ("vjp_bwd", "gradient", "x"),
        ("jvp", "pushforward", "tangent of output under jax.jvp, the method jvp"),
        ("jvp's value", "pushforward", "output under jax.jvp, the method jvp"),
        ("lin", "pushforward", "output under jax.linearize, the method lin"),
        ("linearized", "pushforward", "tangent of output under jax.linearize, the method linearized"),
        ("batch", "methods", "batch"),
    ],
)
def test_the_wrong_method_is_found_and_named(faulty, check, words):
    report = verify.check(sine_times(faulty), X, Y, cases=0)
    assert (report.failures[0].check, report.failures[0].argument) == (check, words)


def test_an_error_of_a_millionth_is_seen():
    report = verify.check(sine_times("vjp_bwd", 1 + 1e-6), X, Y, cases=0)
    assert report.verdict == "wrong"


@pytest.mark.parametrize("without", [("jvp",), ("batch",), ("jvp", "lin", "linearized", "batch")])
def test_a_method_that_is_not_written_is_a_note(without):
    report = verify.check(sine_times(without=without), X, Y, cases=0)
    assert report.ok, report
    assert any(f"must implement `{without[-1]}`" in n or "refused" in n for n in report.notes)


def test_a_square_product_stays_within_what_expand_takes():
    """JAX announces `out_aval` for any shape; `expand` refuses a rectangular one."""

    class Product(HiPrim):
        def __init__(self, a, b):
            self.in_avals, self.out_aval, self.params = (a, b), a, {}
            super().__init__()

        def expand(self, a, b):
            return a @ b

        def vjp_fwd(self, nzs, a, b):
            return self(a, b), (a, b)

        def vjp_bwd_retval(self, res, g):
            return g @ res[1].T, res[0].T @ g

    report = verify.check(lambda a, b: Product(jax.typeof(a), jax.typeof(b))(a, b), X[:3, :3], Y[:3, :3])
    assert report.ok, report


@pytest.fixture
def as_primitives():
    """JAX makes a hijax primitive of every custom_vjp and custom_jvp."""
    names = [n for n in ("jax_custom_vjp3", "jax_custom_jvp3") if n in jax.config.values]
    if not names:
        pytest.skip("jax_custom_vjp3 is in JAX 0.12 and newer")
    before = {n: jax.config.values[n] for n in names}
    for name in names:
        jax.config.update(name, True)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.mark.usefixtures("as_primitives")
@pytest.mark.parametrize("off", [1.0, 1 + 1e-6])
def test_a_custom_vjp_that_jax_makes_a_primitive(off):
    rule = jax.custom_vjp(lambda x: jnp.sin(x))
    rule.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (off * g * jnp.cos(x),))
    report = verify.check(rule, X, cases=0)
    assert report.verdict == ("right" if off == 1.0 else "wrong"), report


@pytest.mark.usefixtures("as_primitives")
def test_the_convention_of_a_custom_jvp_that_jax_makes_a_primitive():
    report = verify.check(lambda x, w: jax.nn.relu(x @ w), X, np.ones((4, 2), np.float32), checks=("gradient",))
    assert report.ok, report


def test_a_loop_in_a_primitive_has_a_budget():
    """Newton's square root, which never ends below 0."""

    class Root(OfOneArray):
        def expand(self, x):
            far = lambda s: jnp.abs(s * s - x).max() > 1e-5 * x.max()  # noqa: E731
            return jax.lax.while_loop(far, lambda s: 0.5 * (s + x / s), x)

        def vjp_fwd(self, nzs, x):
            y = self(x)
            return y, y

        def vjp_bwd_retval(self, y, g):
            return (g / (2 * y),)

    report = verify.check(lambda x: Root(jax.typeof(x))(x), Y, seconds=10)
    assert not report.failures, report
    assert any("did not end" in str(o) for o in report.outcomes), report


@pytest.mark.parametrize("faulty", ["", "vjp_bwd"])
def test_an_instance_that_a_function_closes_over_gets_its_own_dtype(faulty):
    report = verify.check(sine_times(faulty, closed=True), X, Y, cases=0)
    assert report.verdict == ("wrong" if faulty else "right"), report


def exponential(low=-np.inf, digits=np.float64):
    """exp(x) whose `jvp` answers 0 below `low`, and whose `batch` has a base of as many `digits`."""

    class Exponential(OfOneArray):
        def expand(self, x):
            return jnp.exp(x)

        def vjp_fwd(self, nzs, x):
            return jnp.exp(x), jnp.exp(x)

        def vjp_bwd_retval(self, y, g):
            return (g * y,)

        def jvp(self, primals, tangents):
            (x,), dx = primals, dense(tangents[0], primals[0])
            return jnp.exp(x), dx * jnp.exp(x) * (x >= low)

        def batch(self, axis_data, args, dims):
            return jnp.power(digits(np.e), args[0]), dims[0]

    return lambda x: Exponential(jax.typeof(x))(x)


def test_tangents_are_compared_at_numbers_that_the_example_has_not():
    example = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    assert verify.check(exponential(), example).ok
    report = verify.check(exponential(low=-1.05), example)
    assert [f.check for f in report.failures] == ["pushforward"], report


@pytest.mark.parametrize("digits", [np.float32, np.float16])
def test_a_method_may_have_constants_of_the_digits_of_its_dtype(digits):
    report = verify.check(exponential(digits=digits), X, cases=0)
    assert report.ok == (digits is np.float32), report


def test_of_a_primitive_in_a_primitive_the_wrong_one_is_named():
    class Inner(OfOneArray):
        def expand(self, x):
            return jnp.tanh(x)

        def vjp_fwd(self, nzs, x):
            return jnp.tanh(x), jnp.tanh(x)

        def vjp_bwd_retval(self, y, g):
            return (1.001 * g * (1 - y * y),)

    class Outer(OfOneArray):
        def expand(self, x):
            return 2 * Inner(jax.typeof(x))(x)

        def vjp_fwd(self, nzs, x):
            y, back = jax.vjp(Inner(jax.typeof(x)), x)
            return 2 * y, back

        def vjp_bwd_retval(self, back, g):
            return back(2 * g)

    report = verify.check(lambda x: Outer(jax.typeof(x))(x), X, cases=0)
    assert report.verdict == "wrong", report
    assert any("of the rules inside" in n and "Inner is wrong" in n for n in report.notes), report
