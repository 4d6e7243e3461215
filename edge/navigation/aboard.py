"""What hangs on the vehicle: the camera, rigid or on a gimbal, and the vehicle's position in its own frame.

Feeds a history with three things beside the fix: the vehicle's attitude, the camera's, and the local position of
LOCAL_POSITION_NED or ODOMETRY (which is better told: with its axes and its uncertainty).
"""

from __future__ import annotations

import math
from typing import Any

from edge.navigation import Attitude, LocalPosition, rotation
from edge.navigation.gimbal import COMPONENTS, Belief, Gimbal
from edge.navigation.history import History

_LATELY_NS = 2_000_000_000
_LOCAL_NED, _LOCAL_FRD = 1, 20
_SAME_DIRECTION = math.cos(math.radians(15.0))
# Of the upper triangle of a 6 x 6 covariance, row by row: x, y, z on the diagonal.
_DIAGONAL = (0, 6, 11)


class Aboard:
    """Used by one thread."""

    def __init__(
        self, history: History, mounted: rotation.Quaternion, belief: Belief, *, range_on_gimbal: bool
    ) -> None:
        self._history, self._mounted, self._range_on_gimbal = history, mounted, range_on_gimbal
        self._gimbal = Gimbal(belief)
        self._vehicle: Attitude | None = None
        self._odometry_ns: int | None = None
        self._reset: int | None = None
        self._looks: rotation.Vector | None = None  # the gimbal's axis in the vehicle's axes, as last heard
        self._looked_ns = 0

    @property
    def gimbal(self) -> Gimbal:
        """What is believed of the gimbal."""
        return self._gimbal

    def hear_vehicle(self, at_ns: int, vehicle: Attitude | None) -> None:
        """The vehicle's attitude at ``at_ns``; None: unknown then."""
        self._vehicle = vehicle
        self._history.hear_vehicle(at_ns, vehicle)
        if not self._gimbal.heard:
            self._history.hear_attitude(at_ns, None if vehicle is None else rotation.compose(vehicle, self._mounted))

    def hear_gimbal(self, message: Any, at_ns: int, now_ns: int, component_id: int) -> None:
        """A report about ``at_ns`` that arrived at ``now_ns``.

        It counts from the autopilot ``component_id`` or from a gimbal of the same vehicle.
        """
        sender = message.get_srcComponent()
        if sender != component_id and sender not in COMPONENTS:
            return
        first = not self._gimbal.heard
        look = self._gimbal.read(message, now_ns, None if self._vehicle is None else self._vehicle.yaw_deg)
        if look is None:
            return
        if first:
            self._history.lose_attitude(at_ns - 1)  # until now the rigid mount stood in, wrongly
        self._history.hear_gimbal(at_ns, look.attitude, look.axes)
        self._looks, self._looked_ns = None, now_ns
        if look.attitude is not None and (look.axes == "body" or self._vehicle is not None):
            self._looks = self._axis(look.attitude, look.axes)

    def lose_gimbal(self, at_ns: int) -> None:
        """Where the gimbal looks is unknown from ``at_ns`` until it is heard again."""
        self._looks = None
        if self._gimbal.heard:
            self._history.lose_attitude(at_ns)

    def _axis(self, camera: Attitude, axes: str) -> rotation.Vector | None:
        """Where the optical axis points in the vehicle's own axes: forward, right, down."""
        if axes == "body":
            return rotation.optical_axis(rotation.canonical(camera))
        vehicle = self._vehicle
        if vehicle is None:
            return None
        yaw_deg = camera.yaw_deg + (vehicle.yaw_deg if axes == "heading" else 0.0)
        level = rotation.quaternion(Attitude(camera.roll_deg, camera.pitch_deg, yaw_deg))
        inside = rotation.product(rotation.inverse(rotation.quaternion(vehicle)), level)
        rows = rotation.matrix(inside)
        return (rows[0][0], rows[1][0], rows[2][0])

    def sees(self, direction: rotation.Vector | None, now_ns: int, *, as_mounted: bool) -> bool:
        """True where a rangefinder that looks to ``direction`` (vehicle's axes; None: unknown) sees what we film.

        ``as_mounted``: what the rigid mount says of it. Where a gimbal looked is unknown once it is silent.
        """
        if now_ns - self._looked_ns > _LATELY_NS:
            self._looks = None
        if self._range_on_gimbal or not self._gimbal.heard:
            return as_mounted or self._range_on_gimbal
        if direction is None or self._looks is None:
            return False
        return sum(a * b for a, b in zip(direction, self._looks, strict=True)) >= _SAME_DIRECTION

    def lose_local(self, at_ns: int) -> None:
        """The position in the vehicle's own frame is unknown from ``at_ns`` until it is heard again."""
        self._history.hear_local(at_ns, None)

    def hear_local(self, message: Any, at_ns: int) -> None:
        """LOCAL_POSITION_NED; ODOMETRY, where it comes too, says more."""
        if self._odometry_ns is not None and at_ns - self._odometry_ns < _LATELY_NS:
            return
        place = (message.x, message.y, message.z)
        self._history.hear_local(at_ns, LocalPosition(*place) if all(map(math.isfinite, place)) else None)

    def hear_odometry(self, message: Any, at_ns: int) -> None:
        """ODOMETRY of the autopilot; other frames than its local ones (level, from where it started) are ignored."""
        if message.frame_id not in (_LOCAL_NED, _LOCAL_FRD):
            return
        self._odometry_ns = at_ns
        if self._reset is not None and message.reset_counter != self._reset:
            self._history.hear_local(at_ns - 1, None)  # a corrected estimate: nothing lies between the two
        self._reset = message.reset_counter
        self._history.hear_local(at_ns, self._odometry(message))

    def _odometry(self, message: Any) -> LocalPosition | None:
        place = (message.x, message.y, message.z)
        if not all(map(math.isfinite, place)) or getattr(message, "quality", 0) < 0:  # below 0: it has failed
            return None
        turn_deg = 0.0
        if message.frame_id == _LOCAL_FRD:
            q = tuple(map(float, message.q))
            if self._vehicle is None or not abs(math.hypot(*q) - 1) < 0.05:  # also false for NaN
                return None
            w, x, y, z = q
            turn_deg = rotation.compass_deg(self._vehicle.yaw_deg - rotation.euler((w, x, y, z)).yaw_deg)
        variances = [float(message.pose_covariance[place]) for place in _DIAGONAL]
        stated = all(math.isfinite(variance) and variance > 0 for variance in variances)
        sigma = (math.sqrt(variances[0]), math.sqrt(variances[1]), math.sqrt(variances[2])) if stated else None
        return LocalPosition(*place, turn_deg=turn_deg, sigma_m=sigma)
