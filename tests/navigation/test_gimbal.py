"""Where the camera looks when it hangs on a gimbal; the truth is built from turns of plain vectors."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from pymavlink.dialects.v20 import common

from edge.navigation import LocalPosition, rotation
from edge.navigation import mavlink as live
from edge.navigation.framing import MAGIC
from edge.navigation.gimbal import Belief
from edge.navigation.recorded import Options, open_navigator
from edge.navigation.vehicle import Mount
from edge.support.clock import ManualClock
from tests.navigation.bench import MS, Bench, S
from tests.navigation.material import Autopilot, flight, tlog
from tests.navigation.test_mavlink_links import Still
from tests.navigation.waiting import until

LOCK, VEHICLE, EARTH = 16, 32, 64
NAN = float("nan")
NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)


def quaternion(roll_deg: float, pitch_deg: float, yaw_deg: float) -> list[float]:
    """Yaw, then pitch, then roll, as three half-turn products written out (Hamilton)."""

    def times(a: list[float], b: list[float]) -> list[float]:
        return [
            a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
            a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
            a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
            a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
        ]

    r, p, y = (math.radians(angle) / 2 for angle in (roll_deg, pitch_deg, yaw_deg))
    about_down, about_right = [math.cos(y), 0, 0, math.sin(y)], [math.cos(p), 0, math.sin(p), 0]
    return times(times(about_down, about_right), [math.cos(r), math.sin(r), 0, 0])


def status(
    flags: int,
    angles: tuple[float, float, float],
    *,
    delta_deg: float = NAN,
    failure: int = 0,
    q: list[float] | None = None,
    component: int = 154,
    system: int = 1,
    number: int = 0,
) -> bytes:
    message = common.MAVLink_gimbal_device_attitude_status_message(
        0, 0, 0, flags, q or quaternion(*angles), 0, 0, 0, failure, math.radians(delta_deg), NAN, number
    )
    return Autopilot(system, component).pack(message)


def mount_orientation(roll: float, pitch: float, yaw: float, absolute: float = NAN, component: int = 154) -> bytes:
    return Autopilot(1, component).pack(common.MAVLink_mount_orientation_message(0, roll, pitch, yaw, absolute))


def bench(mount: Mount | None = None, yaw_deg: float = 100.0, roll_deg: float = 0.0) -> Bench:
    made = Bench(mount)
    made.hear(1000, made.pilot.attitude(1000, roll=math.radians(roll_deg), yaw=math.radians(yaw_deg)))
    return made


def looks(made: Bench, at_ms: int = 1000) -> Any:
    got = made.at(at_ms).attitude
    return None if got is None else pytest.approx((got.roll_deg, got.pitch_deg, got.yaw_deg), abs=1e-3)


@pytest.mark.parametrize(
    ("flags", "yaw_deg"),
    [(VEHICLE, 130.0), (EARTH, 30.0), (LOCK, 30.0), (0, 130.0), (VEHICLE | LOCK, 130.0), (EARTH | LOCK, 30.0)],
)
def test_frame_flags_decide_and_only_without_them_the_lock(flags: int, yaw_deg: float) -> None:
    made = bench()
    made.hear(1000, status(flags, (2.0, -40.0, 30.0)))
    assert looks(made) == (2.0, -40.0, yaw_deg)


def test_both_frames_at_once_are_nobodys_attitude() -> None:
    made = bench()
    made.hear(1000, status(VEHICLE | EARTH, (0, 0, 30)))
    assert made.at(1000).attitude is None
    assert "north at once" in (made.vehicle.aboard.gimbal.trouble or "")


def test_delta_yaw_leads_to_north_and_one_that_disagrees_with_the_compass_is_a_lie() -> None:
    made = bench()
    made.hear(1000, status(VEHICLE, (0, -10, 30), delta_deg=98.0))
    assert looks(made) == (0.0, -10.0, 128.0)
    made.hear(1010, status(VEHICLE, (0, -10, 30), delta_deg=40.0))
    assert made.at(1010).attitude is None
    assert "delta_yaw" in (made.vehicle.aboard.gimbal.trouble or "")
    made.hear(1020, status(EARTH, (0, -10, 30)))
    assert looks(made, 1020) == (0.0, -10.0, 30.0)
    assert made.vehicle.aboard.gimbal.trouble is None


def test_the_vehicles_heading_is_that_of_the_exposure_not_the_last_one_heard() -> None:
    made = bench(yaw_deg=100.0)
    made.hear(1000, status(VEHICLE, (0, -10, 0)))
    made.hear(1100, made.pilot.attitude(1100, yaw=math.radians(110)), status(VEHICLE, (0, -10, 0)))
    assert looks(made, 1050) == (0.0, -10.0, 105.0)


def test_a_gimbal_in_the_body_frame_as_the_operator_says() -> None:
    made = bench(Mount(gimbal="body"), yaw_deg=90.0, roll_deg=10.0)
    made.hear(1000, status(VEHICLE, (0, 0, 90)))  # looks to the right of a vehicle that banks to the right
    assert looks(made) == (0.0, -10.0, 180.0)


@pytest.mark.parametrize(
    ("frame", "word"),
    [
        (status(EARTH, (0, 0, 0), q=[NAN, 0, 0, 0]), "quaternion"),
        (status(EARTH, (0, 0, 0), q=[0.0, 0, 0, 0]), "quaternion"),
        (status(EARTH, (0, 0, 0), q=[1.2, 0, 0, 0]), "quaternion"),
        (status(EARTH, (0, 0, 0), failure=32), "failure"),
        (mount_orientation(NAN, 0, 0), "no angles"),
    ],
)
def test_what_cannot_be_is_unknown_and_never_the_rigid_mount(frame: bytes, word: str) -> None:
    made = bench()
    made.hear(1000, frame)
    made.hear(1010, made.pilot.attitude(1010))
    assert made.at(1010).attitude is None
    assert word in (made.vehicle.aboard.gimbal.trouble or "")


def test_the_rigid_mount_holds_until_a_gimbal_is_heard_and_never_again() -> None:
    made = bench(yaw_deg=100.0)
    assert looks(made) == (0.0, 0.0, 100.0)
    made.hear(2000, status(EARTH, (0, -30, 10)), made.pilot.attitude(2000, yaw=math.radians(100)))
    assert looks(made, 2000) == (0.0, -30.0, 10.0)
    made.hear(9000, made.pilot.attitude(9000))
    assert made.at(9000).attitude is None, "the gimbal is silent: nobody knows where it looks"
    assert made.at(9000).vehicle is not None


def test_with_none_configured_gimbals_are_not_listened_to_and_with_flags_one_is_waited_for() -> None:
    made = bench(Mount(gimbal="none"))
    made.hear(1000, status(EARTH, (0, -30, 10)))
    assert looks(made) == (0.0, 0.0, 100.0)
    assert bench(Mount(gimbal="flags")).at(1000).attitude is None


def test_mount_orientation_stands_in_while_the_better_message_is_not_heard() -> None:
    made = bench()
    made.hear(1000, mount_orientation(1, -20, 30))
    assert looks(made) == (1.0, -20.0, 130.0)
    made.hear(1010, mount_orientation(1, -20, NAN, absolute=75))
    assert looks(made, 1010) == (1.0, -20.0, 75.0)
    made.hear(1020, status(EARTH, (0, -5, 44)), mount_orientation(1, -20, 30))
    assert looks(made, 1020) == (0.0, -5.0, 44.0)


def test_only_a_gimbal_of_this_vehicle_and_only_the_first() -> None:
    made = bench()
    made.hear(1000, status(EARTH, (0, 0, 1), system=2), status(EARTH, (0, 0, 2), component=100))
    assert looks(made) == (0.0, 0.0, 100.0)
    made.hear(1000, status(EARTH, (0, 0, 3), component=154), status(EARTH, (0, 0, 4), component=171))
    assert looks(made) == (0.0, 0.0, 3.0)


def test_a_second_gimbal_is_named_and_stands_in_once_the_first_is_silent() -> None:
    """A gimbal that speaks for itself, and one that the autopilot passes on as its own number 2."""
    made = bench()

    def heard(ms: int) -> str | None:
        return made.vehicle.aboard.gimbal.ignored(made.base_ns + ms * MS)

    other = common.MAVLink_gimbal_device_attitude_status_message(
        0, 0, 0, EARTH, quaternion(0, -20, 44), 0, 0, 0, 0, NAN, NAN, 2
    )
    for ms in range(1000, 3000, 100):
        made.hear(ms, status(EARTH, (0, -30, 10)), made.pilot.pack(other))
    assert looks(made, 2900) == (0.0, -30.0, 10.0)
    assert heard(2900) in made.vehicle.warnings(made.base_ns + 2900 * MS)
    assert "on that of component 154, not on that of component 1, gimbal 2" in str(heard(2900))
    for ms in range(3000, 9000, 100):
        made.hear(ms, made.pilot.pack(other))
        if ms == 7500:
            assert made.at(ms).attitude is None
    assert looks(made, 8900) == (0.0, -20.0, 44.0)
    assert heard(8900) is None


GIMBAL, GIMBAL2, GIMBAL6 = (getattr(common, f"MAV_COMP_ID_GIMBAL{n}") for n in ("", "2", "6"))


@pytest.mark.parametrize("number", [0, 1, GIMBAL])
@pytest.mark.parametrize("autopilot_first", [True, False])
@pytest.mark.parametrize("by_mount", [True, False])
def test_a_gimbal_that_the_autopilot_passes_on_is_one_gimbal_and_its_own_report_counts(
    number: int, autopilot_first: bool, by_mount: bool
) -> None:
    made = bench()
    passed_on = [status(EARTH, (0, -20, 44), component=1, number=number)]
    if by_mount:
        passed_on = [mount_orientation(0, -20, 44, component=1)]
    both = [*passed_on, status(EARTH, (0, -30, 10))]
    for ms in range(1000, 3000, 100):
        made.hear(ms, *(both if autopilot_first else both[::-1]))
        assert made.vehicle.aboard.gimbal.ignored(made.base_ns + ms * MS) is None
    assert looks(made, 2900) == (0.0, -30.0, 10.0)
    for ms in range(3000, 9000, 100):
        made.hear(ms, made.pilot.attitude(ms), *passed_on)
    assert looks(made, 8900) == (0.0, -20.0, 44.0), "what is passed on stands in once the gimbal itself is silent"


@pytest.mark.parametrize(
    ("others", "named"),
    [
        ([(1, 2)], "component 1, gimbal 2"),
        ([(1, GIMBAL2)], f"component 1, gimbal {GIMBAL2}"),
        ([(GIMBAL2, 0), (1, 2), (1, GIMBAL2)], f"component {GIMBAL2}"),
        ([(1, 6), (GIMBAL6, 0)], f"component {GIMBAL6}"),
        ([(1, 2), (1, 3)], "component 1, gimbal 2; component 1, gimbal 3"),
        ([(1, 7)], "component 1, gimbal 7"),
    ],
)
def test_another_gimbal_is_named_once_however_many_report_of_it(others: list[tuple[int, int]], named: str) -> None:
    made = bench()
    for ms in range(1000, 1500, 100):
        made.hear(ms, status(EARTH, (0, -30, 10)), status(EARTH, (0, 0, 0), component=1, number=1))
        made.hear(ms, *(status(EARTH, (0, -20, 44), component=c, number=n) for c, n in others))
    assert looks(made, 1400) == (0.0, -30.0, 10.0)
    said = str(made.vehicle.aboard.gimbal.ignored(made.base_ns + 1400 * MS))
    assert said.endswith(f"on that of component 154, not on that of {named}")


def test_mount_orientation_of_anyone_is_not_named_beside_a_device_message() -> None:
    made = bench()
    for component in (1, GIMBAL2):
        made.hear(1000, status(EARTH, (0, -30, 10)), mount_orientation(0, -20, 44, component=component))
    assert made.vehicle.aboard.gimbal.ignored(made.base_ns + 1000 * MS) is None
    alone = bench()
    alone.hear(1000, mount_orientation(0, -30, 10), mount_orientation(0, -20, 44, component=GIMBAL2))
    assert f"component {GIMBAL2}" in str(alone.vehicle.aboard.gimbal.ignored(alone.base_ns + 1000 * MS))


def test_a_range_of_the_body_does_not_count_once_the_gimbal_that_told_where_it_looks_is_silent() -> None:
    made = bench(yaw_deg=0.0)
    made.hear(1000, status(VEHICLE, (0, 0, 0)), made.pilot.distance(1000, 420, orientation=0))
    assert made.at(1000).range_m == 4.2
    for ms in range(1100, 6000, 100):
        made.hear(ms, made.pilot.attitude(ms), made.pilot.distance(ms, 500, orientation=0))
    assert made.at(5900).range_m is None


@pytest.mark.parametrize(
    ("belief", "reports", "said"),
    [
        ("auto", True, "the gimbal (component 154) was last heard 6 s ago"),
        ("flags", False, 'no gimbal is heard, and [navigation.mount] gimbal is "flags"'),
        ("heading", False, 'no gimbal is heard, and [navigation.mount] gimbal is "heading"'),
        ("auto", False, None),
        ("none", True, None),
    ],
)
def test_a_gimbal_that_falls_silent_or_never_speaks_is_what_is_wrong(
    belief: Belief, reports: bool, said: str | None
) -> None:
    clock, link = ManualClock(NOON), Still()
    pilot, options = Autopilot(), live.Options(device="udp:still:1", mount=Mount(gimbal=belief))
    with live.MavlinkNavigator(options, clock, link) as nav:

        def all_but_the_gimbal() -> None:
            ms = 1000 + clock.monotonic_ns() // MS
            link.say(pilot.heartbeat() + pilot.gps() + pilot.place(ms) + pilot.attitude(ms))

        all_but_the_gimbal()
        if reports:
            link.say(status(EARTH, (0, -30, 10)))
        until(lambda: nav.health() is None)
        clock.advance(6 * S)
        all_but_the_gimbal()
        until(lambda: said is None or said in str(nav.health()))
        assert (nav.health() is None) == (said is None)
        assert (nav.at(clock.monotonic_ns()).attitude is None) == (said is not None)
        if said is not None:
            link.say(status(EARTH, (0, -30, 10)))
            until(lambda: nav.health() is None)


def test_a_rangefinder_bolted_to_the_body_counts_only_while_the_gimbal_looks_its_way() -> None:
    made = bench(yaw_deg=0.0)
    made.hear(1000, status(VEHICLE, (0, 0, 0)), made.pilot.distance(1000, 420, orientation=0))
    assert made.at(1000).range_m == 4.2
    made.hear(1100, status(VEHICLE, (0, 0, 60)), made.pilot.distance(1100, 500, orientation=0))
    assert made.at(1100).range_m == 4.2, "the last one it could see, until it is too old"
    assert made.at(1600).range_m is None
    made.hear(1700, status(VEHICLE, (0, -90, 0)), made.pilot.distance(1700, 300, orientation=25))
    assert made.at(1700).range_m == 3.0
    on_it = bench(Mount(range_on_gimbal=True))
    on_it.hear(1000, status(VEHICLE, (0, 0, 60)), on_it.pilot.distance(1000, 500, orientation=100))
    assert on_it.at(1000).range_m == 5.0


@pytest.mark.parametrize("cm", [0, 65_535])
def test_a_range_of_nothing_is_none(cm: int) -> None:
    made = bench(yaw_deg=0.0)
    made.hear(1000, made.pilot.distance(1000, cm, high_cm=0))
    assert made.at(1000).range_m is None


def test_local_position_and_odometry_with_its_turned_axes() -> None:
    made = bench(yaw_deg=100.0)
    made.hear(1000, made.pilot.pack(common.MAVLink_local_position_ned_message(1000, 1, 2, -3, 0, 0, 0)))
    assert made.at(1000).local == LocalPosition(1, 2, -3)
    covariance = [0.0] * 21
    covariance[0], covariance[6], covariance[11] = 0.04, 0.09, 0.16
    odometry = common.MAVLink_odometry_message(
        1_010_000, 20, 8, 4, 5, -6, quaternion(0, 0, 30), 0, 0, 0, 0, 0, 0, covariance, [NAN] * 21, 3, 3, 0
    )
    made.hear(1010, made.pilot.pack(odometry))
    got = made.at(1010).local
    assert (got.north_m, got.east_m, got.down_m) == (4, 5, -6)
    assert got.turn_deg == pytest.approx(70.0, abs=1e-3)
    assert got.sigma_m == pytest.approx((0.2, 0.3, 0.4))


def test_odometry_that_has_failed_or_jumped_is_no_position() -> None:
    made = bench()

    def odometry(ms: int, x: float, counter: int, quality: int) -> bytes:
        return made.pilot.pack(
            common.MAVLink_odometry_message(
                ms * 1000,
                1,
                8,
                x,
                0,
                0,
                quaternion(0, 0, 0),
                0,
                0,
                0,
                0,
                0,
                0,
                [NAN] * 21,
                [NAN] * 21,
                counter,
                3,
                quality,
            )
        )

    made.hear(1000, odometry(1000, 1.0, 1, 50))
    made.hear(1200, odometry(1200, 9.0, 2, 50))
    assert made.at(1100).local is None, "nothing lies between two estimates of which the second corrects the first"
    assert made.at(1200).local.north_m == 9.0
    made.hear(1300, odometry(1300, NAN, 2, 50))
    assert made.at(1300).local is None
    made.hear(1400, odometry(1400, 9.0, 2, -1))
    assert made.at(1400).local is None


def test_matrix_and_inverse_agree_with_plain_vectors() -> None:
    q = quaternion(0, 0, 90)
    north_of_forward = [row[0] for row in rotation.matrix((q[0], q[1], q[2], q[3]))]
    assert north_of_forward == pytest.approx([0, 1, 0]), "heading east, forward is east"
    back = rotation.product(rotation.inverse((q[0], q[1], q[2], q[3])), (q[0], q[1], q[2], q[3]))
    assert back == pytest.approx((1, 0, 0, 0))
    assert MAGIC.match(status(EARTH, (0, 0, 0))[:1])


def test_in_a_log_the_rigid_mount_does_not_stand_in_before_the_gimbals_first_report(tmp_path: Path) -> None:
    path = tmp_path / "flight.tlog"
    reports = [(5.0 + n / 10, status(EARTH, (0, -30, 10))) for n in range(50)]
    path.write_bytes(tlog(sorted(flight() + reports, key=lambda record: record[0])))
    with open_navigator(Options(path=path), ManualClock(NOON)) as navigator:
        assert navigator.at(1_000_000_000).attitude is None
        found = navigator.at(6_000_000_000).attitude
    assert found is not None
    assert (found.pitch_deg, found.yaw_deg) == pytest.approx((-30, 10), abs=1e-3)
