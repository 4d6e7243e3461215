"""What an autopilot's messages mean: when they are a fix, where the camera looks, what the rangefinder sees."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

import pytest

from edge.navigation import FixKind, rotation
from edge.navigation.vehicle import Mount
from tests.navigation.bench import MS, Bench
from tests.navigation.material import START_US


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


def test_a_mount_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="camera_roll_deg"):
        Mount(camera_pitch_deg=math.nan)
    with pytest.raises(ValueError, match="range_offset_m is -10 to 10, got 12"):
        Mount(range_offset_m=12.0)
