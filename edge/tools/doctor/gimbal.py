"""Whether the camera's heading is to be believed: turn the aircraft by 90 degrees, and see what the heading does.

Firmware sends gimbal angles against north or against the nose, and is not always honest about which. No message shows
it while the aircraft stands still; a turn by hand does.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from edge.navigation import Attitude, rotation
from edge.navigation.gimbal import Gimbal
from edge.navigation.mavlink import MavlinkNavigator
from edge.tools.doctor import Bench, Result, not_applicable, ok, warn

_HEAR_S = 8.0
_POLL_S = 0.1
_TURNED_DEG = 75.0
_NEAR = 0.25
_SET = "set [navigation.mount] gimbal = "


@dataclass(slots=True)
class Turn:
    """How far vehicle and camera have turned since they were first seen together, degrees clockwise."""

    vehicle_deg: float = 0.0
    camera_deg: float = 0.0
    _last: tuple[float, float] | None = None

    def see(self, vehicle: Attitude | None, camera: Attitude | None) -> None:
        """The two at one moment; each step counts the short way round."""
        if vehicle is None or camera is None:
            return
        if self._last is not None:
            self.vehicle_deg += rotation.wrap_deg(vehicle.yaw_deg - self._last[0])
            self.camera_deg += rotation.wrap_deg(camera.yaw_deg - self._last[1])
        self._last = (vehicle.yaw_deg, camera.yaw_deg)


def heading(bench: Bench) -> Result:
    """What is believed of the gimbal; with ``bench.turn_s`` seconds to turn the aircraft in, whether that is right."""
    backend = bench.settings.navigation
    if backend.name != "mavlink":
        return not_applicable(f"{backend.name}: no autopilot, so no gimbal")
    begun_ns = bench.clock.monotonic_ns()
    with backend.module.open_navigator(backend.options, bench.clock) as navigator:
        assert isinstance(navigator, MavlinkNavigator)
        turn = _watch(bench, navigator)
        ended_ns = bench.clock.monotonic_ns()
        gimbal, camera = navigator.gimbal, navigator.at(ended_ns).attitude
        silence = gimbal.silence(ended_ns, begun_ns)
    return _told(bench, gimbal, camera, silence, turn)


def _told(bench: Bench, gimbal: Gimbal, camera: Attitude | None, silence: str | None, turn: Turn) -> Result:
    if silence is not None:
        found, _, advice = silence.partition("; ")
        return warn(found, advice)
    if not gimbal.reported:
        belief = bench.settings.navigation.options.mount.gimbal
        heard = (
            "no gimbal is heard"
            if belief != "none"
            else 'gimbals are not listened to ([navigation.mount] gimbal = "none")'
        )
        return not_applicable(f"{heard}: the camera is taken to be rigid, as [navigation.mount] says")
    if gimbal.trouble is not None:
        return warn(gimbal.trouble, "compare its firmware's manual, then turn the aircraft: spanhawk doctor --turn 60")
    looks = "unknown" if camera is None else f"{camera.yaw_deg:.0f} degrees, pitch {camera.pitch_deg:.0f}"
    if bench.turn_s <= 0:
        return ok(
            f"a gimbal is heard, the camera's heading is {looks}; spanhawk doctor --turn 60 tells if that is true"
        )
    return judge(turn)


def _watch(bench: Bench, navigator: MavlinkNavigator) -> Turn:
    """Look until the aircraft has turned, or time is up."""
    turn, never = Turn(), threading.Event()
    until_ns = bench.clock.monotonic_ns() + round(max(_HEAR_S, bench.turn_s) * 1e9)
    while (now_ns := bench.clock.monotonic_ns()) < until_ns:
        state = navigator.at(now_ns)
        turn.see(state.vehicle, state.attitude)
        heard = navigator.gimbal.reported and state.attitude is not None
        if (bench.turn_s <= 0 and heard) or abs(turn.vehicle_deg) >= _TURNED_DEG:
            break
        bench.clock.wait(never, _POLL_S)
    return turn


def judge(turn: Turn) -> Result:
    """What a turn of the aircraft says of the camera's heading."""
    vehicle, camera = turn.vehicle_deg, turn.camera_deg
    if abs(vehicle) < _TURNED_DEG:
        return warn(
            f"the aircraft turned by {vehicle:.0f} degrees only", "turn it by 90 degrees, on the ground, motors off"
        )
    told, share = (
        f"the aircraft turned by {vehicle:.0f} degrees, the camera's heading by {camera:.0f}",
        camera / vehicle,
    )
    if abs(share - 1) < _NEAR:
        return ok(f'{told}: it follows. If the camera in truth kept its direction, {_SET}"earth"')
    if abs(share) < _NEAR:
        return ok(f'{told}: it stays. If the camera in truth turned with the aircraft, {_SET}"heading"')
    if abs(share - 2) < _NEAR:
        return warn(f"{told}: the vehicle's heading is added to one that has it already", f'{_SET}"earth"')
    if abs(share + 1) < _NEAR:
        return warn(f"{told}: what counts from the nose is taken to count from north", f'{_SET}"heading"')
    return warn(f"{told}: that is neither following nor staying", "turn it slowly, gimbal powered; then look again")
