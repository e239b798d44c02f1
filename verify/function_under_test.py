"""What is being checked: a rule, its reference, and one example call taken apart into leaves."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verify import arguments
from verify.generate.domain import Domain
from verify.generate.said_domain import said, within
from verify.generate.seen_domain import seen
from verify.oracle import primal
from verify.oracle.instances import INSTANCE, fits, names_of
from verify.program.identity import is_array
from verify.report.finding import UncheckableError
from verify.settings import with_own_constants

# What a leaf is to the check.
PERTURBED = "perturbed"  # floating-point array whose cotangent is checked
FLOAT = "float"  # floating-point array outside argnums
INTEGER = "integer"  # labels, indices, masks: arrays never perturbed
KEY = "key"  # random keys: replaced by others, never perturbed
STATIC = "static"  # Python values: part of the function
LONGEST = 500  # characters of somebody's message; JAX's about a wrong tree has 350


@dataclass(frozen=True)
class Leaf:
    """One leaf of the arguments: its path in words, its kind, and the example's value."""

    path: str
    kind: str
    value: Any
    domain: tuple[Domain, ...] = ()  # what floating numbers may be
    guessed: bool = False  # whether the example shows that, and `domain=` says nothing
    part: str = ""  # "real" or "imag" of a complex array: two leaves, one after the other

    @property
    def dtype(self) -> Any:
        return self.value.dtype


@dataclass(frozen=True)
class FunctionUnderTest:
    """A rule under test. `options` are those that rule and reference both take: keywords, and `positions` of values
    given by position, which an option of that name replaces. `treedef` is that of (args, kwargs)."""

    rule: Callable
    reference: Callable | None
    leaves: tuple[Leaf, ...]
    treedef: Any
    options: Mapping[str, inspect.Parameter]
    positions: Mapping[str, int]
    calls: Mapping[str, str]  # which hand-written calls the oracle replaces by their primals
    primitives: frozenset[str] = frozenset()  # every primitive in the rule's jaxpr
    rules: int = 0  # how many hand-written calls the rule's jaxpr holds, JAX's own among them
    optional: tuple[str, ...] = ()  # arguments that hold arrays and are None by default
    limits: Mapping[str, Any] = field(default_factory=dict)  # declared budgets: residual_bytes, time_ratio
    compiled: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def example(self) -> tuple[Any, ...]:
        """The arrays of the user's own call."""
        return tuple(self.leaves[k].value for k in self.arrays)

    @property
    def perturbed(self) -> tuple[int, ...]:
        return tuple(k for k, leaf in enumerate(self.leaves) if leaf.kind == PERTURBED)

    @property
    def dtype(self) -> Any:
        """The widest dtype among the perturbed arguments: the one the example is written in."""
        return max((self.leaves[k].dtype for k in self.perturbed), key=lambda d: d.itemsize)

    def flat(self, fun: Callable, options: Mapping[str, Any]) -> Callable:
        """`fun` as a function of the array leaves, in order, to the list of its output's leaves."""

        def flattened(*arrays):
            rest = iter(arrays)
            leaves = [leaf.value if leaf.kind == STATIC else next(rest) for leaf in self.leaves]
            pairs = list(zip(self.leaves, leaves, strict=True))
            as_example = all(_of_own_dtype(leaf, given) for leaf, given in pairs)
            try:
                if as_example or INSTANCE not in self.primitives or fits(lambda: self._called(fun, leaves, options)):
                    return self._called(fun, leaves, options)
            except Exception:
                if as_example:
                    raise
            # A rule that insists on its example's dtypes gets them; what it returns is as wide as what came in.
            own = [v if _of_own_dtype(leaf, v) else jnp.asarray(v).astype(leaf.dtype) for leaf, v in pairs]
            widest = jnp.result_type(*[leaves[k].dtype for k in self.perturbed])
            outs = with_own_constants(lambda: self._called(fun, own, options))
            return [o.astype(widest) if jnp.issubdtype(o.dtype, jnp.floating) else o for o in outs]

        return flattened

    def _called(self, fun: Callable, leaves: list[Any], options: Mapping[str, Any]) -> list[Any]:
        args, kwargs = self.arguments(leaves)
        chosen = {self.positions[name]: value for name, value in options.items() if name in self.positions}
        args = [chosen.get(n, arg) for n, arg in enumerate(args)]
        kwargs |= {name: value for name, value in options.items() if name not in self.positions}
        outs = [jnp.asarray(out) for out in jax.tree_util.tree_leaves(fun(*args, **kwargs))]
        return [part for out in outs for part in ((out.real, out.imag) if jnp.iscomplexobj(out) else (out,))]

    def arguments(self, leaves: Sequence[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        """(args, kwargs) from one value a leaf; complex arrays are put together from their parts."""
        values = iter(zip(self.leaves, leaves, strict=True))
        whole = [jax.lax.complex(value, next(values)[1]) if leaf.part else value for leaf, value in values]
        return jax.tree_util.tree_unflatten(self.treedef, whole)

    def oracle(self, options: Mapping[str, Any]) -> Callable:
        """The flat function whose autodiff is the oracle: the reference, or the rule without its rule."""
        if self.reference is not None:
            return self.flat(self.reference, options)
        return primal.inlined(self.flat(self.rule, options), dict(self.calls))

    @property
    def arrays(self) -> tuple[int, ...]:
        """Positions of the leaves that are arrays."""
        return tuple(k for k, leaf in enumerate(self.leaves) if leaf.kind != STATIC)


def _of_own_dtype(leaf: Leaf, given: Any) -> bool:
    return leaf.kind not in (PERTURBED, FLOAT) or given.dtype == leaf.dtype


def describe(
    rule: Callable,
    args: Sequence[Any],
    reference: Callable | None = None,
    argnums: int | Sequence[int] | None = None,
    limits: Mapping[str, Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    domain: Mapping[str, Any] | None = None,
) -> FunctionUnderTest:
    """Take an example call apart. Raises UncheckableError where there is nothing to differentiate."""
    kwargs = dict(sorted((kwargs or {}).items()))  # in the order of a tree's leaves
    if not callable(rule):
        raise UncheckableError(f"the rule is a {type(rule).__name__}, not a function")
    chosen = (argnums,) if isinstance(argnums, int) else argnums
    if chosen is not None:
        chosen = tuple(n % len(args) if -len(args) <= n < len(args) else n for n in chosen)
        if any(n >= len(args) or n < 0 for n in chosen):
            raise UncheckableError(f"argnums is {argnums} but the call has {len(args)} arguments")
    names = arguments.names(rule, len(args))
    leaves: list[Leaf] = []
    owners: list[int | str] = []  # the argument that each leaf is part of: its position or its name
    for owner, name, arg in [*zip(range(len(args)), names, args, strict=True), *((k, k, v) for k, v in kwargs.items())]:
        for path, value in jax.tree_util.tree_flatten_with_path(arg)[0]:
            wanted = chosen is None or owner in chosen
            made = _parts(name + jax.tree_util.keystr(path), value, wanted, explicit=chosen is not None)
            leaves += made
            owners += [owner] * len(made)
    if not any(leaf.kind == PERTURBED for leaf in leaves):  # Python floats are arguments where there is no array
        wanted = [chosen is None or owner in chosen for owner in owners]
        pairs = zip(leaves, wanted, strict=True)
        leaves = [replace(_leaf(f.path, f.value, w, explicit=True), part=f.part) for f, w in pairs]
    if not any(leaf.kind == PERTURBED for leaf in leaves):
        raise UncheckableError("no argument is a floating-point array, so there is no cotangent to check")
    if not any(leaf.value.size for leaf in leaves if leaf.kind == PERTURBED):
        raise UncheckableError("no floating-point argument has an entry, so there is no cotangent to check")
    treedef = jax.tree_util.tree_structure((tuple(args), kwargs))
    calls, primitives, rules = _calls(bare := FunctionUnderTest(rule, reference, tuple(leaves), treedef, {}, {}, {}))
    arrays = {owner for owner, leaf in zip(owners, leaves, strict=True) if leaf.kind != STATIC}
    given, positions, optional = arguments.given(rule, args, kwargs, arrays)
    shared = arguments.shared_options(rule, reference, len(args))
    options = {n: p for n, p in shared.items() if n not in kwargs} | given
    known = {"leaves": _with_domains(leaves, domain or {}, primitives), "options": options, "limits": limits or {}}
    known |= {"positions": positions, "optional": optional}
    return replace(bare, **known, calls=calls, primitives=primitives, rules=rules)


def _with_domains(leaves: Sequence[Leaf], domain: Mapping[str, Any], primitives: frozenset[str]) -> tuple[Leaf, ...]:
    """What `domain` says of each floating array, else what the example shows to a function of these primitives."""
    floats = [leaf for leaf in leaves if leaf.kind in (PERTURBED, FLOAT)]
    unknown = [n for n in domain if not any(within(leaf.path, n) for leaf in floats)]
    if unknown:
        known = ", ".join(leaf.path for leaf in floats)
        raise UncheckableError(f"domain names {unknown[0]!r}; the floating-point arguments are {known}")
    found = []
    for leaf in leaves:
        if leaf in floats:
            try:
                words = said(leaf.path, leaf.value, domain)
            except ValueError as error:
                raise UncheckableError(str(error)) from error
            domains = seen(leaf.value, len(floats) == 1, primitives) if words is None else words
            leaf = replace(leaf, domain=domains, guessed=words is None)
        found.append(leaf)
    return tuple(found)


def _parts(path: str, value: Any, wanted: bool, explicit: bool) -> list[Leaf]:
    """The leaf of a value; of a complex array, two. JAX's convention for complex cotangents is what makes the
    derivatives by both parts right."""
    if not is_array(value) or not jnp.iscomplexobj(value):
        return [_leaf(path, value, wanted, explicit)]
    whole = jnp.asarray(value)
    parts = (("real", np.asarray(whole.real)), ("imag", np.asarray(whole.imag)))
    return [replace(_leaf(f"{path}.{part}", a, wanted, explicit), part=part) for part, a in parts]


def _leaf(path: str, value: Any, wanted: bool, explicit: bool) -> Leaf:
    if isinstance(value, float) and wanted and explicit:
        value = jnp.asarray(value)
    if not is_array(value):
        return Leaf(path, STATIC, value)
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return Leaf(path, KEY, value)
    array = np.asarray(jnp.asarray(value))  # the dtype JAX itself would give it
    if jnp.issubdtype(array.dtype, jnp.floating):
        return Leaf(path, PERTURBED if wanted else FLOAT, array)
    # Two unsigned words are how raw random keys look; resampling other unsigned arrays would gain little.
    return Leaf(path, KEY if jnp.issubdtype(array.dtype, jnp.unsignedinteger) else INTEGER, array)


def _calls(tested: FunctionUnderTest) -> tuple[dict[str, str], frozenset[str], int]:
    """Replace `custom_vjp` calls; in a function that has none, `custom_jvp` calls are what was written by hand. Beside
    them the names of all primitives, and how many calls of either kind there are."""
    try:
        closed = jax.make_jaxpr(tested.flat(tested.rule, {}))(*tested.example)
    except Exception as error:
        raise UncheckableError(f"the call itself fails: {first_line(error)}{unbound(error)}") from error
    if not any(jnp.issubdtype(a.dtype, jnp.floating) for a in closed.out_avals):
        raise UncheckableError("no output is a floating-point array, so there is nothing to differentiate")
    names = frozenset(name for eqn in primal.equations(closed) for name in names_of(eqn))
    kinds = (primal.VJP_CALLS, primal.JVP_CALLS)
    rules = sum(any(primal.is_call(eqn, calls) for calls in kinds) for eqn in primal.equations(closed))
    for calls in kinds:
        if primal.contains(closed, calls):
            return calls, names, rules
    return {}, names, rules


def unbound(error: BaseException) -> str:
    """What to do about a rule that names an axis of a mesh which nothing around it has; empty for other errors."""
    if "unbound axis name" not in str(error):
        return ""
    return " (check it through a function that gives it the axis: jax.shard_map(rule, mesh=…) on several devices)"


def first_line(error: BaseException) -> str:
    """An exception in one line: its type and the first line it says, whole unless it is very long."""
    lines = str(error).strip().splitlines() or [""]
    said = lines[0] if len(lines[0]) <= LONGEST else lines[0][:LONGEST].rsplit(" ", 1)[0] + " …"
    return f"{type(error).__name__}: {said}".removesuffix(": ")
