import functools
import inspect
import re

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from purecnn.rules import Residuals, Rule, rule, shape_carrier
from tests.catalogue import ONE_OF_EACH_RULE, SUBJECTS, named
from tests.oracles.agreement import at_positions, cotangent_like
from tests.sampling import one_in
from verify.running import quickly


@functools.partial(rule, static=("power",))
def scaled(x, power, *, factor=1.0):
    """x ** power · factor."""
    return x**power * factor


@scaled.def_fwd
def scaled_fwd(x, power, *, factor=1.0):
    return scaled(x, power, factor=factor), (x,)


@scaled.def_bwd
def scaled_bwd(residuals, y_bar, power, *, factor=1.0):
    return (y_bar * (100 * power + factor),)  # not the derivative: what marks that this rule ran, with its options


def test_the_backward_rule_gets_the_options_under_their_names():
    assert jax.grad(lambda x: scaled(x, 3, factor=2.0))(5.0) == 302
    assert jax.grad(lambda x: scaled(x, power=3))(5.0) == 301


def test_the_primal_without_its_rule_is_reachable():
    assert jax.grad(lambda x: scaled.__wrapped__(x, 3, factor=2.0))(5.0) == 150


def test_name_docstring_and_signature_are_the_primals():
    assert (scaled.__name__, scaled.__doc__) == ("scaled", "x ** power · factor.")
    assert list(inspect.signature(scaled).parameters) == ["x", "power", "factor"]
    assert isinstance(scaled, Rule)


def test_lists_are_as_good_as_tuples():
    x = jnp.ones((1, 4, 4, 1))
    by_lists = purecnn.max_pool2d.__wrapped__(x, window=(2, 2), padding=((1, 1), (0, 0)))
    assert (jax.jit(lambda x: purecnn.max_pool2d(x, window=[2, 2], padding=[[1, 1], [0, 0]]))(x) == by_lists).all()


def test_an_array_is_no_option():
    with pytest.raises(TypeError, match=r"scaled: factor: got .*Array.*, expected a static \(hashable\) value"):
        scaled(1.0, 2, factor=jnp.ones(1))


def test_forward_mode_is_refused():
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(purecnn.relu, (jnp.ones(1),), (jnp.ones(1),))


def test_every_public_rule_has_its_pair():
    others = ("Chain", "backprop", "conv1d", "with_backward")
    names = {name for name in purecnn.__all__ if callable(getattr(purecnn, name)) and name not in others}
    rules = {name for name in names if not name.endswith(("_fwd", "_bwd"))}
    assert rules == {subject.rule.__name__ for subject in SUBJECTS}
    assert names == rules | {f"{name}_fwd" for name in rules} | {f"{name}_bwd" for name in rules}
    for name in rules:
        primal, fwd, bwd = (
            [p for p in inspect.signature(getattr(purecnn, name + end)).parameters.values() if p.name != "within"]
            for end in ("", "_fwd", "_bwd")  # of a chain's ReLU; no option of the function
        )
        assert [(p.name, p.default) for p in fwd] == [(p.name, p.default) for p in primal]
        options, of_bwd = ([(p.name, p.default) for p in each if p.kind is p.KEYWORD_ONLY] for each in (primal, bwd))
        assert of_bwd == options
        assert getattr(purecnn, name).__doc__


def test_a_shape_is_carried_in_no_bytes():
    carrier = shape_carrier(jnp.ones((5, 3, 2), jnp.bfloat16))
    assert (carrier.shape, carrier.dtype, carrier.nbytes) == ((0, 3, 2), jnp.bfloat16, 0)


WITH_PRODUCTS = ("conv2d-xla", "conv2d-im2col", "conv2d-winograd", "conv2d-auto", "dense")
PRODUCT = re.compile(r"stablehlo\.(?:convolution|dot_general).*?precision(?:_config)? = \[(.*?)\]")


@pytest.mark.parametrize("name", WITH_PRODUCTS)
@pytest.mark.parametrize("by_hand", [False, True], ids=["grad", "by hand"])
def test_the_backward_rule_has_the_precision_of_the_forward(name, by_hand):
    """Also where the caller's `with` ended before the backward rule is called, and in second derivatives."""
    subject = named(name)
    args = subject.arguments("float32")
    chosen = subject.differentiable(args)
    function, some = at_positions(subject.call, args, chosen), [args[i] for i in chosen]

    def first(some):
        with jax.default_matmul_precision("highest"):
            if by_hand:
                full = [some[chosen.index(i)] if i in chosen else a for i, a in enumerate(args)]
                y, residuals = subject.fwd(*full, **subject.options)
            else:
                y, pullback = jax.vjp(function, *some)
        y_bar = cotangent_like(y)
        return subject.bwd(residuals, y_bar, **subject.options) if by_hand else pullback(y_bar)

    def second(some):
        return jax.grad(lambda some: sum((bar**2).sum() for bar in first(some)))(some)

    for way in (first, second) if not by_hand and name != "conv2d-im2col" else (first,):
        asked = PRODUCT.findall(jax.jit(way).lower(some).as_text())
        assert len(asked) >= 2  # of x̄ and w̄; nothing asks for y
        assert all(one.count("HIGHEST") == 2 for one in asked), asked


def test_without_a_precision_none_is_set_for_the_backward_rule():
    """As it was when the forward rule was called, not as it is when the backward rule is."""
    x, w = jnp.ones((2, 3)), jnp.ones((3, 4))

    def bars(x, w):
        y, pullback = jax.vjp(purecnn.dense, x, w)
        with jax.default_matmul_precision("highest"):
            return pullback(y)

    assert "HIGHEST" not in jax.jit(bars).lower(x, w).as_text()


@pytest.mark.parametrize("subject", one_in(3, ONE_OF_EACH_RULE), ids=str)
def test_a_second_gradient_outside_jit_compiles_nothing(subject):
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **__: compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    args = subject.arguments("float32")
    chosen = subject.differentiable(args)

    def gradient():
        y, pullback = jax.vjp(at_positions(subject.call, args, chosen), *(args[i] for i in chosen))
        return pullback(jax.tree.map(jnp.ones_like, y))

    jax.jit(lambda: 0)()
    assert compiled  # the listener works; another test of this process may have compiled the rule already
    gradient()
    first = len(compiled)
    gradient()
    assert len(compiled) == first


def test_a_profile_names_rules_and_directions():
    def loss(x, w):
        with jax.named_scope("encoder"):
            return jnp.sin(purecnn.conv2d(x, w)).sum()

    text = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(jnp.ones((1, 4, 4, 20)), jnp.ones((3, 3, 20, 20)))
    text = re.sub(r"jit\(_(primal|forward|backward)\)/", "", text.as_text(debug_info=True))  # JAX 0.12 has them too
    for name in ("jvp(encoder)/conv2d_fwd/conv2d/", "(encoder))/conv2d_bwd/x_bar/", "(encoder))/conv2d_bwd/w_bar/"):
        assert re.search(re.escape(name) + r".*(conv_general_dilated|dot_general|jit\(conv_\w+\.)", text), name


def test_residuals_are_a_tuple_that_knows_its_call():
    x, w = jnp.ones((2, 3)), jnp.ones((3, 4))
    _, residuals = purecnn.dense_fwd(x, w)
    assert isinstance(residuals, Residuals)
    kept_x, kept_w, none = residuals
    assert kept_x is x
    assert kept_w is w
    assert none is None
    again = jax.tree.map(lambda a: 2 * a, residuals)
    assert again.call == residuals.call
    y_bar = jnp.ones((2, 4))
    for kept in (residuals, (x, w, None)):  # a tuple of the caller's own is as good
        np.testing.assert_array_equal(purecnn.dense_bwd(kept, y_bar)[1], x.T @ y_bar)


LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), "float32")
LABELS = jnp.array([0, 2, 1, 1])
SWEPT = {
    "dropout": lambda rate: purecnn.dropout(LOGITS, jax.random.key(0), rate),
    "drop_path": lambda rate: purecnn.drop_path(LOGITS, jax.random.key(0), rate=rate),
    "softmax_cross_entropy": lambda e: purecnn.softmax_cross_entropy(LOGITS, LABELS, label_smoothing=e),
}
swept = pytest.mark.parametrize("function", SWEPT.values(), ids=SWEPT)


@swept
def test_a_number_to_sweep_may_be_an_array(function):
    """Traced, under `vmap`, or outside of `jit`, where another number compiles nothing."""
    rates = jnp.array([0.0, 0.25, 0.5])
    expected = jnp.stack([function(float(rate)) for rate in rates])
    one_by_one = [jnp.stack([run(rate) for rate in rates]) for run in (jax.jit(function), function)]
    for got in (*one_by_one, jax.vmap(function)(rates)):
        np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", one_in(2, ["bfloat16", "float64"]))
def test_gradients_at_a_traced_number_are_those_at_the_static_one(dtype):
    """In the chosen dtype, by grad and by hand, twice, and on a mesh with explicit axes; the number itself has none."""
    with jax.enable_x64(dtype == "float64"):
        x, key, labels = LOGITS.astype(dtype), jax.random.key(0), LABELS

        def losses(x, rate):
            dropped = purecnn.drop_path(purecnn.dropout(x, key, rate), key, rate)
            return (purecnn.softmax_cross_entropy(dropped, labels, label_smoothing=rate) ** 2).sum()

        def twice(x, rate):
            return jax.grad(lambda x: (jax.grad(losses)(x, rate) ** 2).sum())(x)

        tolerance = {"bfloat16": 0.05, "float64": 1e-12}[dtype]
        for derivative in (jax.grad(losses), twice):
            expected = quickly(lambda x, derivative=derivative: derivative(x, 0.25))(x)
            mesh = jax.make_mesh((1,), ("data",))
            placed = jax.device_put(x, jax.NamedSharding(mesh, jax.P("data")))
            for got in (quickly(derivative)(each, jnp.float32(0.25)) for each in (x, placed)):
                assert got.dtype == dtype
                np.testing.assert_allclose(*(np.asarray(a, "float64") for a in (got, expected)), rtol=tolerance)
        assert jax.grad(losses, argnums=1)(x, jnp.float32(0.25)) == 0

        y, residuals = purecnn.dropout_fwd(x, key, jnp.float32(0.25))
        for rate in (0.25, jnp.float32(0.25)):
            np.testing.assert_array_equal(purecnn.dropout_bwd(residuals, x, rate)[0], y)


@swept
def test_a_number_out_of_its_range_is_refused_unless_it_is_traced(function):
    for number in (-0.5, 1.0, jnp.float32(1.0), np.array(-0.5)):
        with pytest.raises(ValueError, match=r"got (1\.0|-0\.5), expected at least 0 and below 1"):
            function(number)
    with pytest.raises(ValueError, match=r"got shape \(2,\), expected one number"):
        function(jnp.zeros(2))
    assert jax.eval_shape(jax.jit(function), jnp.float32(7)).shape in ((4,), (4, 3))


def test_an_option_that_cannot_be_traced_says_so():
    message = r"leaky_relu: negative_slope: got .*Tracer, expected a static \(hashable\) value: not traced"
    with pytest.raises(TypeError, match=message):
        jax.jit(lambda x, slope: purecnn.leaky_relu(x, negative_slope=slope))(LOGITS, 0.1)


def test_another_backward_rule_gets_the_traced_number():
    def bwd(residuals, y_bar, rate):
        return y_bar * rate, None

    scaled_back = purecnn.with_backward(purecnn.dropout, bwd)
    gradient = jax.jit(lambda rate: jax.grad(lambda x: scaled_back(x, jax.random.key(0), rate).sum())(LOGITS))
    np.testing.assert_allclose(gradient(0.125), 0.125)
