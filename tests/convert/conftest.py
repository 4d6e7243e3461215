from __future__ import annotations

from datetime import datetime, timezone

import pytest

from edge.support.clock import ManualClock


@pytest.fixture
def clock_now() -> ManualClock:
    return ManualClock(datetime(2025, 6, 1, tzinfo=timezone.utc))
