"""Rules made of a function and its backward function, with all arguments as residuals."""

import inspect

import jax


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
