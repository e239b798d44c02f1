"""Faults people make in backward rules, for `assert_rejected`. Each makes a faulty `_bwd` of a right one."""

import jax
import jax.numpy as jnp


def cotangent_ignored(subject):
    """As if every ȳ were 1: what a test with `jax.grad(sum)` cannot see."""

    def cotangent_ignored(residuals, y_bar, **options):
        return subject.bwd(residuals, jax.tree.map(jnp.ones_like, y_bar), **options)

    return cotangent_ignored


def as_if(subject, **changed):
    """With other options than the forward had; ȳ (and a winner's index) is cut or filled up with zeros to fit."""

    def as_if(residuals, y_bar, **options):
        args = subject.arguments(y_bar.dtype)
        size = jax.eval_shape(lambda *args: subject.rule(*args, **{**options, **changed}), *args).shape

        def fitted(a):
            if a is not y_bar and a.dtype != jnp.uint8:
                return a
            common = a[tuple(slice(min(new, old)) for new, old in zip(size, a.shape, strict=True))]
            return jnp.pad(common, [(0, new - old) for new, old in zip(size, common.shape, strict=True)])

        return subject.bwd(jax.tree.map(fitted, residuals), fitted(y_bar), **{**options, **changed})

    as_if.__name__ = f"as_if_{changed}"
    return as_if


def changed(subject, position, fault):
    """One cotangent replaced by `fault(bar, residuals, y_bar)`, the others right."""

    def faulty(residuals, y_bar, **options):
        bars = list(subject.bwd(residuals, y_bar, **options))
        bars[position] = fault(bars[position], residuals, y_bar)
        return tuple(bars)

    return faulty


def first_sample_only(subject, position):
    """The sum over the batch is missing."""

    def first_sample_only(residuals, y_bar, **options):
        bars = list(subject.bwd(residuals, y_bar, **options))
        alone = y_bar.at[1:].set(0)
        bars[position] = subject.bwd(residuals, alone, **options)[position]
        return tuple(bars)

    return first_sample_only


def mean_over_batch(subject, position):
    return changed(subject, position, lambda bar, _, y_bar: bar / len(y_bar))
