from __future__ import annotations

import logging
from datetime import datetime

import pytest

from edge.support.clock import UTC, ManualClock
from edge.support.complaints import Complaints, Trouble

SECOND_NS = 10**9
log = logging.getLogger("tests.complaints")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 5, 1, tzinfo=UTC), 0)


def test_one_kind_is_logged_once_a_minute(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(log, clock)
    for _ in range(150):
        complaints.warn("away", "broker away")
        clock.advance(SECOND_NS)
    more = "broker away (and 59 times more since the last such line)"
    assert [record.getMessage() for record in caplog.records] == ["broker away", more, more]
    complaints.forget("away")
    complaints.warn("away", "away again")
    assert caplog.records[-1].getMessage() == "away again"


def test_another_kind_is_not_held_back(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(log, clock)
    complaints.warn("away", "broker away")
    complaints.warn("full", "disk full")
    assert [record.getMessage() for record in caplog.records] == ["broker away", "disk full"]


def test_a_device_that_comes_and_goes_every_second_is_logged_once_a_minute(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    trouble = Trouble(log, clock)
    for _ in range(60):
        trouble.say("the receiver was unplugged")
        assert trouble.sentence == "the receiver was unplugged"
        trouble.over("the receiver is back")
        assert trouble.sentence is None
        clock.advance(SECOND_NS)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "the receiver was unplugged"
    ]
