"""What an autopilot's messages mean: when they are a fix, where the camera looks, what the rangefinder sees."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from edge.navigation import FixKind, rotation
from edge.navigation.history import History
from edge.navigation.mavlink import decoder
from edge.navigation.timebase import UtcTrack
from edge.navigation.vehicle import Mount, Vehicle
from tests.navigation.material import START_US, Autopilot

S = 1_000_000_000
MS = 1_000_000
decode = decoder()


class Bench:
    """A vehicle under test; ``boot`` counts from 0 at ``base_ns``."""

    base_ns = 500 * S

    def __init__(self, mount: Mount | None = None, *, heard: bool = True, **options: Any) -> None:
        self.history, self.utc = History(), UtcTrack()
        self.vehicle = Vehicle(self.history, self.utc, mount or Mount(), **options)
        self.pilot = Autopilot()
        if heard:
            self.hear(0, self.pilot.heartbeat())

    def hear(self, boot_ms: int, *frames: bytes) -> None:
        for frame in frames:
            self.vehicle.hear(decode(frame), self.base_ns + boot_ms * MS)

    def at(self, boot_ms: int) -> Any:
        return self.history.at(self.base_ns + boot_ms * MS)


def test_filtered_position_with_the_receivers_quality() -> None:
    bench = Bench()
    bench.hear(1000, bench.pilot.gps(fix_type=6, lat_deg=48.50003, lon_deg=11.25), bench.pilot.place(1000, 48.5, 11.25))
    got = bench.at(1000).fix
    assert (got.kind, got.lat_deg, got.lon_deg, got.alt_amsl_m) == (FixKind.RTK_FIXED, 48.5, 11.25, 501.5)
    assert (got.h_accuracy_m, got.v_accuracy_m, got.age_ms) == (0.8, 1.5, 0)


def test_the_filtered_height_above_the_ellipsoid_is_as_far_from_mean_sea_level_as_the_receivers() -> None:
    bench = Bench()
    bench.hear(1000, bench.pilot.gps(ellipsoid_mm=547_250), bench.pilot.place(1000, alt_m=501.5))
    got = bench.at(1000).fix
    assert (got.alt_amsl_m, got.alt_ellipsoid_m) == (501.5, pytest.approx(548.75))


def test_the_receivers_own_height_above_the_ellipsoid_and_none_where_it_is_not_sent() -> None:
    bench = Bench()
    bench.hear(1000, bench.pilot.gps(ellipsoid_mm=547_250))
    assert bench.at(1000).fix.alt_ellipsoid_m == 547.25
    bench.hear(1200, bench.pilot.gps(ellipsoid_mm=0))  # the field of MAVLink 2 is 0 where a sender does not fill it
    assert bench.at(1200).fix.alt_ellipsoid_m is None


@pytest.mark.parametrize(
    ("fix_type", "kind"),
    [
        (0, None),
        (1, None),
        (2, FixKind.FIX_2D),
        (3, FixKind.FIX_3D),
        (4, FixKind.DGPS),
        (5, FixKind.RTK_FLOAT),
        (6, FixKind.RTK_FIXED),
        (7, FixKind.FIX_3D),
        (8, FixKind.FIX_3D),
        (200, None),
    ],
)
def test_fix_types(fix_type: int, kind: FixKind | None) -> None:
    bench = Bench()
    bench.hear(1000, bench.pilot.gps(fix_type=fix_type), bench.pilot.place(1000))
    got = bench.at(1000).fix
    assert (got.kind if got else None) == kind


def test_a_dead_reckoned_position_is_no_fix() -> None:
    """The filter goes on without satellites: GPS_RAW_INT says no fix, or nothing at all."""
    bench = Bench()
    for ms in range(0, 5000, 100):
        if ms <= 1000:
            bench.hear(ms, bench.pilot.gps())
        bench.hear(ms, bench.pilot.place(ms))
    assert bench.at(2900).fix is not None  # 1.9 s after the last word of the receiver
    assert bench.at(3200).fix is None
    bench.hear(5100, bench.pilot.gps(fix_type=1), bench.pilot.place(5100))
    assert bench.at(5100).fix is None


def test_without_gps_raw_nothing_is_a_fix_unless_the_caller_says_so() -> None:
    silent = Bench()
    silent.hear(1000, silent.pilot.place(1000))
    assert silent.at(1000).fix is None
    assumed = Bench(unstated=FixKind.FIX_3D)
    assumed.hear(1000, assumed.pilot.place(1000))
    assert assumed.at(1000).fix.h_accuracy_m is None
    assumed.hear(1100, assumed.pilot.gps(fix_type=0), assumed.pilot.place(1100))
    assert assumed.at(1100).fix is None


def test_the_receiver_stands_in_while_the_filter_has_no_position() -> None:
    bench = Bench()
    bench.hear(1000, bench.pilot.gps(lat_deg=48.25), bench.pilot.place(1000, 0.0, 0.0))
    assert bench.at(1000).fix.lat_deg == 48.25


def test_unknown_accuracy_is_unknown() -> None:
    bench = Bench()
    bench.hear(1000, bench.pilot.gps(h_acc_mm=0), bench.pilot.place(1000))
    assert bench.at(1000).fix.h_accuracy_m is None


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


def test_the_time_is_that_of_the_measurement() -> None:
    bench = Bench()
    bench.hear(1000, bench.pilot.gps(), bench.pilot.place(1000, 48.0))
    frame = bench.pilot.place(1200, 48.00002)
    bench.hear(1390, frame)  # 190 ms late
    assert bench.at(1100).fix.lat_deg == pytest.approx(48.00001)
    assert bench.at(1200).fix.age_ms == 0


def test_a_restart_leaves_nothing_in_between() -> None:
    bench = Bench()
    bench.hear(60_000, bench.pilot.gps(), bench.pilot.place(60_000), bench.pilot.attitude(60_000))
    bench.hear(60_500, bench.pilot.attitude(300))
    assert bench.vehicle.restarts == 1
    assert bench.at(60_000).fix is not None
    assert bench.at(60_400).fix is None
    bench.hear(60_600, bench.pilot.place(400))  # the fix of before the restart vouches for nothing
    assert bench.at(60_600).fix is None
    bench.hear(60_700, bench.pilot.gps(), bench.pilot.place(500))
    assert bench.at(60_700).fix is not None
    assert bench.at(60_500).attitude.pitch_deg == 0


def test_the_camera_hangs_on_the_vehicle() -> None:
    bench = Bench(Mount(camera_pitch_deg=-90))
    bench.hear(1000, bench.pilot.attitude(1000, yaw=math.radians(90)))
    camera = bench.at(1000).attitude
    assert (camera.roll_deg, camera.pitch_deg, camera.yaw_deg) == pytest.approx((0, -90, 90), abs=1e-5)
    side = Bench(Mount(camera_yaw_deg=90))
    side.hear(1000, side.pilot.attitude(1000, roll=math.radians(10), yaw=math.radians(-90)))
    axis = rotation.optical_axis(side.at(1000).attitude)
    # Nose to the west, camera out of the right side, right side 10 degrees down: north and 10 degrees down.
    assert axis == pytest.approx((math.cos(math.radians(10)), 0, math.sin(math.radians(10))), abs=1e-6)


def test_an_attitude_that_is_no_number_is_unknown() -> None:
    bench = Bench()
    bench.hear(1000, bench.pilot.attitude(1000, roll=math.nan))
    assert bench.at(1000).attitude is None


@pytest.mark.parametrize(
    ("mount", "orientation", "counts"),
    [
        (Mount(), 0, True),
        (Mount(), 25, False),
        (Mount(camera_pitch_deg=-90), 25, True),
        (Mount(camera_pitch_deg=-90), 0, False),
        (Mount(camera_pitch_deg=90), 24, True),
        (Mount(camera_yaw_deg=90), 2, True),
        (Mount(camera_yaw_deg=180), 4, True),
        (Mount(camera_yaw_deg=-90), 6, True),
        (Mount(camera_pitch_deg=-10), 0, True),
        (Mount(camera_pitch_deg=-45), 0, False),
        (Mount(camera_pitch_deg=-45, range_orientation=100), 100, True),
        (Mount(range_orientation=25), 0, False),
    ],
)
def test_only_a_rangefinder_that_looks_with_the_camera_counts(mount: Mount, orientation: int, counts: bool) -> None:
    bench = Bench(mount)
    bench.hear(1000, bench.pilot.distance(1000, orientation=orientation))
    assert (bench.at(1000).range_m is not None) == counts


@pytest.mark.parametrize(
    ("values", "expected_m"),
    [
        ({"cm": 420}, 4.2),
        ({"cm": 20}, 0.2),
        ({"cm": 19}, None),
        ({"cm": 0}, None),
        ({"cm": 4000}, None),
        ({"cm": 4100}, None),
        ({"cm": 4100, "high_cm": 0}, 41.0),
        ({"quality": 1}, None),
        ({"quality": 100}, 4.2),
    ],
)
def test_range_within_the_sensors_limits(values: dict[str, int], expected_m: float | None) -> None:
    bench = Bench()
    bench.hear(1000, bench.pilot.distance(1000, **values))
    assert bench.at(1000).range_m == (None if expected_m is None else pytest.approx(expected_m))


def test_one_rangefinder_of_several_and_its_distance_to_the_lens() -> None:
    bench = Bench(Mount(range_id=2, range_offset_m=-0.12))
    bench.hear(1000, bench.pilot.distance(1000, 900, id=1), bench.pilot.distance(1000, 500, id=2))
    assert bench.at(1000).range_m == pytest.approx(4.88)


def test_satellite_time() -> None:
    bench = Bench()
    bench.hear(1000, bench.pilot.gps(), bench.pilot.system_time(1000, 0))
    assert bench.utc.at(bench.base_ns) is None
    bench.hear(2000, bench.pilot.system_time(2000, START_US))
    start = datetime(2026, 5, 4, 10, tzinfo=timezone.utc)
    assert bench.utc.at(bench.base_ns + 2500 * MS) == start + timedelta(seconds=0.5)
    bench.hear(3000, bench.pilot.gps(), bench.pilot.system_time(3000, 2**64 - 1))
    assert bench.utc.at(bench.base_ns + 3000 * MS) == start + timedelta(seconds=1)


def test_a_time_of_day_without_satellites_is_a_ground_stations() -> None:
    """ArduPilot and PX4 take the time of a ground station where no receiver gives one, and send it on."""
    bench = Bench()
    bench.hear(1000, bench.pilot.system_time(1000, START_US))
    bench.hear(2000, bench.pilot.gps(fix_type=1), bench.pilot.system_time(2000, START_US))
    assert bench.utc.at(bench.base_ns) is None
    assert bench.vehicle.unproven == 2
    bench.hear(3000, bench.pilot.gps(), bench.pilot.system_time(3000, START_US))
    assert bench.utc.at(bench.base_ns + 3000 * MS) == datetime(2026, 5, 4, 10, tzinfo=timezone.utc)


def test_the_second_receiver_vouches_when_the_first_is_dead() -> None:
    bench = Bench()
    bench.hear(1000, bench.pilot.gps(fix_type=0), bench.pilot.gps2(fix_type=6), bench.pilot.place(1000))
    assert bench.at(1000).fix.kind == FixKind.RTK_FIXED
    assert bench.vehicle.warnings(bench.base_ns + 1000 * MS) == (
        "the first satellite receiver has no fix: positions rest on the second one (GPS2_RAW)",
    )
    bench.hear(1200, bench.pilot.gps(fix_type=0), bench.pilot.gps2(fix_type=1), bench.pilot.place(1200))
    assert bench.at(1200).fix is None


@pytest.mark.parametrize(("first", "second", "kind"), [(3, 6, FixKind.RTK_FIXED), (4, 3, FixKind.DGPS)])
def test_of_two_receivers_the_better_one_counts(first: int, second: int, kind: FixKind) -> None:
    bench = Bench()
    bench.hear(1000, bench.pilot.gps(fix_type=first), bench.pilot.gps2(fix_type=second), bench.pilot.place(1000))
    assert bench.at(1000).fix.kind == kind
    assert bench.vehicle.warnings(bench.base_ns + 1000 * MS) == ()


def test_a_second_receiver_alone_is_enough() -> None:
    bench = Bench()
    bench.hear(1000, bench.pilot.gps2(lat_deg=48.25))
    assert bench.at(1000).fix.lat_deg == 48.25


def test_an_accuracy_with_all_bits_set_is_unknown() -> None:
    bench = Bench()
    bench.hear(1000, bench.pilot.gps(h_acc_mm=2**32 - 1), bench.pilot.place(1000))
    assert bench.at(1000).fix.h_accuracy_m is None


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


def test_two_senders_under_one_address_give_no_position_and_one_reason() -> None:
    bench = Bench()
    twin = Autopilot()
    for ms in range(0, 9000, 100):
        bench.hear(ms, bench.pilot.gps(), bench.pilot.place(60_000 + ms, 48.0), bench.pilot.attitude(60_000 + ms))
        bench.hear(ms + 5, twin.gps(), twin.place(837_000 + ms, 48.00005), twin.attitude(837_000 + ms))
        if ms >= 500:
            state = bench.at(ms + 5)
            assert (state.fix, state.attitude) == (None, None)
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


def test_a_mount_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="camera_roll_deg"):
        Mount(camera_pitch_deg=math.nan)
    with pytest.raises(ValueError, match="range_offset_m is -10 to 10, got 12"):
        Mount(range_offset_m=12.0)
