"""A clock that tests set."""

from datetime import datetime, timezone

import pytest

from edge.support.clock import ManualClock
from tests.frames.driver import SECOND


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 1, tzinfo=timezone.utc), monotonic_ns=1000 * SECOND)
