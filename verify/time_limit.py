"""The time for a whole check: no program starts that would end after it.

A program cannot be stopped once it runs, so its time is predicted: as long as its fastest run so far, or,
before its first, as much for each equation as the slowest of those compiled so far.
"""

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from verify.oracle.primal import equations

SPENT = "the time for the whole check was spent (seconds=…)"
SHORT = 200  # equations: a shorter program takes as long as one of these


class SpentError(BaseException):
    """The time is over. No `Exception`, which the checks take for something that the rule does."""


@dataclass
class Limit:
    """`end`: the time on the clock; what programs took so far."""

    end: float = math.inf
    per_equation: float = 0.0  # seconds, of the slowest first run: tracing, compiling and running it
    fastest: dict[Any, float] = field(default_factory=dict)

    def seconds_of(self, program: Any) -> float:
        """What running this program will take, by those before it."""
        if program in self.fastest:
            return self.fastest[program]
        return self.per_equation * _length(program)

    def took(self, program: Any, seconds: float) -> None:
        """Take note of a run."""
        if program not in self.fastest:
            self.per_equation = max(self.per_equation, seconds / _length(program))
        self.fastest[program] = min(seconds, self.fastest.get(program, math.inf))


_limits: list[Limit] = []


@contextlib.contextmanager
def limited() -> Iterator[Limit]:
    """A check's own limit, to be set once its first steps have been done, without which there is no answer."""
    _limits.append(Limit())
    try:
        yield _limits[-1]
    finally:
        _limits.pop()


@contextlib.contextmanager
def timed(program: Any) -> Iterator[None]:
    """Run one program, a jaxpr, inside; raises SpentError where it would end late."""
    if not _limits or program is None:
        yield
        return
    limit, start = _limits[-1], time.perf_counter()
    if start + limit.seconds_of(program) > limit.end:
        raise SpentError
    yield
    limit.took(program, time.perf_counter() - start)


def look() -> None:
    """Raises SpentError once the time is over: for what takes long without running a program."""
    if _limits and time.perf_counter() > _limits[-1].end:
        raise SpentError


def _length(program: Any) -> int:
    return max(SHORT, sum(1 for _ in equations(program)))
