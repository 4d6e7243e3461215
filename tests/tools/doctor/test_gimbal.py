"""Turn the aircraft by 90 degrees: what the camera's heading does tells which frame its angles are in."""

from __future__ import annotations

import math
import socket
from pathlib import Path

import pytest

from edge.navigation import Attitude, NavState
from edge.tools.doctor import Level, gimbal
from tests.navigation.test_gimbal import EARTH, VEHICLE, status
from tests.navigation.test_vehicle import Bench as Autopilot
from tests.tools.doctor.bench import bench


def turned(flags: int, *, raw_follows_nose: bool, camera_follows: bool) -> gimbal.Turn:
    """An aircraft turned by 90 degrees in steps of 5: what a gimbal of true frame ``raw_follows_nose`` then sends."""
    made, turn = Autopilot(), gimbal.Turn()
    for step in range(19):
        ms, yaw = 1000 + 100 * step, 5.0 * step
        true_heading = yaw if camera_follows else 0.0
        raw = true_heading - yaw if raw_follows_nose else true_heading
        made.hear(ms, made.pilot.attitude(ms, yaw=math.radians(yaw)), status(flags, (0, -20, raw)))
        state: NavState = made.at(ms)
        turn.see(state.vehicle, state.attitude)
    return turn


@pytest.mark.parametrize("camera_follows", [True, False])
@pytest.mark.parametrize(("flags", "raw_follows_nose"), [(VEHICLE, True), (EARTH, False)])
def test_an_honest_gimbal_follows_or_stays_as_the_camera_does(
    flags: int, raw_follows_nose: bool, camera_follows: bool
) -> None:
    result = gimbal.judge(turned(flags, raw_follows_nose=raw_follows_nose, camera_follows=camera_follows))
    assert result.level is Level.OK
    assert ("it follows" in result.found) == camera_follows


@pytest.mark.parametrize(
    ("flags", "raw_follows_nose", "camera_follows", "advice"),
    [(VEHICLE, False, True, '"earth"'), (EARTH, True, False, '"heading"')],
)
def test_a_frame_that_is_a_lie_is_found_and_mended(
    flags: int, raw_follows_nose: bool, camera_follows: bool, advice: str
) -> None:
    result = gimbal.judge(turned(flags, raw_follows_nose=raw_follows_nose, camera_follows=camera_follows))
    assert result.level is Level.WARN
    assert advice in (result.fix or "")


@pytest.mark.parametrize(
    ("flags", "raw_follows_nose", "camera_follows", "advice"),
    [(VEHICLE, False, False, '"earth"'), (EARTH, True, True, '"heading"')],
)
def test_a_lie_that_looks_like_truth_is_for_the_eyes_of_the_operator(
    flags: int, raw_follows_nose: bool, camera_follows: bool, advice: str
) -> None:
    """The heading says the opposite of what the camera does: only who stands beside it sees that."""
    result = gimbal.judge(turned(flags, raw_follows_nose=raw_follows_nose, camera_follows=camera_follows))
    assert ("it follows" in result.found) != camera_follows
    assert advice in result.found


def test_a_turn_over_north_counts_the_short_way() -> None:
    turn = gimbal.Turn()
    for yaw in (300.0, 350.0, 30.0):
        turn.see(Attitude(0, 0, yaw), Attitude(0, 0, yaw))
    assert (turn.vehicle_deg, turn.camera_deg) == (90.0, 90.0)


def test_too_little_a_turn_and_no_autopilot(tmp_path: Path) -> None:
    assert "only" in gimbal.judge(gimbal.Turn(20.0, 20.0)).found
    assert gimbal.heading(bench(tmp_path)).level is Level.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("belief", "level", "found"),
    [
        ("flags", Level.WARN, "it is not known where the camera looks"),
        ("auto", Level.NOT_APPLICABLE, "no gimbal is heard: the camera is taken to be rigid"),
        ("none", Level.NOT_APPLICABLE, "gimbals are not listened to"),
    ],
)
def test_without_a_gimbal_the_mount_is_rigid_only_where_the_configuration_lets_it(
    belief: str, level: Level, found: str, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    table = {"backend": "mavlink", "device": f"udp:127.0.0.1:{port}", "mount": {"gimbal": belief}}
    result = gimbal.heading(bench(tmp_path, navigation=table))
    assert result.level is level
    assert found in result.found
