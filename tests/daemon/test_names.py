"""Which run goes on with the cracks of an earlier one."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge.daemon.names import GAP_S, SAVE_S, Names
from edge.support.clock import ManualClock
from edge.surface.inventory import Inventory


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc), monotonic_ns=10_000_000_000)


def _written(path: Path, clock: ManualClock) -> None:
    Names(path, "drone1", clock, "boot").save(Inventory(), "flight", now=True)


def test_a_restart_within_minutes_of_the_same_boot_goes_on(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "outbox.cracks"
    _written(path, clock)
    clock.advance(round((GAP_S - 1) * 1e9))
    earlier = Names(path, "drone1", clock, "boot").read()
    assert earlier is not None
    assert earlier.flight_id == "flight"


@pytest.mark.parametrize(
    ("vehicle", "boot", "later_s"), [("drone2", "boot", 1), ("drone1", "b2", 1), ("drone1", "boot", GAP_S + 1)]
)
def test_another_vehicle_boot_or_day_is_another_flight(
    tmp_path: Path, clock: ManualClock, vehicle: str, boot: str, later_s: float
) -> None:
    path = tmp_path / "outbox.cracks"
    _written(path, clock)
    clock.advance(round(later_s * 1e9))
    assert Names(path, vehicle, clock, boot).read() is None


@pytest.mark.parametrize("change", [b"", b"{}\n", b"no json\nrest", None])
def test_a_damaged_file_is_said_and_names_begin_anew(
    tmp_path: Path, clock: ManualClock, change: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "outbox.cracks"
    _written(path, clock)
    path.write_bytes(path.read_bytes()[:-20] if change is None else change)
    with caplog.at_level(logging.WARNING):
        assert Names(path, "drone1", clock, "boot").read() is None
    assert "outbox.cracks: crack names begin anew" in caplog.text


def test_it_is_written_now_and_then_and_a_disk_that_takes_nothing_ends_no_flight(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "outbox.cracks"
    names = Names(path, "drone1", clock, "boot")
    names.save(Inventory(), "flight")
    assert names.read() is not None, "what is being written is waited for"
    path.unlink()
    names.save(Inventory(), "flight")
    assert not path.exists()
    clock.advance(round(SAVE_S * 1e9))
    names.save(Inventory(), "flight")
    assert names.read() is not None
    nowhere = Names(tmp_path / "missing" / "outbox.cracks", "drone1", clock, "boot")
    with caplog.at_level(logging.WARNING):
        nowhere.save(Inventory(), "flight", now=True)
    assert "crack names are not kept" in caplog.text
    Names(None, "drone1", clock, "boot").save(Inventory(), "flight", now=True)
