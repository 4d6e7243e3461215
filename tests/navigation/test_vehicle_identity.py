"""Whose messages are the drone's: other systems, trackers, ground stations, a second drone, two under one id."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pymavlink.dialects.v20 import common

from tests.navigation.bench import MS, Bench, S
from tests.navigation.material import Autopilot


def test_foreign_systems_and_components_are_not_believed() -> None:
    bench = Bench()
    stranger, gimbal = Autopilot(77, 1), Autopilot(1, 154)
    station = Autopilot(255, 1)
    for sender in (stranger, gimbal, station):
        frames = (sender.heartbeat(), sender.gps(), sender.place(1000, 10.0, 10.0), sender.attitude(1000))
        bench.hear(1000, *frames, sender.distance(1000))
    state = bench.at(1000)
    assert (state.fix, state.attitude, state.range_m) == (None, None, None)


def test_a_ground_station_or_companion_is_not_taken_for_the_autopilot() -> None:
    bench = Bench(heard=False)
    bench.hear(0, Autopilot(255, 1).heartbeat(kind=6), Autopilot(9, 1).heartbeat(kind=18, autopilot=8))
    assert bench.vehicle.system_id is None
    bench.hear(0, Autopilot(4, 1).heartbeat())
    assert bench.vehicle.system_id == 4


@pytest.mark.parametrize("kind", [5, 6, 18, 26, 27, 30, 32, 34, 38, 42, 200])
def test_only_a_vehicle_is_taken_for_the_drone(kind: int) -> None:
    """An antenna tracker runs an autopilot too, and states where it stands."""
    bench = Bench(heard=False)
    other, drone = Autopilot(2), Autopilot(7)
    bench.hear(0, other.heartbeat(kind=kind), other.gps(lat_deg=51.02), other.place(0, 51.02))
    assert bench.vehicle.system_id is None
    bench.hear(100, drone.heartbeat(), drone.gps(lat_deg=51.0), drone.place(100, 51.0))
    assert bench.vehicle.system_id == 7
    assert bench.at(100).fix.lat_deg == 51.0
    assert bench.vehicle.warnings(bench.base_ns) == ()


@pytest.mark.parametrize("kind", [1, 2, 4, 10, 11, 12, 13, 14, 15, 20, 29, 35, 43])
def test_drones_of_every_build_are_vehicles(kind: int) -> None:
    bench = Bench(heard=False)
    bench.hear(0, Autopilot(9).heartbeat(kind=kind))
    assert bench.vehicle.system_id == 9


def test_a_second_drone_is_named() -> None:
    bench = Bench()
    bench.hear(100, Autopilot(3).heartbeat(kind=13), Autopilot(255, 190).heartbeat(kind=6, autopilot=8))
    [said] = bench.vehicle.warnings(bench.base_ns)
    assert said == (
        "more than one autopilot is heard: positions are those of system 1, component 1 (quadrotor), not of "
        "system 3, component 1 (hexarotor); choose one with navigation.system_id and component_id"
    )
    assert bench.vehicle.warnings(bench.base_ns + 60 * S) == ()  # it has flown away


def test_a_second_drone_without_heartbeats_is_named_once_it_should_have_sent_some() -> None:
    bench, other = Bench(), Autopilot(3)
    for ms in range(0, 4000, 500):
        bench.hear(ms, other.place(ms))
        said = bench.vehicle.warnings(bench.base_ns + ms * MS)
        assert bool(said) is (ms >= 3000)
    assert "not of system 3, component 1 (no heartbeat heard)" in said[0]


def test_a_given_system_id_needs_no_heartbeat_and_takes_no_other() -> None:
    bench = Bench(system_id=5)
    other, own = Autopilot(1), Autopilot(5)
    bench.hear(1000, other.heartbeat(), other.gps(), other.place(1000, 10, 10))
    assert bench.at(1000).fix is None
    bench.hear(1000, own.gps(), own.place(1000))
    assert bench.at(1000).fix is not None


def test_boot_times_in_microseconds_are_not_believed_and_positions_go_on() -> None:
    """Cleanflight, Betaflight and early iNav send GLOBAL_POSITION_INT so, and ATTITUDE in milliseconds."""
    bench = Bench(heard=False, component_id=200)
    bench.pilot = Autopilot(0, 200)
    bench.hear(0, bench.pilot.heartbeat())
    for ms in range(0, 9000, 100):
        bench.hear(ms, bench.pilot.gps(), bench.pilot.attitude(60_000 + ms))
        bench.hear(ms, bench.pilot.place(((60_000 + ms) * 1000 + 7) % 2**32, 48.0 + ms * 1e-8))
    assert bench.vehicle.restarts <= 1
    assert bench.at(8050).fix.lat_deg == pytest.approx(48.0 + 8050e-8, abs=1e-8)
    assert bench.at(8000).attitude is not None
    [said] = bench.vehicle.warnings(bench.base_ns + 9000 * MS)
    assert "does not count milliseconds" in said
    assert bench.vehicle.trouble(bench.base_ns + 9000 * MS) is None


@pytest.mark.parametrize("boot_ms", [lambda ms: 0, lambda ms: 12345, lambda ms: ms // 1000])
def test_a_boot_time_that_hardly_moves_is_not_believed(boot_ms: Any) -> None:
    """Left empty, never updated, or seconds."""
    bench = Bench()
    for ms in range(0, 12_000, 100):
        bench.hear(ms, bench.pilot.gps(), bench.pilot.place(boot_ms(ms), 48.0 + ms * 1e-8))
    assert bench.at(11_900).fix.lat_deg == pytest.approx(48.0 + 11_900e-8, abs=1e-8)
    assert bench.vehicle.warnings(bench.base_ns + 12_000 * MS)


def local(pilot: Autopilot, ms: int, north_m: float) -> bytes:
    return pilot.pack(common.MAVLink_local_position_ned_message(ms, north_m, 0, -3, 0, 0, 0))


def odometry(pilot: Autopilot, ms: int, north_m: float) -> bytes:
    unknown = [math.nan] * 21
    return pilot.pack(
        common.MAVLink_odometry_message(
            ms * 1000, 1, 8, north_m, 0, -3, [1, 0, 0, 0], 0, 0, 0, 0, 0, 0, unknown, unknown, 0, 3, 50
        )
    )


def gimbal(pitch_deg: float) -> bytes:
    """Of one of two vehicles, both with the gimbal's own component 154."""
    q = [math.cos(math.radians(pitch_deg) / 2), 0, math.sin(math.radians(pitch_deg) / 2), 0]
    report = common.MAVLink_gimbal_device_attitude_status_message(0, 0, 0, 64, q, 0, 0, 0, 0, math.nan, math.nan, 0)
    return Autopilot(1, 154).pack(report)


def test_two_senders_under_one_address_give_no_position_and_one_reason() -> None:
    bench = Bench()
    twin = Autopilot()
    for ms in range(0, 9000, 100):
        bench.hear(ms, bench.pilot.gps(), bench.pilot.place(60_000 + ms, 48.0), bench.pilot.attitude(60_000 + ms))
        bench.hear(ms, local(bench.pilot, 60_000 + ms, 1.0), odometry(bench.pilot, 60_000 + ms, 1.0))
        bench.hear(ms, gimbal(-20))
        bench.hear(ms + 5, twin.gps(), twin.place(837_000 + ms, 48.00005), twin.attitude(837_000 + ms))
        bench.hear(ms + 5, local(twin, 837_000 + ms, 4.0), odometry(twin, 837_000 + ms, 4.0), gimbal(-80))
        if ms >= 500:
            state = bench.at(ms + 5)
            assert (state.fix, state.attitude, state.local, state.vehicle) == (None, None, None, None)
    now_ns = bench.base_ns + 9000 * MS
    assert "two senders share system 1, component 1" in str(bench.vehicle.trouble(now_ns))
    assert bench.vehicle.warnings(now_ns) == ()
    assert bench.vehicle.restarts <= 1
    for ms in range(9000, 60_000, 100):  # the twin has landed
        bench.hear(ms, bench.pilot.gps(), bench.pilot.place(60_000 + ms, 48.0))
    assert bench.vehicle.trouble(bench.base_ns + 60_000 * MS) is None
    assert bench.at(59_900).fix is not None


@pytest.mark.parametrize("stall_ms", [900, 3000, 5000, 8000])
def test_a_link_that_stalls_and_loses_what_it_held_up_is_no_second_sender(stall_ms: int) -> None:
    """Some of what was held up arrives late, in a burst, and the rest of it never."""
    bench = Bench()
    for ms in range(0, 30_000, 100):
        held_up = 10_000 <= ms < 10_000 + stall_ms
        if held_up and ms >= 10_000 + stall_ms / 3:
            continue
        arrives_ms = 10_000 + stall_ms if held_up else ms
        frames = (bench.pilot.gps(), bench.pilot.place(60_000 + ms), bench.pilot.attitude(60_000 + ms))
        bench.hear(arrives_ms, *frames)
    now_ns = bench.base_ns + 30_000 * MS
    assert (bench.vehicle.trouble(now_ns), bench.vehicle.warnings(now_ns), bench.vehicle.restarts) == (None, (), 0)
    assert bench.at(10_000 + stall_ms).fix is not None
