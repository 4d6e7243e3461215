"""What one autopilot says over MAVLink, as fixes, attitudes and ranges of the camera.

Positions are the autopilot's filtered GLOBAL_POSITION_INT, and count as a fix only while a satellite receiver of the
same vehicle (GPS_RAW_INT, GPS2_RAW) reports one: a position that is merely dead-reckoned is none. The receiver itself
stands in where there is no filtered position. Its time of day, SYSTEM_TIME, counts under the same condition: without
satellites it is what a ground station set.
Attitudes are ATTITUDE turned by the camera's mount. Ranges are those of the DISTANCE_SENSOR that looks where
the camera looks. Messages of any other system or component are ignored.

Field meanings and units: mavlink.io, common.xml. Messages are the vendor library's objects; nothing here imports it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from edge.navigation import Attitude, Fix, FixKind, rotation
from edge.navigation.aboard import Aboard
from edge.navigation.gimbal import KINDS as GIMBALS
from edge.navigation.gimbal import Belief
from edge.navigation.history import History
from edge.navigation.receivers import FIRST, SECOND, Receivers
from edge.navigation.roster import Roster, is_vehicle, states_autopilot
from edge.navigation.timebase import BootClock, UtcTrack
from edge.navigation.track import distance_m, on_null_island

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# MAV_SENSOR_ORIENTATION of the six plain directions: forward, right, down in the vehicle's axes.
_DIRECTIONS = {
    0: (1.0, 0.0, 0.0),
    2: (0.0, 1.0, 0.0),
    4: (-1.0, 0.0, 0.0),
    6: (0.0, -1.0, 0.0),
    24: (0.0, 0.0, -1.0),
    25: (0.0, 0.0, 1.0),
}
_SAME_DIRECTION = math.cos(math.radians(15.0))
_SIGNAL_INVALID = 1
_NO_RANGE_CM = 65_535  # the field is full: 655.35 m is what a sensor sends that sees nothing
_UNIX_US = 10**15
_APART_M = 1000.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """How the camera and the rangefinder are bolted to the vehicle; checked at construction (ValueError)."""

    camera_roll_deg: float = 0.0
    """Camera's roll in the vehicle's axes, degrees."""
    camera_pitch_deg: float = 0.0
    """Camera's pitch in the vehicle's axes, degrees: 0 looks along the nose, -90 out of the belly."""
    camera_yaw_deg: float = 0.0
    """Camera's yaw in the vehicle's axes, degrees clockwise from the nose."""
    range_orientation: int | None = None
    """MAV_SENSOR_ORIENTATION of the rangefinder (0 forward, 25 down); None: whichever looks where the camera looks."""
    range_id: int | None = None
    """Id of the rangefinder in DISTANCE_SENSOR; None: any."""
    gimbal: Belief = "auto"
    """``auto``: rigid until a gimbal is heard, from then on the gimbal alone; ``none``: rigid, whatever gimbals say;
    ``flags``: on a gimbal whose flags say what its yaw counts from; ``earth``, ``heading``, ``body``: on a gimbal
    whose flags are wrong: its angles count from horizon and north, from horizon and nose, in the vehicle's own axes.
    On a gimbal ``camera_roll_deg``, ``camera_pitch_deg`` and ``camera_yaw_deg`` do not apply."""
    range_on_gimbal: bool = False
    """True: the rangefinder is on the gimbal and looks where the camera looks, whatever its orientation says."""
    range_offset_m: float = 0.0
    """Metres added to what the rangefinder measures to get lens to surface."""

    def __post_init__(self) -> None:
        angles = (self.camera_roll_deg, self.camera_pitch_deg, self.camera_yaw_deg)
        if not all(abs(angle) <= 360.0 for angle in angles):
            raise ValueError(f"camera_roll_deg, camera_pitch_deg and camera_yaw_deg are -360 to 360, got {angles}")
        if not abs(self.range_offset_m) <= 10.0:
            raise ValueError(f"range_offset_m is -10 to 10, got {self.range_offset_m}")

    def attitude(self) -> Attitude:
        """The camera's attitude in the vehicle's axes."""
        return Attitude(self.camera_roll_deg, self.camera_pitch_deg, self.camera_yaw_deg)

    def ranges(self) -> frozenset[int]:
        """The rangefinder orientations that look along the optical axis, within 15 degrees."""
        if self.range_orientation is not None:
            return frozenset((self.range_orientation,))
        axis = rotation.optical_axis(rotation.canonical(self.attitude()))
        return frozenset(
            number
            for number, direction in _DIRECTIONS.items()
            if sum(a * b for a, b in zip(axis, direction, strict=True)) >= _SAME_DIRECTION
        )


class Vehicle:
    """Listens to one autopilot and feeds ``history`` and ``utc``; used by one thread.

    ``system_id`` None: the first vehicle (see ``roster``) whose heartbeat comes from ``component_id``; a stated one
    is believed whatever it calls itself. ``unstated``: the kind claimed for positions while no receiver's message
    has ever been heard (None: they are no fix). ``counts`` False: its time since its start is known to be wrong.
    """

    def __init__(
        self,
        history: History,
        utc: UtcTrack,
        mount: Mount,
        *,
        system_id: int | None = None,
        component_id: int = 1,
        unstated: FixKind | None = None,
        counts: bool = True,
    ) -> None:
        self._history, self._utc, self._mount = history, utc, mount
        self._mounted, self._orientations = rotation.quaternion(mount.attitude()), mount.ranges()
        self._aboard = Aboard(history, self._mounted, mount.gimbal, range_on_gimbal=mount.range_on_gimbal)
        self._component_id = component_id
        self._unstated = unstated
        self._clock = BootClock(believed=counts)
        self._stale_ns = round(history.limits.stale_s * 1e9)
        self._receivers = Receivers(self._stale_ns)
        self._filtered_ns: int | None = None  # when the filter last had a position
        self._apart: tuple[int, float] | None = None  # when it last was far from the receiver's, and how far, metres
        self._chosen = system_id is not None
        self.system_id = system_id
        self.roster = Roster()
        self.heard_ns: dict[str, int] = {}
        """When each kind of message of this vehicle last arrived."""
        self.found_ns: int | None = None
        """When its first heartbeat arrived; None before."""
        self.restarts = 0
        """How often the autopilot's clock began anew."""
        self.unproven = 0
        """How many times of day it sent while no satellite receiver had a fix."""
        self._readers = {
            "SYSTEM_TIME": self._system_time,
            FIRST: self._gps_raw,
            SECOND: self._gps_raw,
            "GLOBAL_POSITION_INT": self._global_position,
            "ATTITUDE": self._attitude,
            "LOCAL_POSITION_NED": self._local_position,
            "ODOMETRY": self._odometry,
            "DISTANCE_SENSOR": self._distance,
        }

    @property
    def aboard(self) -> Aboard:
        """The camera's mount, rigid or a gimbal."""
        return self._aboard

    @property
    def address(self) -> tuple[int | None, int]:
        """System and component that are listened to."""
        return self.system_id, self._component_id

    def trouble(self, now_ns: int) -> str | None:
        """Why nothing of what is heard can be believed; None when it can."""
        if not self._clock.to_and_fro(now_ns):
            return None
        return (
            f"two senders share system {self.system_id}, component {self._component_id}, so it is not known whose "
            "position is whose: give each vehicle an id of its own"
        )

    def warnings(self, now_ns: int) -> tuple[str, ...]:
        """What is guessed or stood in for while positions continue, one sentence each."""
        odd_clock = (
            f"the time since its start that system {self.system_id} sends does not count milliseconds: "
            "the time of arrival is taken instead"
        )
        found = (
            self.roster.rivals((self.system_id, self._component_id), now_ns) if self.system_id is not None else None,
            self._receivers.stands_in(now_ns),
            self._far_apart(now_ns),
            self._aboard.gimbal.ignored(now_ns),
            odd_clock if self._clock.doubted(now_ns) and not self._clock.to_and_fro(now_ns) else None,
        )
        return tuple(sentence for sentence in found if sentence)

    def _far_apart(self, now_ns: int) -> str | None:
        heard_ns, apart_m = self._apart or (None, 0.0)
        if not self._lately(heard_ns, now_ns):
            return None
        return (
            f"the autopilot's own position lies {apart_m / 1000:.0f} km from its satellite receiver's: neither is "
            "taken; look at its estimate before the flight"
        )

    def hear(self, message: Any, now_ns: int) -> None:
        """Take in one message that arrived at ``now_ns``."""
        kind = message.get_type()
        if kind in GIMBALS:
            if message.get_srcSystem() == self.system_id:
                self.heard_ns[kind] = now_ns
                # Told by the autopilot it carries its clock; a gimbal's own clock is another, and it sends at once.
                own = message.get_srcComponent() == self._component_id and message.time_boot_ms > 0
                at_ns = self._clock.local_ns(message.time_boot_ms, now_ns) if own else now_ns
                if self._clock.to_and_fro(now_ns):
                    self._aboard.lose_gimbal(at_ns)
                else:
                    self._aboard.hear_gimbal(message, at_ns, now_ns, self._component_id)
            return
        if kind == "HEARTBEAT":
            self.roster.hear(message, now_ns)
        if kind == "GLOBAL_POSITION_INT":
            self.roster.hear_place((message.get_srcSystem(), message.get_srcComponent()), now_ns)
        if message.get_srcComponent() != self._component_id:
            return
        if kind == "HEARTBEAT" and not (states_autopilot(message) if self._chosen else is_vehicle(message)):
            return
        if kind == "HEARTBEAT" and self.system_id is None:
            self.system_id = message.get_srcSystem()
        if message.get_srcSystem() != self.system_id:
            return
        if kind == "HEARTBEAT" and self.found_ns is None:
            self.found_ns = now_ns
        self.heard_ns[kind] = now_ns
        reader = self._readers.get(kind)
        if reader is not None:
            reader(message, now_ns)

    def hear_sync(self, answer: Any, now_ns: int) -> None:
        """A TIMESYNC answer; one to another system's question has a round trip that cannot be, and is ignored."""
        self._clock.hear_sync(answer.ts1, answer.tc1, now_ns)

    def _lately(self, at_ns: int | None, now_ns: int) -> bool:
        return at_ns is not None and now_ns - at_ns <= self._stale_ns

    def _measured_ns(self, message: Any, now_ns: int) -> int:
        """When the message's content was measured; notices a restart of the autopilot."""
        mixed = self._clock.to_and_fro(now_ns)
        if self._clock.restarted(message.time_boot_ms, now_ns, message.get_type()):
            self.restarts += 1
            self._receivers.forget()
            self._history.lose(now_ns - 1)  # just before what comes next, which is known again
        if self._clock.to_and_fro(now_ns) and not mixed:
            self._history.lose(now_ns - 1)
        return self._clock.local_ns(message.time_boot_ms, now_ns)

    def _system_time(self, message: Any, now_ns: int) -> None:
        at_ns = self._measured_ns(message, now_ns)
        if not 0 < message.time_unix_usec < 10**16:
            return
        if self._receivers.best(now_ns) is None:  # set by a ground station, a battery-backed clock, or nothing
            self.unproven += 1
            return
        self._utc.hear(at_ns, _EPOCH + timedelta(microseconds=message.time_unix_usec))

    def _gps_raw(self, message: Any, now_ns: int) -> None:
        self._receivers.hear(message, now_ns)
        gps = self._receivers.best(now_ns)
        if gps is None or not self._lately(self._filtered_ns, now_ns):
            self._hear_fix(now_ns, gps, now_ns)

    def _global_position(self, message: Any, now_ns: int) -> None:
        at_ns = self._measured_ns(message, now_ns)
        lat_deg, lon_deg, alt_m = message.lat / 1e7, message.lon / 1e7, message.alt / 1e3
        gps = self._receivers.best(now_ns)
        nowhere = on_null_island(lat_deg, lon_deg) or not (abs(lat_deg) <= 90.0 and abs(lon_deg) <= 180.0)
        if nowhere and gps is not None:
            self._filtered_ns = None  # the filter has no position: the receiver's own stands in
            return
        self._filtered_ns = now_ns
        fix: Fix | None = None
        if gps is not None:
            ellipsoid_m = _ellipsoid_m(alt_m, gps)
            fix = Fix(gps.kind, lat_deg, lon_deg, alt_m, gps.h_accuracy_m, gps.v_accuracy_m, 0, ellipsoid_m)
            apart_m = distance_m(fix, gps)
            if apart_m > _APART_M and not on_null_island(gps.lat_deg, gps.lon_deg):
                self._apart, fix = (now_ns, apart_m), None
        elif self._unstated is not None and not self.heard_ns.keys() & {FIRST, SECOND}:
            fix = Fix(self._unstated, lat_deg, lon_deg, alt_m, None, None, 0)
        self._hear_fix(at_ns, fix, now_ns)

    def _hear_fix(self, at_ns: int, fix: Fix | None, now_ns: int) -> None:
        """Of two senders under one address: none can be used."""
        self._history.hear_fix(at_ns, None if self._clock.to_and_fro(now_ns) else fix)

    def _attitude(self, message: Any, now_ns: int) -> None:
        at_ns = self._measured_ns(message, now_ns)
        angles = (message.roll, message.pitch, message.yaw)
        if self._clock.to_and_fro(now_ns) or not all(map(math.isfinite, angles)):
            self._aboard.hear_vehicle(at_ns, None)
            return
        self._aboard.hear_vehicle(at_ns, Attitude(*map(math.degrees, angles)))

    def _local_position(self, message: Any, now_ns: int) -> None:
        at_ns = self._measured_ns(message, now_ns)
        if self._clock.to_and_fro(now_ns):
            self._aboard.lose_local(at_ns)
        else:
            self._aboard.hear_local(message, at_ns)

    def _odometry(self, message: Any, now_ns: int) -> None:
        # Microseconds since the autopilot's start, or (of a sender with a clock) since 1970.
        boot_us = message.time_usec
        at_ns = self._clock.local_ns(boot_us // 1000, now_ns) if 0 < boot_us < _UNIX_US else now_ns
        if self._clock.to_and_fro(now_ns):
            self._aboard.lose_local(at_ns)
        else:
            self._aboard.hear_odometry(message, at_ns)

    def _distance(self, message: Any, now_ns: int) -> None:
        at_ns = self._measured_ns(message, now_ns)
        if self._mount.range_id not in (None, message.id):
            return
        direction = _DIRECTIONS.get(message.orientation)
        if not self._aboard.sees(direction, now_ns, as_mounted=message.orientation in self._orientations):
            return
        cm, low, high = message.current_distance, message.min_distance, message.max_distance
        # A sensor that sees nothing reports 0 or its own limit.
        outside = cm in (0, _NO_RANGE_CM) or cm < low or (high > 0 and cm >= high)
        outside = outside or message.signal_quality == _SIGNAL_INVALID or self._clock.to_and_fro(now_ns)
        self._history.hear_range(at_ns, None if outside else cm / 100.0 + self._mount.range_offset_m)


def _ellipsoid_m(alt_amsl_m: float, gps: Fix) -> float | None:
    """A filtered height above the ellipsoid: the geoid is as far from it as the receiver itself says."""
    if gps.alt_amsl_m is None or gps.alt_ellipsoid_m is None:
        return None
    return alt_amsl_m + gps.alt_ellipsoid_m - gps.alt_amsl_m
