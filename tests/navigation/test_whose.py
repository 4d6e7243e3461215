"""Whose position is in a log: vehicles, trackers, ground stations, two drones, chosen ids."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from edge.navigation import Navigator
from edge.navigation.recorded import Options, open_navigator
from edge.support.clock import ManualClock
from edge.support.errors import NavFileError
from tests.navigation.material import Autopilot, tlog

S = 1_000_000_000
MUTE = -1  # sends no heartbeat
Sender = tuple[Autopilot, int, int, float]
"""Who, its MAV_TYPE, its MAV_AUTOPILOT, its latitude."""


def drone(system: int, lat_deg: float, *, component: int = 1, kind: int = 2) -> Sender:
    return Autopilot(system, component), kind, 3, lat_deg


def opened(folder: Path, senders: list[Sender], **options: Any) -> Navigator:
    records: list[tuple[float, bytes]] = []
    for step in range(50):
        t_s, ms = step / 10, 5_000 + step * 100
        for pilot, kind, autopilot, lat_deg in senders:
            beat = [pilot.heartbeat(kind=kind, autopilot=autopilot)] if step % 10 == 0 and kind != MUTE else []
            frames = [*beat, pilot.gps(lat_deg=lat_deg), pilot.place(ms, lat_deg), pilot.attitude(ms)]
            records += [(t_s, frame) for frame in frames]
    path = folder / "flight.tlog"
    path.write_bytes(tlog(records))
    return open_navigator(Options(path=path, **options), ManualClock(datetime(2026, 5, 4, tzinfo=timezone.utc)))


def lat_deg(nav: Navigator) -> float | None:
    fix = nav.at(2 * S).fix
    return None if fix is None else fix.lat_deg


@pytest.mark.parametrize(("kind", "autopilot"), [(5, 3), (6, 8), (6, 3), (18, 8), (18, 0), (26, 0), (27, 3), (30, 3)])
def test_who_heartbeats_first_is_not_the_drone_for_that(tmp_path: Path, kind: int, autopilot: int) -> None:
    other = (Autopilot(2), kind, autopilot, 51.02)
    with opened(tmp_path, [other, drone(1, 51.0)]) as nav:
        assert lat_deg(nav) == 51.0
        assert nav.warnings() == ()


def test_two_drones_are_named_and_either_can_be_chosen(tmp_path: Path) -> None:
    both = [drone(1, 51.0), drone(4, 52.0)]
    with opened(tmp_path, both) as nav:
        assert lat_deg(nav) == 51.0
        [said] = nav.warnings()
        assert "not of system 4, component 1 (quadrotor); choose one with navigation.system_id" in said
    with opened(tmp_path, both, system_id=4) as nav:
        assert (lat_deg(nav), nav.warnings()) == (52.0, ())


def test_a_drone_without_heartbeats_is_named_beside_one_that_has_them(tmp_path: Path) -> None:
    with opened(tmp_path, [drone(4, 52.0, kind=MUTE), drone(1, 51.0)]) as nav:
        assert lat_deg(nav) == 51.0
        assert "not of system 4, component 1 (no heartbeat heard)" in nav.warnings()[0]


def test_of_two_drones_without_heartbeats_one_is_taken_and_both_are_named(tmp_path: Path) -> None:
    with opened(tmp_path, [drone(4, 52.0, kind=MUTE), drone(1, 51.0, kind=MUTE)]) as nav:
        assert lat_deg(nav) == 52.0
        said = " ".join(nav.warnings())
    assert "positions are those of system 4, component 1 (no heartbeat heard), not of system 1" in said
    assert "no vehicle's heartbeat is in the log, so system 4 is taken" in said


def test_a_component_can_be_chosen(tmp_path: Path) -> None:
    with opened(tmp_path, [drone(1, 51.0), drone(1, 52.0, component=2)], component_id=2) as nav:
        assert lat_deg(nav) == 52.0


def test_whoever_is_named_is_believed_whatever_it_calls_itself(tmp_path: Path) -> None:
    with opened(tmp_path, [drone(1, 51.0), drone(2, 51.02, kind=5)], system_id=2) as nav:
        assert lat_deg(nav) == 51.02


def test_an_id_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    words = r"of system 9 \(heard are system 1, component 1 \(quadrotor\)\); choose another"
    with pytest.raises(NavFileError, match=words):
        opened(tmp_path, [drone(1, 51.0)], system_id=9)


def test_a_tracker_alone_is_no_flight(tmp_path: Path) -> None:
    with pytest.raises(NavFileError, match=r"heard are system 2, component 1 \(antenna tracker\)\); record it in fl"):
        opened(tmp_path, [drone(2, 51.02, kind=5)])
