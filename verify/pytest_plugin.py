"""`pytest --verify-rules`: every `custom_vjp` and `custom_jvp` that a test suite calls, checked at its end.

The tests run as they are. The rules that they call are recorded with the first values that reach them, checked once
per rule and shape after the last test, and listed in the summary; the session fails if one is wrong. Nothing is
imported, and nothing changes, without the option.
"""

from dataclasses import dataclass
from typing import Any

import pytest

OPTION, BUDGET = "--verify-rules", "--verify-rules-seconds"


@dataclass(frozen=True)
class Line:
    """A report as it travels from a worker of pytest-xdist: plain text."""

    rule: str
    verdict: str
    text: str


def pytest_addoption(parser: Any) -> None:
    group = parser.getgroup("verify", "hand-written derivatives")
    group.addoption(
        OPTION, action="store_true", help="check every custom_vjp and custom_jvp that the tests call, at the end"
    )
    group.addoption(
        BUDGET, type=float, default=600.0, metavar="S", help="begin no further rule after so many seconds (600)"
    )


def pytest_configure(config: Any) -> None:
    # The process that only hands out tests to workers calls no rule itself.
    if config.getoption("verify_rules"):
        config.pluginmanager.register(Session(config), "verify-rules-session")


class Session:
    """What one process of the test run has recorded and what came of it."""

    def __init__(self, config: Any) -> None:
        from verify.program.recording import recording

        self.config = config
        self.lines: list[Line] = []
        self.open = recording()
        self.found = self.open.__enter__()

    def pytest_sessionfinish(self, session: Any) -> None:
        self.lines += self._checked()
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput["verify_rules"] = [(r.rule, r.verdict, r.text) for r in self.lines]
        elif session.exitstatus in (0, 5) and any(line.verdict == "wrong" for line in self.lines):
            session.exitstatus = 1

    @pytest.hookimpl(optionalhook=True)  # a hook of pytest-xdist's
    def pytest_testnodedown(self, node: Any) -> None:
        known = {line.rule for line in self.lines}
        rows = [Line(*row) for row in getattr(node, "workeroutput", {}).get("verify_rules", [])]
        self.lines += [row for row in rows if row.rule not in known]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("hand-written derivative rules")
        for line in self.lines:
            terminalreporter.write_line(f"{line.verdict:<22} {line.rule}")
        for line in self.lines:
            if line.verdict == "wrong":
                terminalreporter.write_line(f"\n{line.text}")
        wrong = sum(line.verdict == "wrong" for line in self.lines)
        terminalreporter.write_line(f"{len(self.lines)} rules and shapes, {wrong} wrong")

    def _checked(self) -> list[Line]:
        import warnings

        import jax

        from verify.program.every_rule import CASES, checked
        from verify.program.records import drawn

        jax.effects_barrier()
        self.open.__exit__(None, None, None)
        records = [drawn(r) for r in self.found.records.values() if r.differentiable]
        seconds = self.config.getoption("verify_rules_seconds")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the suite's own filters are about its tests
            reports = checked(records, seed=0, cases=CASES, checks=None, seconds=seconds)
        return [Line(f"{r.rule}({r.call})", r.verdict, str(r)) for r in reports]
