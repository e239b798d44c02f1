"""Every faulty rule is caught, with its reference and without, and its pattern is named."""

import pytest

import verify
from tests.sampling import one_in

from .faulty_rules.all import RULES

# Both shares are asked of the whole set; each single rule must be caught as well, so the tests are one per rule.
NAMED = 0.8


@pytest.fixture(scope="module")
def named():
    """For each rule caught so far, whether a word that describes its fault occurs in one of the first patterns."""
    return {}


@pytest.mark.parametrize("wrong", one_in(5, RULES), ids=lambda wrong: wrong.name)
def test_is_caught_with_its_reference(wrong, named):
    report = verify.check(wrong.rule, *wrong.args, reference=wrong.reference)
    named[wrong.name] = any(word in found.pattern for found in report.failures[:3] for word in wrong.patterns)
    assert report.failures, str(report)
    assert not report.ok
    assert all(len(str(found).splitlines()) <= 20 for found in report.failures)


def test_most_patterns_are_named(named):
    if not named:
        pytest.skip("runs after the rules, in the same process")
    share = sum(named.values()) / len(named)
    assert share >= NAMED, f"{share:.0%} of {len(named)}: not {[name for name, good in named.items() if not good]}"


@pytest.mark.parametrize("wrong", one_in(10, [w for w in RULES if w.alone]), ids=lambda wrong: wrong.name)
def test_is_caught_without_a_reference(wrong):
    report = verify.check(wrong.rule, *wrong.args)
    assert report.failures, str(report)
