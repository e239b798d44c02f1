"""Rules made of a function and its backward function, with all arguments as residuals."""

import inspect

import jax

import verify

LONG = 600.0  # seconds: a busy machine leaves no call out
SLOPES = ("contract", "gradient", "adjoint", "differences", "second order")  # of the numbers alone


def with_arguments(fun, bwd):
    """`fun` with all its arguments as residuals."""
    rule = jax.custom_vjp(fun)
    rule.defvjp(lambda *args: (fun(*args), args), bwd)
    return rule


def joined(fun, backward, wrong):
    """The same of a rule with the options of `fun`; `backward` is told whether to be `wrong`."""

    def rule(*arrays, **options):
        def bwd(residuals, cotangents):
            return backward(residuals, cotangents, wrong=wrong, **options)

        return with_arguments(lambda *a: fun(*a, **options), bwd)(*arrays)

    rule.__signature__ = inspect.signature(fun)
    return rule


def assert_only_the_fault_is_seen(fun, backward, *args, checks):
    """The faulty rule is wrong, and its right twin right."""
    assert verify.check(joined(fun, backward, wrong=True), *args, checks=checks, seconds=LONG).verdict == "wrong"
    report = verify.check(joined(fun, backward, wrong=False), *args, checks=checks, seconds=LONG)
    assert report.ok, report
