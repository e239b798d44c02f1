"""Arguments: static options, which are hashable and chosen when a rule is compiled, and arrays."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Options = tuple[tuple[str, Any], ...]
Checks = Mapping[str, Callable[[str, str, Any], None]]


class _Traced:
    """Stands in the static options for a number that is an array, behind the other arrays."""

    def __repr__(self) -> str:
        return "traced"


TRACED = _Traced()


class Partial(functools.partial):
    """A `functools.partial` that equals another of the same function and arguments, where they are hashable."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Partial) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    def _parts(self) -> tuple[Any, ...]:
        return self.func, self.args, tuple(sorted(self.keywords.items()))


def splitter(
    layer: str, function: Callable[..., Any], static: tuple[str, ...], traceable: Checks
) -> Callable[..., Any]:
    """(args, kwargs) -> the static options, with defaults, and the arrays: those behind no name in `static` and not
    keyword-only, of `*xs` each one; behind them the options in `traceable` that are arrays. Each of these is checked
    as it was given."""
    signature = inspect.signature(function)
    several = {p.name for p in signature.parameters.values() if p.kind is p.VAR_POSITIONAL}
    backward = "residuals" in signature.parameters  # which may be a list
    is_static = {p.name: p.kind is p.KEYWORD_ONLY or p.name in static for p in signature.parameters.values()}

    def split(*args, **kwargs) -> tuple[Options, tuple[Any, ...]]:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{layer}: {error}") from None
        bound.apply_defaults()
        given = bound.arguments
        options, traced = [], []
        for name in (name for name in given if is_static[name]):
            value = given[name]
            if name in traceable:
                traceable[name](layer, name, value)
            if name in traceable and isinstance(value, jax.Array | np.ndarray):
                options.append((name, TRACED))
                traced.append(value)
            else:
                options.append((name, static_value(layer, name, value)))
        for name, value in given.items():
            if isinstance(value, list) and not is_static[name] and not backward:
                raise TypeError(f"{layer}: {name}: got a list, expected an array, as by jnp.asarray")
        arrays = (given[name] if name in several else (given[name],) for name in given if not is_static[name])
        return tuple(options), (*sum(arrays, ()), *traced)

    return split


def unsplit(options: Options, arguments: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The other way: positional and keyword arguments."""
    traced = [name for name, value in options if value is TRACED]
    count = len(arguments) - len(traced)
    return tuple(arguments[:count]), dict(options) | dict(zip(traced, arguments[count:], strict=True))


def static_value(layer: str, name: str, value: Any) -> Any:
    """Lists become tuples, so that `padding=[[1, 1], [2, 2]]` is as good as tuples; an array is refused."""
    if isinstance(value, list | tuple):
        return tuple(static_value(layer, name, item) for item in value)
    if not is_hashable(value):
        raise TypeError(f"{layer}: {name}: got {type(value).__name__}, expected a static (hashable) value: not traced")
    return value


def sample_shape(name: str, shape: Any) -> tuple[Any, ...]:
    """As a tuple. Raises TypeError for what is no shape, such as the images themselves."""
    if not isinstance(shape, tuple | list):
        got = f"an array of shape {shape.shape}" if hasattr(shape, "shape") else repr(shape)
        raise TypeError(f"{name}: input_shape: got {got}, expected the shape of one sample, (H, W, C) for images")
    if any(isinstance(size, float | str | None) or (isinstance(size, int) and size < 0) for size in shape):
        raise TypeError(f"{name}: input_shape: got {tuple(shape)!r}, expected sizes, (H, W, C) for images")
    return tuple(shape)


def several(what: str, value: Any, parts: str) -> Any:
    """`value`, given by a user or returned by a user's function. TypeError unless it is as long a tuple as `parts`."""
    if not isinstance(value, tuple | list) or len(value) != len(parts.split(", ")):
        raise TypeError(f"{what}: got {counted(value)}, expected a tuple ({parts})")
    return value


def counted(value: Any) -> str:
    """For an error: how many values a user's function returned, or the one that it did."""
    return f"{len(value)} values" if isinstance(value, tuple | list) else described(value)


@jax.tree_util.register_static
@dataclass(frozen=True)
class Argument:
    """What is known of an argument when its cotangent comes. It has no leaves."""

    name: str
    shape: tuple[Any, ...]


def arguments_of(function: Callable[..., Any], given: Sequence[Any]) -> tuple[Argument | None, ...]:
    """One for each positional argument, of `*xs` as well; None for a `None`."""
    names = list(inspect.signature(function).parameters)
    named = [(names[min(i, len(names) - 1)], value) for i, value in enumerate(given)]
    return tuple(None if value is None else Argument(name, jnp.shape(value)) for name, value in named)


def one_each(rule: str, cotangents: Any, arguments: Sequence[Any]) -> Any:
    """`cotangents`, which a backward rule returned. TypeError unless it is a tuple with one for each argument.

    Raises ValueError for one that has not the shape of its `Argument`, where that is known; None is 0.
    """
    if not isinstance(cotangents, tuple) or len(cotangents) != len(arguments):
        got = f"a tuple of {len(cotangents)}" if isinstance(cotangents, tuple) else described(cotangents)
        raise TypeError(f"{rule}: bwd: got {got}, expected a tuple of {len(arguments)}, a cotangent for each argument")
    for bar, argument in zip(cotangents, arguments, strict=True):
        if bar is not None and isinstance(argument, Argument) and jnp.shape(bar) != argument.shape:
            got = f"got a cotangent of shape {jnp.shape(bar)}, expected {argument.shape}"
            raise ValueError(f"{rule}: bwd: {argument.name}: {got}")
    return cotangents


@contextlib.contextmanager
def forward_mode_explained(rule: str) -> Iterator[None]:
    """Add to JAX's refusal of forward mode what has it. (Under `jit` JAX refuses when it compiles, out of reach.)"""
    try:
        yield
    except TypeError as error:
        if "forward-mode" in str(error):
            error.add_note(f"{rule}: rule.primal and Chain.without_rules() have forward mode")
        raise


def folded(key: Any, i: int) -> Any:
    """The key of layer i; None of None."""
    if isinstance(key, int):
        raise TypeError(f"key: got {key}, expected a key from jax.random.key")
    return None if key is None else jax.random.fold_in(key, i)


def described(value: Any) -> str:
    """Its type and what it is called, for an error."""
    return f"{type(value).__name__} {getattr(value, '__name__', getattr(value, 'name', ''))}".strip()


def is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def traced_layer(layer: Any, shape: tuple[int, ...], dtype: Any) -> tuple[Any, Any, Any]:
    """Shapes and dtypes of a `purecnn.Layer`'s parameters and state for samples of `shape`, and of what one becomes."""
    return (_remembered if is_hashable(layer) else _traced)(layer, shape, dtype)


def _traced(layer: Any, shape: tuple[int, ...], dtype: Any) -> tuple[Any, Any, Any]:
    def entries(key, x):
        params, state = layer.init(key, shape, dtype), layer.init_state(shape, dtype)
        return params, state, several("apply", layer.apply(params, state, x, False, None), "y, state")[0]

    key = jax.eval_shape(lambda: jax.random.key(0))
    return jax.eval_shape(entries, key, jax.ShapeDtypeStruct((1, *shape), dtype))


_remembered = functools.lru_cache(maxsize=4096)(_traced)  # a deep net has few different layers
