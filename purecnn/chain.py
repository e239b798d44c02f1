"""Layers in sequence, and back-propagation as the lecture writes it (rows 3, 5 and 16): two lists, no autodiff.

    forward:   x₁ = f₁(x, w₁),  x₂ = f₂(x₁, w₂),  …        each layer keeps what its backward rule needs
    backward:  x̄ₙ₋₁, w̄ₙ = fₙ_back(x̄ₙ),  x̄ₙ₋₂, w̄ₙ₋₁ = fₙ₋₁_back(x̄ₙ₋₁),  …        the same list in reverse

A chain holds no arrays. Its parameters are a list with one dict per layer, `{"w", "b"}` or what the layer has, `{}`
where it has none; running statistics (batch normalisation's) are a second such list, the state, returned anew and
never changed in place.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from purecnn.annotations import Array
from purecnn.autodiff import vjp_backward, vjp_forward
from purecnn.backend import warn_if_miscompiling
from purecnn.checks import UNDECIDED, bound_hint, require_net_inputs
from purecnn.cotangents import ChainResiduals, given_to, like_given
from purecnn.losses.softmax_cross_entropy import softmax_cross_entropy_bwd, softmax_cross_entropy_fwd
from purecnn.masks import NO_MASKS, shared_masks
from purecnn.signatures import Partial, described, folded, sample_shape, several, traced_layer
from purecnn.summary import Summary, summarise

Params = dict[str, Any]
Shape = tuple[int, ...]
NO_PAIR = "{}: got none, expected a rule's pair: nn.from_rule(rule) has one, nn.function(f) takes autodiff's"
NO_LAYER = "{}: layer {}: got {}, expected a Layer: nn.relu(), nn.from_rule(rule), nn.function(f), or *chain.layers"


def no_params(key: Array, shape: Shape, dtype: Any) -> Params:
    return {}


def no_state(shape: Shape, dtype: Any) -> Params:
    return {}


def _no_fwd(params, state, x, train, key):
    raise TypeError(NO_PAIR.format("fwd, bwd"))


def _no_bwd(residuals, y_bar, train):
    raise TypeError(NO_PAIR.format("bwd"))


@dataclass(frozen=True, repr=False)
class Layer:
    """One link of a chain: pure functions around a rule, made by the functions of `purecnn.nn`.

    `shape` is that of one sample, without the batch axis. `apply` calls the rule, so that `jax.grad` of it uses the
    hand-written backward rule; `fwd` and `bwd` are the pair itself. Layers are equal, and hash alike, where their
    functions are; with functions of a module, and `Partial`s of them, two made alike are, and pickle.

    Raises TypeError where one of the pair is given without the other, or is no function.
    """

    name: str
    apply: Callable[..., tuple[Array, Params]]  # (params, state, x, train, key) -> y, state
    fwd: Callable[..., tuple[Array, Params, Any]] = _no_fwd  # (params, state, x, train, key) -> y, state, residuals
    bwd: Callable[..., tuple[Array, Params]] = _no_bwd  # (residuals, y_bar, train) -> x_bar, params_bar
    init: Callable[[Array, Shape, Any], Params] = no_params  # (key, shape, dtype) -> params
    init_state: Callable[[Shape, Any], Params] = no_state  # (shape, dtype) -> state
    plain: Callable[..., tuple[Array, Params]] | None = None  # `apply` without rules; None: as it is
    inner: tuple[Chain, ...] = ()  # what it is made of

    def __post_init__(self) -> None:
        for name in ("apply", "fwd", "bwd"):
            if not callable(getattr(self, name)):
                raise TypeError(f"{self.name}: {name}: got {described(getattr(self, name))}, expected a function")
        if (self.fwd is _no_fwd) != (self.bwd is _no_bwd):
            raise TypeError(f"{self.name}: {NO_PAIR.format('fwd' if self.fwd is _no_fwd else 'bwd')}")

    def __repr__(self) -> str:
        parts = [f"{name}={value!r}" for name, value in getattr(self.apply, "keywords", {}).items()]
        parts += [f"{way.name}: {list(way.layers)}" for way in self.inner]
        return f"{self.name}({', '.join(parts)})"

    @property
    def by_autodiff(self) -> bool:
        """Whether `jax.vjp` takes the place of a backward rule, in this layer or in one inside it."""
        return self.bwd is vjp_backward or any(layer.by_autodiff for way in self.inner for layer in way.layers)

    def without_rules(self) -> Layer:
        """The same function with the same parameters, of plain primals that JAX differentiates."""
        plain = self.plain or self.apply
        fwd, inner = Partial(vjp_forward, plain), tuple(way.without_rules() for way in self.inner)
        return dataclasses.replace(self, apply=plain, fwd=fwd, bwd=vjp_backward, plain=None, inner=inner)


@dataclass(frozen=True, repr=False)
class Chain:
    """Layers one after the other. `x` is (N, ...) and `input_shape` that of one sample, (H, W, C) for images."""

    name: str
    layers: Sequence[Layer]  # kept as a tuple

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not isinstance(self.layers, Iterable):
            got = f"got {type(self.name).__name__} and {type(self.layers).__name__}"
            raise TypeError(f"Chain: name and layers: {got}, expected text and layers: Chain('mine', (layer, layer))")
        object.__setattr__(self, "layers", tuple(self.layers))
        for i, layer in enumerate(self.layers):
            if not isinstance(layer, Layer):
                raise TypeError(NO_LAYER.format(self.name, i, described(layer)))

    def __repr__(self) -> str:
        return "\n".join([f"Chain {self.name}", *(f"{i:4} {layer!r}" for i, layer in enumerate(self.layers))])

    def init(self, key: Array, input_shape: Shape, dtype: Any = jnp.float32) -> list[Params]:
        """Parameters for inputs of `input_shape`. Raises ValueError where a layer cannot take what reaches it.

        The first call of a process also warns if this machine's JAX is one that computes wrong numbers.
        """
        warn_if_miscompiling()
        shapes = self.shapes(input_shape, dtype)[:-1]
        return [self.layers[i].init(folded(key, i), shape, dtype) for i, shape in enumerate(shapes)]

    def init_state(self, input_shape: Shape, dtype: Any = jnp.float32) -> list[Params]:
        """Running statistics before training: one dict per layer, `{}` where there are none."""
        shapes = self.shapes(input_shape, dtype)[:-1]
        return [layer.init_state(shape, dtype) for layer, shape in zip(self.layers, shapes, strict=True)]

    def apply(self, params, x: Array, *, state=None, train: bool = False, key: Array | None = None) -> Array:
        """The output, e.g. logits (N, K).

        `train=True` turns on dropout, which then needs a `key`, and has batch normalisation use the batch's own
        statistics; without it, batch normalisation needs the running ones in `state`.
        """
        return self.apply_with_state(params, x, state=state, train=train, key=key)[0]

    def apply_with_state(self, params, x, *, state=None, train=False, key=None) -> tuple[Array, list[Params]]:
        """The output, and the state after it: with the batch's statistics folded in if `train`."""
        new_state = []
        for i, (layer, p, s) in enumerate(self._links(params, state, x)):
            layer_key = folded(key, i)
            with self._at(i, x.shape[1:]):
                x, s = several("apply", layer.apply(p, s, x, train, layer_key), "y, state")
            new_state.append(s)
        return x, new_state

    def forward(self, params, x, *, state=None, train=False, key=None) -> tuple[Array, list[Params], list[Any]]:
        """The first list: the output, the state after it, and the residuals of every layer."""
        new_state, residuals, given, masks = [], [], [], shared_masks(self.layers, train)
        for i, (layer, p, s) in enumerate(self._links(params, state, x)):
            layer_key = folded(key, i)
            given.append(given_to(x, p))
            with self._at(i, x.shape[1:]):
                x, s, r = several("fwd", masks.fwd(i, layer)(p, s, x, train, layer_key), "y, state, residuals")
            new_state.append(s)
            residuals.append(r)
        return x, new_state, ChainResiduals(residuals, (*given, given_to(x, {})), masks)

    def backward(self, residuals: list[Any], y_bar: Array, *, train: bool = False) -> tuple[Array, list[Params]]:
        """The second list: the cotangents of the input and of the parameters, from that of the output.

        Raises ValueError, naming the layer, where a backward rule returns a wrong shape or leaves a parameter out.
        """
        params_bar, masks = [], getattr(residuals, "masks", NO_MASKS)
        for i, r in reversed(list(zip(range(len(self.layers)), residuals, strict=True))):
            with self._at(i, y_bar.shape[1:], "sent cotangents"):
                bars = several("bwd", masks.bwd(i, self.layers[i])(r, y_bar, train), "x_bar, params_bar")
                y_bar, p_bar = like_given(residuals, i, y_bar, bars)
            params_bar.append(p_bar)
        return y_bar, params_bar[::-1]

    def without_rules(self) -> Chain:
        """The same net, with the same parameters and numbers, of plain primals, for what a `custom_vjp` refuses.

        That is forward mode: `jax.jvp`, `linearize`, `jacfwd`, `hessian`, tangent kernels. Every gradient of it is
        autodiff's, that of `backprop` layer by layer; at kinks (ties of a pool, say) it follows JAX's conventions. A
        user's own layer without `plain` is used unchanged. A loss without its rule is its `primal`.
        """
        return Chain(self.name, tuple(layer.without_rules() for layer in self.layers))

    def shapes(self, input_shape: Shape, dtype: Any = jnp.float32) -> list[Shape]:
        """The shape of one sample in front of every layer, and behind the last."""
        shapes = [sample_shape(self.name, input_shape)]
        for i, layer in enumerate(self.layers):
            with self._at(i, shapes[-1]):
                shapes.append(traced_layer(layer, shapes[-1], jnp.dtype(dtype))[2].shape[1:])
        return shapes

    def summary(self, input_shape: Shape, dtype: Any = jnp.float32) -> Summary:
        """Units, weights and biases per layer, FLOPs and residual bytes for one sample; printed as a table."""
        return summarise(self, input_shape, dtype)

    def _links(self, params, state, x):
        state = [{} for _ in self.layers] if state is None else state
        require_net_inputs(self.name, x, params, state)
        if not len(self.layers) == len(params) == len(state):
            got = f"got {len(params)} and {len(state)} entries"
            raise ValueError(f"{self.name}: params, state: {got}, expected one per layer ({len(self.layers)})")
        return zip(self.layers, params, state, strict=True)

    @contextlib.contextmanager
    def _at(self, i, shape, given="fed samples"):
        """Inside, profiles and HLO metadata name layer i (`lenet/3_conv2d`), and an error says that it arose there."""
        name = self.layers[i].name
        try:
            with jax.named_scope(f"{self.name}/{i}_{name}"):
                yield
        except (ValueError, TypeError, KeyError, UNDECIDED) as error:  # a KeyError: params or state lack an entry
            place = f"{self.name}: layer {i} ({name}), {given} of shape {tuple(shape)}"
            error.add_note(place)
            error.args = (f"{place}: {bound_hint(error)}{error}",)
            raise


def backprop(
    net: Chain,
    params: list[Params],
    x: Array,
    labels: Array,
    *,
    loss: tuple[Callable[..., Any], Callable[..., Any]] = (softmax_cross_entropy_fwd, softmax_cross_entropy_bwd),
    state: list[Params] | None = None,
    train: bool = False,
    key: Array | None = None,
) -> tuple[Array, list[Params]]:
    """The mean loss over the batch and its gradient with respect to `params`, by the lecture's two lists.

    JAX differentiates nothing here: every gradient comes from the layers' backward rules. `loss` is a loss's pair,
    such as `(squared_error_fwd, squared_error_bwd)`; the rest is as in `Chain.apply`. In a `shard_map`, as by
    `jax.grad`, the gradient of `params` that all devices share is the sum of the devices'.
    """
    several("backprop: loss", loss, "squared_error_fwd, squared_error_bwd")
    y, _, residuals = net.forward(params, x, state=state, train=train, key=key)
    losses, loss_residuals = loss[0](y, labels)
    y_bar, *_ = loss[1](loss_residuals, jnp.full_like(losses, 1 / losses.size))
    _, grads = net.backward(residuals, y_bar, train=train)
    return losses.mean(), grads
