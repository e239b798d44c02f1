"""Which sizes of an example call may change, found by asking the function itself.

Every axis of every array is grown by one, alone, then together with one or two axes of the same size; where rule and
reference both still accept the call, and agree on the output's shape, those axes form a free class. For a
convolution this finds {x batch}, {x rows}, {x columns}, {x channels, w in}, {w rows}, {w columns}, {w out, b}
without being told what a convolution is.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import jax

from verify.call_under_test import CallUnderTest, outputs
from verify.function_under_test import INTEGER, KEY
from verify.generate.blocks import KERNEL
from verify.generate.promised import reads_beyond
from verify.oracle.primal import HIJAX, equations
from verify.running import is_float, pullback
from verify.settings import unfiltered
from verify.time_limit import look

Axes = tuple[tuple[int, int], ...]  # (array, axis) pairs that change together
DECOMPOSITIONS = {"svd", "qr", "householder_product", "lu", "cholesky", "eigh", "eig", "schur", "geqrf"}
SQUARE = {"positive definite", "symmetric", "antisymmetric", "orthogonal", "lower triangular", "upper triangular"}
MOST_AXES = 24  # beyond this (whole networks) only the batch is varied
UNROLLED = 800  # equations
FEW_ROWS = 4  # an axis no longer may be coordinates, which are as many as they are
MOST_ROWS = 11
PRIMES = (5, 7, 11, 13, 17, 19, 23)


def accepted(case: CallUnderTest, shapes: list[tuple[int, ...]], options: Mapping[str, Any]) -> bool:
    """Whether rule and reference take arrays of these shapes, and agree on the shape of what they return."""
    tested = case.tested
    key = ("accepted", tuple(shapes), repr(sorted(options.items())))
    if key not in tested.compiled:
        tested.compiled[key] = _accepted(case, shapes, options)
    return tested.compiled[key]


def _accepted(case: CallUnderTest, shapes: list[tuple[int, ...]], options: Mapping[str, Any]) -> bool:
    tested = case.tested
    look()
    arrays = [jax.ShapeDtypeStruct(s, a.dtype) for s, a in zip(shapes, case.arrays, strict=True)]
    if any(size < 1 for s in shapes for size in s) or not _as_tall(case, shapes):
        return False
    try:
        with unfiltered():
            outs = [outputs(tested, options, arrays)]
            if HIJAX in tested.primitives:
                jax.eval_shape(tested.oracle(options), *arrays)  # JAX announces any shape; `expand` refuses some
            if KERNEL in tested.primitives:  # which reads a part of what is longer; its cotangent is as short
                seeds = [o for o in outs[0] if is_float(o)]
                jax.eval_shape(pullback(tested.flat(tested.rule, options), case.perturbed), arrays, seeds)
            if tested.reference is not None:
                outs.append(jax.eval_shape(tested.flat(tested.reference, options), *arrays))
    except Exception:
        return False
    sizes = [[o.shape for o in out] for out in outs]
    return all(s == sizes[0] for s in sizes) and all(0 not in shape for shape in sizes[0])


def free_classes(case: CallUnderTest) -> list[Axes]:
    """The classes of axes that may change, in the order of the arguments."""
    shapes = [tuple(a.shape) for a in case.arrays]
    kinds = [case.tested.leaves[k].kind for k in case.tested.arrays]
    axes = [(n, k) for n, s in enumerate(shapes) if kinds[n] != KEY for k in range(len(s))]
    if len(axes) > MOST_AXES:
        axes = [a for a in axes if a[1] == 0]
        axes = axes[:1] + [a for a in axes[1:] if kinds[a[0]] != kinds[axes[0][0]]]
    classes: list[Axes] = []
    for axis in axes:
        if any(axis in c for c in classes):
            continue
        found = class_of(case, axis, axes, shapes)
        if found:
            classes.append(found)
    return classes


def class_of(
    case: CallUnderTest, axis: tuple[int, int], axes: list[tuple[int, int]], shapes: list[tuple[int, ...]]
) -> Axes | None:
    """The smallest set of axes, `axis` among them, that may change together; None where there is none."""
    size = shapes[axis[0]][axis[1]]
    mates = [a for a in axes if a != axis and shapes[a[0]][a[1]] == size and a[0] != axis[0]]
    mates += [a for a in axes if a != axis and shapes[a[0]][a[1]] == size and a[0] == axis[0]]
    # Axes that correspond and are equal in the example stay equal: a rule for pairs of rows need not be right for other
    # numbers of rows, though the function may accept them.
    integers = {n for n, k in enumerate(case.tested.arrays) if case.tested.leaves[k].kind == INTEGER}
    tied = tuple(a for a in mates if _correspond(axis, a, shapes, integers))
    if tied and _free(case, (axis, *tied), shapes, size):
        return _square(case, (axis, *tied), mates, shapes, size)
    for count in (0, 1, 2):
        for others in combinations(mates[:6], count):
            if _free(case, (axis, *others), shapes, size):
                return _square(case, (axis, *others), mates, shapes, size)
    # Halves, pairs and heads take no more by one; one head that all others share may be two or four of them, where an
    # axis that only broadcasts takes as many as the other has.
    for group in dict.fromkeys(((axis,), (axis, *tied))):
        several = [resized(shapes, dict.fromkeys(group, f * size)) for f in ((2, 3) if size > 1 else (2, 4))]
        if all(accepted(case, s, case.options) for s in several):
            return group
    related = [a for a in axes if a != axis and shapes[a[0]][a[1]] != size][:6]  # grouped channels: C and C / groups
    for group in ((), *((m,) for m in mates[:2])):  # scales of groups: channels of two arrays, and C / groups
        for other in related:
            ratio = {a: shapes[a[0]][a[1]] for a in (axis, *group, other)}
            if all(accepted(case, resized(shapes, {a: f * s for a, s in ratio.items()}), case.options) for f in (2, 3)):
                return tuple(ratio)
    return None


def _square(case: CallUnderTest, group: Axes, mates: Sequence, shapes: list[tuple[int, ...]], size: int) -> Axes:
    """The axes with another one of the same array that is as long, where the function reads past its end if they alone
    grow, as what takes the diagonal of a square matrix does."""
    longer = resized(shapes, dict.fromkeys(group, size + 1))
    for mate in [m for m in mates if m[0] == group[0][0] and m not in group]:
        arrays = [jax.ShapeDtypeStruct(s, a.dtype) for s, a in zip(longer, case.arrays, strict=True)]
        if reads_beyond(case, arrays) and _free(case, (*group, mate), shapes, size):
            return (*group, mate)
    return group


def _free(case: CallUnderTest, group: Axes, shapes: list[tuple[int, ...]], size: int) -> bool:
    """Whether the function takes two larger sizes. One alone may be chance: an axis of 1 broadcasts against one of 2,
    and where [:2] is divided by [2:], an axis of 3 may be 4 but not 5."""
    return all(accepted(case, resized(shapes, dict.fromkeys(group, s)), case.options) for s in (size + 1, size + 2))


def _correspond(
    axis: tuple[int, int], other: tuple[int, int], shapes: list[tuple[int, ...]], integers: set[int]
) -> bool:
    """Whether axes at the same position in two arrays probably belong together: those of arrays of one shape, the first
    axes of arrays of one rank (except an image and a kernel), leading axes of labels and of what they label, and axes
    of 1, which broadcast by themselves."""
    (n, k), (m, j) = axis, other
    if n == m or k != j:
        return False
    if {n, m} & integers and shapes[n][: k + 1] == shapes[m][: k + 1]:  # reading past the end is no error in JAX
        return True
    rows = k == 0 and len(shapes[n]) == len(shapes[m]) <= 3
    return shapes[n] == shapes[m] or rows or (shapes[n][k] == 1 and k < len(shapes[m]) - 1)


def _as_tall(case: CallUnderTest, shapes: list[tuple[int, ...]]) -> bool:
    """Whether, where the function takes matrices apart, each stays square, tall or wide as in the example: an inverse,
    a root or a rotation is meant of square ones, and least squares of tall ones, though a decomposition takes all. And
    what is symmetric, triangular or a rotation in the example stays square."""
    leaves = [case.tested.leaves[k] for k in case.tested.arrays]
    square = [s[-1] == s[-2] for f, s in zip(leaves, shapes, strict=True) if any(d.words in SQUARE for d in f.domain)]
    if not all(square) or not takes_apart(case):
        return all(square)
    pairs = [(a.shape[-2] - a.shape[-1], s[-2] - s[-1]) for a, s in zip(case.arrays, shapes, strict=True) if len(s) > 1]
    return all(before * now > 0 or now == 0 for before, now in pairs)


def unrolled(case: CallUnderTest, axes: Axes, size: int) -> bool:
    """Whether a loop in Python over these axes makes the program at `size` so long that tracing it would take minutes:
    twice as far it is longer than at the example's sizes, and it grows as much each time."""
    shapes = [tuple(a.shape) for a in case.arrays]
    now = shapes[axes[0][0]][axes[0][1]]
    before, after = (_length(case, s) for s in (shapes, set_class(shapes, axes, 2 * now)))
    return before + (after - before) * (size - now) / max(1, now) > max(UNROLLED, 2 * before)


def _length(case: CallUnderTest, shapes: list[tuple[int, ...]]) -> int:
    """How many equations the function has at these shapes; 0 where it takes none of them."""
    key = ("length", tuple(shapes), repr(sorted(case.options.items())))
    if key not in case.tested.compiled:
        look()
        arrays = [jax.ShapeDtypeStruct(s, a.dtype) for s, a in zip(shapes, case.arrays, strict=True)]
        flat = case.tested.flat(case.tested.rule, case.options)
        try:
            with unfiltered():
                case.tested.compiled[key] = sum(1 for _ in equations(jax.make_jaxpr(flat)(*arrays)))
        except Exception:
            case.tested.compiled[key] = 0
    return case.tested.compiled[key]


def with_a_rest(case: CallUnderTest, classes: list[Axes], shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The shapes with each longer class at a prime of its own, where the function takes it: whatever goes by blocks or
    strides leaves a rest, which sizes that people write in examples do not. Heads, of which others are a part, are
    twice as many: four of two are as many as each has, which tells neither."""
    taken = set[int]()
    for axes in classes:
        size = size_of(shapes, axes)
        if len({shapes[n][k] for n, k in axes}) > 1:
            twice = set_class(shapes, axes, 2 * size)
            shapes = twice if accepted(case, twice, case.options) else shapes
            continue
        free = (p for p in PRIMES if p >= size > FEW_ROWS and p not in taken)
        prime = next(free, size) if size <= MOST_ROWS else size
        longer = set_class(shapes, axes, prime)
        if prime != size and accepted(case, longer, case.options):
            shapes = longer
            taken.add(prime)
    return shapes


def all_alike(case: CallUnderTest, classes: list[Axes], shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Every axis of one size, where the function takes it: what a rule tells by its size it confuses then, as a
    weight along channels with one along columns."""
    for axes in classes if len(classes) > 1 else ():
        candidate = set_class(shapes, axes, max(3, size_of(shapes, classes[0])))
        shapes = candidate if accepted(case, candidate, case.options) else shapes
    return shapes


def with_ratio(shapes: list[tuple[int, ...]], classes: list[Axes], before: int, after: int) -> list[tuple[int, ...]]:
    """The shapes with axes that are `before` times the smallest of their class `after` times as large as that."""
    for axes in classes:
        smallest = min(shapes[n][k] for n, k in axes)
        several = [(n, k) for n, k in axes if shapes[n][k] == before * smallest > smallest]
        shapes = resized(shapes, dict.fromkeys(several, after * smallest))
    return shapes


def takes_apart(case: CallUnderTest) -> bool:
    return bool(DECOMPOSITIONS & case.tested.primitives)


def resized(shapes: list[tuple[int, ...]], sizes: Mapping[tuple[int, int], int]) -> list[tuple[int, ...]]:
    """The shapes with the given axes set to the given sizes."""
    return [tuple(sizes.get((n, k), size) for k, size in enumerate(s)) for n, s in enumerate(shapes)]


def set_class(shapes: list[tuple[int, ...]], axes: Axes, size: int) -> list[tuple[int, ...]]:
    """The shapes with one class set to `size`; axes of another size keep their ratio to the first, which may be 0."""
    first = shapes[axes[0][0]][axes[0][1]]
    if not first:
        return resized(shapes, dict.fromkeys(axes, size))
    return resized(shapes, {a: max(1, size * shapes[a[0]][a[1]] // first) for a in axes})


def size_of(shapes: list[tuple[int, ...]], axes: Axes) -> int:
    return shapes[axes[0][0]][axes[0][1]]


def shown(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(f"[{','.join(map(str, s))}]" for s in shapes)
