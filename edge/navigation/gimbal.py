"""What a gimbal says of the camera, over MAVLink: GIMBAL_DEVICE_ATTITUDE_STATUS, else MOUNT_ORIENTATION.

The quaternion of GIMBAL_DEVICE_ATTITUDE_STATUS (mavlink.io, common.xml, Gimbal Protocol v2) has roll and pitch against
the horizon. Its yaw counts from the vehicle's heading or from north: YAW_IN_VEHICLE_FRAME or YAW_IN_EARTH_FRAME decide,
with neither of them YAW_LOCK does (locked: north). Both at once contradict each other. ``delta_yaw`` leads from one to
the other. Firmware is not always right about this: ArduPilot's servo gimbals set YAW_IN_VEHICLE_FRAME and mean the
vehicle's tilted axes, some gimbals count yaw from wherever they were switched on, and PX4 has passed the vehicle's own
attitude off as the camera's. So ``Mount.gimbal`` can overrule the flags, and ``spanhawk doctor --turn`` watches what
the yaw does while the aircraft is turned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from edge.navigation import Attitude, rotation

Axes = Literal["earth", "heading", "body"]
"""Against what a camera's angles count: ``earth``: horizon and north; ``heading``: horizon and the vehicle's nose;
``body``: the vehicle's own axes, which tilt with it."""
Belief = Literal["auto", "none", "flags", "earth", "heading", "body"]

COMPONENTS = frozenset((154, 171, 172, 173, 174, 175))
"""MAV_COMP_ID_GIMBAL to GIMBAL6."""
KINDS = frozenset(("GIMBAL_DEVICE_ATTITUDE_STATUS", "MOUNT_ORIENTATION"))

_YAW_LOCK, _IN_VEHICLE_FRAME, _IN_EARTH_FRAME = 16, 32, 64
# GIMBAL_DEVICE_ERROR_FLAGS: encoder, motor, software, communication, calibration. Limits of travel are no errors.
_FAILED = 8 | 32 | 64 | 128 | 256
_DISAGREE_DEG = 10.0
_LATELY_NS = 5_000_000_000


Source = tuple[int, int]
"""Component that sends the reports, and the number that an autopilot gives a gimbal of its own; 0: none."""


@dataclass(frozen=True, slots=True)
class Look:
    """One report of a gimbal."""

    attitude: Attitude | None
    """The camera's angles; None: the report cannot be believed, see ``Gimbal.trouble``."""
    axes: Axes


class Gimbal:
    """Reads the reports of one gimbal; used by one thread."""

    def __init__(self, belief: Belief) -> None:
        self._belief = belief
        self._source: Source | None = None
        self._by_device = False  # whether that sends the better message of the two
        self._heard_ns: int | None = None  # when a report of it last arrived
        self._others: dict[Source, int] = {}  # when a report of each other gimbal last arrived
        self.heard = belief not in ("auto", "none")
        """True once the camera's attitude is the gimbal's business: the rigid mount no longer stands in for it."""
        self.reported = False
        """True once a report of it came."""
        self.trouble: str | None = None
        """Why its reports are not believed; None when they are, or none came."""
        self.flags: int | None = None
        """GIMBAL_DEVICE_FLAGS of the last report; None: none came, or it had none."""

    def silence(self, now_ns: int, since_ns: int) -> str | None:
        """Why no report tells where the camera looks; None while one does, or none is needed.

        ``since_ns``: when the vehicle was first heard, so that its gimbal has time to speak.
        """
        if not self.heard:
            return None
        if self._heard_ns is None:
            if now_ns - since_ns <= _LATELY_NS:
                return None
            return (
                f'no gimbal is heard, and [navigation.mount] gimbal is "{self._belief}", so it is not known where the '
                'camera looks; check the gimbal\'s power and wiring, or set gimbal = "none" for a rigid mount'
            )
        if now_ns - self._heard_ns <= _LATELY_NS:
            return None
        return (
            f"the gimbal ({_words(self._source)}) was last heard {(now_ns - self._heard_ns) / 1e9:.0f} s ago, so it is "
            "not known where the camera looks; check its power and wiring"
        )

    def ignored(self, now_ns: int) -> str | None:
        """One sentence naming the gimbals that are heard beside the one that is taken; None where there are none."""
        lately = sorted(source for source, heard_ns in self._others.items() if now_ns - heard_ns <= _LATELY_NS)
        if not lately:
            return None
        others = {_camera(source): source for source in lately}.values()  # each once: the gimbal itself sorts last
        return (
            f"more than one gimbal is heard: the camera is taken to be on that of {_words(self._source)}, not on that "
            f"of {'; '.join(map(_words, others))}"
        )

    def read(self, message: Any, now_ns: int, vehicle_yaw_deg: float | None) -> Look | None:
        """What ``message`` (one of ``KINDS``), which arrived at ``now_ns``, says; None when it does not count.

        ``vehicle_yaw_deg`` is the vehicle's heading as last heard: a ``delta_yaw`` that disagrees with it is a lie.
        """
        if self._belief == "none":
            return None
        device = message.get_type() == "GIMBAL_DEVICE_ATTITUDE_STATUS"
        if not self._takes((message.get_srcComponent(), getattr(message, "gimbal_device_id", 0)), device, now_ns):
            return None
        self.heard = self.reported = True
        look = self._device(message, vehicle_yaw_deg) if device else self._mount(message)
        if look.attitude is not None:
            self.trouble = None
        return look

    def _takes(self, source: Source, device: bool, now_ns: int) -> bool:
        """The camera is on the first gimbal that was heard, by its better message; on another once that is silent.

        A gimbal's own report is better than what an autopilot passes on of it, and any device message than any
        MOUNT_ORIENTATION, which does not even tell reliably of which gimbal it is.
        """
        lately = self._heard_ns is not None and now_ns - self._heard_ns < _LATELY_NS
        if lately and self._source is not None and (source, device) != (self._source, self._by_device):
            same = _camera(source) == _camera(self._source)
            if device == self._by_device:
                better = same and source[0] in COMPONENTS and self._source[0] not in COMPONENTS
            else:
                better = device
            if not better:
                if not same and device == self._by_device:
                    self._others = {**self._others, source: now_ns}
                return False
        self._others = {other: ns for other, ns in self._others.items() if _camera(other) != _camera(source)}
        self._source, self._by_device, self._heard_ns = source, device, now_ns
        return True

    def _device(self, message: Any, vehicle_yaw_deg: float | None) -> Look:
        self.flags = int(message.flags)
        axes = self._axes(self.flags)
        if axes is None:
            return self._doubt("it says that its yaw counts from the vehicle and from north at once")
        w, x, y, z = (float(part) for part in message.q)
        length = math.sqrt(w * w + x * x + y * y + z * z)
        if not abs(length - 1) < 0.05:  # also false for NaN
            return self._doubt("its quaternion is not valid")
        if int(message.failure_flags) & _FAILED:
            return self._doubt(f"it reports a failure (flags {int(message.failure_flags)})")
        attitude = rotation.euler((w / length, x / length, y / length, z / length))
        delta = float(getattr(message, "delta_yaw", math.nan))
        # 0 is also what a sender without this field sends.
        if axes != "heading" or not math.isfinite(delta) or delta == 0.0 or self._belief in ("heading", "body"):
            return Look(attitude, axes)
        delta_deg = math.degrees(delta)
        if vehicle_yaw_deg is not None and abs(rotation.wrap_deg(delta_deg - vehicle_yaw_deg)) > _DISAGREE_DEG:
            return self._doubt(
                f"its delta_yaw of {rotation.compass_deg(delta_deg):.0f} degrees is not the vehicle's heading of "
                f"{rotation.compass_deg(vehicle_yaw_deg):.0f}"
            )
        yaw_deg = rotation.compass_deg(attitude.yaw_deg + delta_deg)
        return Look(Attitude(attitude.roll_deg, attitude.pitch_deg, yaw_deg), "earth")

    def _axes(self, flags: int) -> Axes | None:
        if self._belief in ("earth", "heading", "body"):
            return self._belief
        in_vehicle, in_earth = bool(flags & _IN_VEHICLE_FRAME), bool(flags & _IN_EARTH_FRAME)
        if in_vehicle and in_earth:
            return None
        if in_vehicle or in_earth:
            return "heading" if in_vehicle else "earth"
        return "earth" if flags & _YAW_LOCK else "heading"

    def _mount(self, message: Any) -> Look:
        """MOUNT_ORIENTATION: roll and pitch against the horizon, yaw from the vehicle's nose, or from north."""
        roll, pitch, yaw = float(message.roll), float(message.pitch), float(message.yaw)
        absolute = float(getattr(message, "yaw_absolute", math.nan))
        axes: Axes = "heading"
        if not math.isfinite(yaw) and math.isfinite(absolute) and absolute != 0.0:
            yaw, axes = absolute, "earth"
        if not all(map(math.isfinite, (roll, pitch, yaw))) or abs(pitch) > 180:
            return self._doubt("MOUNT_ORIENTATION holds no angles")
        if self._belief in ("earth", "heading", "body"):
            axes = self._belief
        return Look(Attitude(roll, pitch, yaw), axes)

    def _doubt(self, why: str) -> Look:
        self.trouble = (
            f"the gimbal's angles are not used: {why}; set [navigation.mount] gimbal (spanhawk doctor --turn finds how)"
        )
        return Look(None, "earth")


def _camera(source: Source) -> Source:
    """The gimbal that a report is of, as that gimbal itself would send it.

    An autopilot names a MAVLink gimbal that it passes on by its component, or counts it: 1 is MAV_COMP_ID_GIMBAL, 2 to
    6 are GIMBAL2 to GIMBAL6; with 0 it has only one.
    """
    component, number = source
    if component in COMPONENTS:
        return (component, 0) if number == component else source
    if number in COMPONENTS:
        return number, 0
    return (sorted(COMPONENTS)[max(number, 1) - 1], 0) if number <= len(COMPONENTS) else source


def _words(source: Source | None) -> str:
    component, number = source or (0, 0)
    return f"component {component}" + (f", gimbal {number}" if number else "")
