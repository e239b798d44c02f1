"""What has happened so far in one `check`."""

import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import ModuleType

from verify.call_under_test import CallUnderTest
from verify.checks import contract
from verify.function_under_test import first_line
from verify.program.recursion import EndlessError
from verify.report.finding import Finding, NotRunError, UncheckableError
from verify.report.report import FAILED, NOT_RUN, PASSED, Outcome
from verify.time_limit import SPENT, SpentError

PATIENCE = 1.0  # seconds


@dataclass
class Log:
    """What has happened so far in one `check`."""

    findings: list[Finding] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    varied: set[str] = field(default_factory=set)  # the options that some generated call gave another value
    start: float = field(default_factory=time.perf_counter)

    def run(self, check: ModuleType, case: CallUnderTest) -> bool:
        """Run one check on one case; True if it found nothing wrong."""
        start, reason, found = time.perf_counter(), "", []
        self.tell(f"{check.NAME} on {case.label}")
        try:
            found = check.findings(case)
        except NotRunError as why:
            reason = str(why)
        except UncheckableError:
            raise
        except SpentError:
            reason = SPENT
        except Exception as error:
            reason = f"the check itself failed on this rule: {first_line(error)}"
        if not any(n.startswith(f"{check.NAME}: ") for n in self.notes):  # of other calls the same would be said again
            said: dict[str, str] = {}
            for f in found:
                if f.note:  # the same in float16 as in bfloat16 once
                    alike = f"{f.argument}: {f.message}".replace("bfloat16", "float16")
                    said.setdefault(alike, f"{f.check}: {f.argument}: {f.message}, on {f.case}")
            self.notes += list(said.values())[: 1 if check.EVERY_CASE else 3]
        found = [f for f in found if not f.note]
        status = NOT_RUN if reason else FAILED if found else PASSED
        self.findings += found
        self.outcomes.append(Outcome(check.NAME, case.label, status, reason, time.perf_counter() - start))
        return not found

    def run_before(self, end: float, check: ModuleType, case: CallUnderTest) -> None:
        """Run one check, unless it would end late."""
        if self.late(end):
            self.skip([check], case.label, SPENT)
        else:
            self.run(check, case)

    def late(self, end: float) -> bool:
        """Whether a step as long as the longest so far would end after `end`."""
        return time.perf_counter() + max((o.seconds for o in self.outcomes), default=0.0) > end

    def run_all(self, checks: Sequence[ModuleType], case: CallUnderTest) -> bool:
        """Run several; a rule that cannot be differentiated at a call is not asked for its gradient there."""
        right = True
        self.varied.update(case.options)
        for n, check in enumerate(checks):
            right = self.run(check, case) and right
            if check is contract and self.outcomes[-1].status != PASSED:
                self.skip(checks[n + 1 :], case.label, self.outcomes[-1].reason or f"{contract.NAME} failed already")
                break
        return right

    def end(self, chosen: Sequence[ModuleType], case: str, error: Exception) -> str:
        """What an exception means that ended the check: a reason why the rule could not be judged, or, of a rule that
        never ends, a finding."""
        if isinstance(error, EndlessError):
            self.findings.append(Finding(contract.NAME, "the rule", None, None, None, "raises", str(error), case))
            self.skip(chosen, case, "the rule is wrong already")
            return ""
        failed = f"the check itself failed on this rule: {first_line(error)}"
        because = str(error) if isinstance(error, UncheckableError) else failed
        self.skip(chosen, case, because)
        return because

    def tell(self, text: str) -> None:
        """On a terminal, show what is being done once a check takes long."""
        if sys.stderr.isatty() and time.perf_counter() - self.start > PATIENCE:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\033[K{text[:width]}", end="" if text else "\r", file=sys.stderr, flush=True)

    def skip(self, checks: Iterable[ModuleType], case: str, reason: str) -> None:
        self.outcomes += [Outcome(c.NAME, case, NOT_RUN, reason) for c in checks]
