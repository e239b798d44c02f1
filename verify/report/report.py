"""What `check` returns: the verdict, the findings, what ran, what did not run and why. Plain text, no dependency."""

from dataclasses import asdict, dataclass
from typing import Any

from verify.report.finding import Finding

RIGHT, WRONG, UNCHECKED = "right", "wrong", "could not be checked"
PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"


@dataclass(frozen=True)
class Outcome:
    """One check on one call, `case`. `reason` says why it did not run."""

    check: str
    case: str
    status: str
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Report:
    """The result of `verify.check`.

    - `ok`: True only if no check failed and the gradient was compared with an oracle at least once.
    - `verdict`: "right", "wrong" or "could not be checked"; in the last case `because` says why.
    - `failures`: the findings.
    - `outcomes`: every check on every call: passed, failed, or not run and why.
    - `notes`: conventions at kinks, costs, what the oracle was.
    - `detection_limits`: for each argument, the smallest error of a single element that would have been noticed.
    """

    rule: str
    call: str
    oracle: str
    failures: tuple[Finding, ...]
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()
    detection_limits: tuple[tuple[str, float], ...] = ()
    because: str = ""
    equation: str = ""  # the docstring of the rule's module, or its own: what it should compute
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        if self.failures:
            return WRONG
        return UNCHECKED if self.because else RIGHT

    @property
    def ok(self) -> bool:
        return self.verdict == RIGHT

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "verdict": self.verdict, "ok": self.ok}

    def __str__(self) -> str:
        head = f"{self.rule}({self.call}): {self.verdict.upper()}"
        lines = [head + (f" because {self.because}" if self.because and not self.failures else "")]
        for failure in self.failures[:8]:
            lines += ["", *("  " + line for line in str(failure).splitlines())]
        if len(self.failures) > 8:
            lines += ["", f"  … and {len(self.failures) - 8} more findings"]
        lines += ["", f"  oracle: {self.oracle}"]
        ran = [o for o in self.outcomes if o.status != NOT_RUN]
        names = list(dict.fromkeys(o.check for o in ran))
        calls = len({o.case for o in ran})
        lines.append(f"  ran: {', '.join(names) or 'nothing'}, on {calls} call{'s' * (calls != 1)}")
        lines += [f"  {line}" for line in self._not_run()]
        lines += [f"  {note}" for note in self.notes]
        if self.detection_limits:
            seen = ", ".join(f"{name} {size:.1e}" for name, size in self.detection_limits)
            lines.append(f"  smallest error of one element it would have seen, relative to the largest: {seen}")
        lines.append(f"  {self.seconds:.1f} s")
        return "\n".join(lines)

    def _not_run(self) -> list[str]:
        """Checks that never ran, with the reason, and calls on which no gradient could be compared."""
        ran = {o.check for o in self.outcomes if o.status != NOT_RUN}
        first = {o.check: o.reason for o in reversed(self.outcomes) if o.status == NOT_RUN and o.check not in ran}
        reasons: dict[str, list[str]] = {}
        for o in self.outcomes:
            if o.check in first:
                reasons.setdefault(first.pop(o.check), []).append(o.check)
        lines = [f"not run: {', '.join(names)}: {reason}" for reason, names in reasons.items()]
        dropped: dict[str, list[str]] = {}
        for o in self.outcomes:
            if o.check == "gradient" and o.status == NOT_RUN and "gradient" in ran:
                dropped.setdefault(o.reason, []).append(o.case)
        return lines + [f"no gradient compared on: {'; '.join(calls)}: {reason}" for reason, calls in dropped.items()]
