"""Each method of a hijax primitive: right ones pass, and where one is wrong, it is called wrong by its name."""

import jax
import pytest

import verify

from ..primitives import (
    CALLS,
    Doubled,
    Norm,
    Pair,
    Power,
    Product,
    Scattered,
    SineTimes,
    Solved,
    Taken,
    Total,
    Tree,
    X,
    made,
)

try:
    from jax.experimental import hijax

    hijax.HiPrim  # noqa: B018 (asks whether it is there)
except (ImportError, AttributeError):
    pytest.skip("hijax.HiPrim is in JAX 0.11 and newer; the lock has an older one", allow_module_level=True)

HAS_REMAT = "jax_remat3" in jax.config.values


@pytest.mark.parametrize("kind", list(CALLS), ids=lambda kind: kind.__name__)
def test_right(kind):
    rule, args = made(kind)
    report = verify.check(rule, *args, cases=0)
    assert report.ok, report


@pytest.mark.parametrize(
    ("kind", "fault", "check", "words"),
    [
        *((kind, "vjp_fwd", "forward", "output") for kind in (Product, Pair, Taken)),
        *((kind, "vjp_bwd", "gradient", "") for kind in (Product, Total, Tree, Scattered)),
        *((kind, "jvp", "pushforward", "the method jvp") for kind in (Product, Pair, Taken)),
        *((kind, "jvp's value", "pushforward", "the method jvp") for kind in (Total, Tree)),
        *((kind, "lin", "pushforward", "the method lin") for kind in (Product, Pair)),
        *((kind, "linearized", "pushforward", "the method linearized") for kind in (Total, Scattered)),
        *((kind, "batch", "transforms", "") for kind in (Product, Taken)),
        *((kind, "batch's axis", "methods", "batch") for kind in (SineTimes, Product, Pair, Solved)),
        (Norm, "batch", "methods", "batch"),
        (SineTimes, "batch of one", "methods", "batch"),
        (SineTimes, "batch of equal axes", "methods", "batch"),
        *((kind, "zero tangent", "methods", "jvp") for kind in (SineTimes, Product)),
        (Pair, "zero cotangent", "methods", "vjp_bwd"),
        *((kind, "transpose", "primitive", "transpose") for kind in (Scattered, Doubled)),
        (Pair, "dce", "primitive", "dce"),
        *((kind, "params", "primitive", "params") for kind in (Total,)),
        *((kind, "out_aval", "contract", "expand") for kind in (SineTimes, Pair)),
        *((kind, "cotangent's dtype", "contract", "") for kind in (SineTimes, Tree)),
        *((kind, "remat", "methods", "remat") for kind in (SineTimes, Pair)),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_wrong_method_is_named(kind, fault, check, words):
    if fault == "remat" and not HAS_REMAT:
        pytest.skip("jax_remat3, without which JAX never calls remat, is in JAX 0.12 and newer")
    rule, args = made(kind, fault)
    report = verify.check(rule, *args, cases=0, checks=("contract", check))
    assert any(f.check == check and words in f.argument for f in report.failures), report


@pytest.mark.parametrize(("fault", "words"), [("", ""), ("jvp at 3", "the method jvp"), ("batch at 3", "batch")])
def test_each_method_is_asked_at_other_parameters(fault, words):
    kind = type("Power", (Power,), {"fault": fault})
    rule = lambda x, exponent=3: kind(jax.typeof(x), exponent=exponent)(x)  # noqa: E731
    report = verify.check(rule, X, checks=("contract", "gradient", "pushforward", "methods"))
    assert report.ok is (not fault), report
    assert not fault or words in report.failures[0].argument
    assert not fault or "exponent=4" in report.failures[0].case


def test_a_gradient_that_jax_makes_of_another_method_names_it():
    class Made(Product):
        fault = "jvp"
        vjp_fwd, vjp_bwd_retval = hijax.vjp_from_jvp
        vjp_bwd = hijax.HiPrim.vjp_bwd

    report = verify.check(lambda *a: Made(*map(jax.typeof, a))(*a), *CALLS[Product][0], checks=("gradient",))
    assert "which vjp_from_jvp makes" in report.failures[0].message, report


@pytest.mark.parametrize(("fault", "verdict"), [("", "right"), ("vjp_bwd", "wrong")])
def test_an_instance_is_taken_at_its_own_shapes(fault, verdict):
    kind = type("Instance", (Product,), {"fault": fault})
    x, w = CALLS[Product][0]
    prim = kind(jax.typeof(x), jax.typeof(w))
    report = verify.check(prim, x, w, checks=("contract", "gradient"))
    assert (report.rule, report.verdict) == ("Instance", verdict)
    assert all("sizes" not in o.case and "batch" not in o.case for o in report.outcomes)
    assert any("shapes are fixed" in note for note in report.notes)


def test_params_that_cannot_be_hashed():
    x = CALLS[Total][0][0]
    report = verify.check(lambda x: Total(jax.typeof(x), axis=1, extra=[1])(x), x, cases=0, checks=("primitive",))
    assert any("cannot be hashed" in f.message for f in report.failures), report


def test_what_is_not_written_is_a_note():
    report = verify.check(*_spread(made(Product)), cases=0, checks=("contract", "gradient", "primitive"))
    assert report.ok
    assert any("not written, so not checked: transpose, dce" in note for note in report.notes), report


def _spread(rule_and_args):
    rule, args = rule_and_args
    return rule, *args
