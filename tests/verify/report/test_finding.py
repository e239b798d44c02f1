"""What has no answer is asked for once."""

from dataclasses import dataclass

import pytest

from verify.report.finding import NotRunError, Remembered


@dataclass(frozen=True)
class Asked:
    answer: int | None
    times: list[int]

    @Remembered
    def value(self) -> int:
        self.times.append(1)
        if self.answer is None:
            raise NotRunError("there is none")
        return self.answer


def test_a_value_is_computed_once():
    asked = Asked(3, [])
    assert [asked.value, asked.value] == [3, 3]
    assert len(asked.times) == 1


def test_a_reason_is_found_once_and_given_every_time():
    asked = Asked(None, [])
    for _ in range(2):
        with pytest.raises(NotRunError, match="there is none"):
            asked.value  # noqa: B018
    assert len(asked.times) == 1
