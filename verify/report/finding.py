"""What a check says: findings, and the reasons why it could say nothing."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    `argument` is the path of the argument whose cotangent is wrong ("x", "params['w']") or "output"; `index` the worst
    element's index in it, with the value `expected` there and the value `got`; `pattern` names which elements are
    wrong ("stride lattice", "×2", …) and `cause` what usually makes such a pattern; `case` is the call that showed it.
    `top` holds the few worst elements as (index, expected, got).
    """

    check: str
    argument: str
    index: tuple[int, ...] | None
    expected: float | None
    got: float | None
    pattern: str
    message: str
    case: str = ""
    cause: str = ""
    top: tuple[tuple[tuple[int, ...], float, float], ...] = ()
    heat: tuple[tuple[float, ...], ...] = ()  # a small picture of where it is wrong, for the HTML page
    note: bool = False  # worth knowing, and no fault: the report lists it among its notes

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        where = f"{self.argument}{list(self.index)}" if self.index else self.argument
        lines = [f"{self.check}: {where}: {self.message}"]
        if self.expected is not None and self.got is not None:
            lines.append(f"  {apart(self.expected, self.got)}")
        lines += [f"  then {list(i)}: {apart(e, g)}" for i, e, g in self.top[1:4]]
        if self.pattern:
            lines.append(f"  pattern: {self.pattern}")
        if self.cause:
            lines.append(f"  likely cause: {self.cause}")
        if self.case:
            lines.append(f"  on the call: {self.case}")
        return "\n".join(lines[:20])


def apart(expected: float, got: float) -> str:
    """Both numbers, with as many digits as it takes to tell them apart."""
    for digits in (9, 13, 17):
        e, g = f"{expected:.{digits}g}", f"{got:.{digits}g}"
        if e != g:
            break
    return f"expected {e}, got {g}"


class NotRunError(Exception):
    """A check has nothing to say about this case; the text says why."""


class Remembered(Generic[T]):
    """A cached property that is not tried again either where it raised NotRunError, which may take as long."""

    def __init__(self, function: Callable[[Any], T]):
        self.function, self.__doc__ = function, function.__doc__

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        kept, name = instance.__dict__.setdefault("remembered", {}), self.function.__name__
        if name not in kept:
            try:
                kept[name] = self.function(instance)
            except NotRunError as why:
                kept[name] = why
        if isinstance(kept[name], NotRunError):
            raise NotRunError(str(kept[name])) from kept[name]
        return kept[name]


class UncheckableError(Exception):
    """The rule itself could not be checked; the text says why."""
