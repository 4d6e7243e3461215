"""Who on a MAVLink network is a vehicle that can carry a camera, and who else claims to be one.

Ground stations, antenna trackers, gimbals, ADS-B receivers and onboard computers heartbeat too, and some of them
state a position of their own. A position counts only from a sender of one of ``VEHICLES`` (MAV_TYPE in common.xml).
"""

from __future__ import annotations

from typing import Any

Address = tuple[int, int]
"""System and component."""

NO_SENDER = "no sender"
"""What ``names`` says where nothing was heard."""

_MAV_AUTOPILOT_INVALID = 8
VEHICLES = {
    0: "generic vehicle",
    1: "plane",
    2: "quadrotor",
    3: "coaxial helicopter",
    4: "helicopter",
    7: "airship",
    8: "balloon",
    10: "rover",
    11: "boat",
    12: "submarine",
    13: "hexarotor",
    14: "octorotor",
    15: "tricopter",
    16: "flapping wing",
    17: "kite",
    19: "VTOL with two rotors",
    20: "VTOL with four rotors",
    21: "VTOL with tilting rotors",
    22: "VTOL",
    23: "VTOL",
    24: "VTOL",
    25: "VTOL",
    28: "parafoil",
    29: "dodecarotor",
    35: "decarotor",
    43: "multirotor",
    46: "walking robot",
    47: "VTOL gyrodyne",
}
"""MAV_TYPE of what can carry a camera along a structure, in words."""
_OTHERS = {5: "antenna tracker", 6: "ground station", 18: "onboard computer", 26: "gimbal", 27: "ADS-B", 30: "camera"}
_LATELY_NS = 30_000_000_000
_THREE_BEATS_NS = 3_000_000_000


def states_autopilot(heartbeat: Any) -> bool:
    """True where the sender calls itself an autopilot, of whatever kind of machine."""
    return bool(heartbeat.autopilot != _MAV_AUTOPILOT_INVALID)


def is_vehicle(heartbeat: Any) -> bool:
    """True for the heartbeat of an autopilot that flies or drives something a camera may hang on."""
    return states_autopilot(heartbeat) and heartbeat.type in VEHICLES


def words(address: Address, kind: int) -> str:
    """``system 2, component 1 (antenna tracker)``."""
    name = VEHICLES.get(kind) or _OTHERS.get(kind) or f"MAV_TYPE {kind}"
    return f"system {address[0]}, component {address[1]} ({name})"


class Roster:
    """Every sender of heartbeats, with its kind and when it was last heard; one thread adds, any thread asks."""

    def __init__(self) -> None:
        self._heard: dict[Address, tuple[int, bool, int]] = {}
        self._placing: dict[Address, tuple[int, int]] = {}  # first and newest arrival of a position

    def hear(self, heartbeat: Any, now_ns: int) -> None:
        """Note who sent ``heartbeat``."""
        address = (heartbeat.get_srcSystem(), heartbeat.get_srcComponent())
        self._heard = {**self._heard, address: (heartbeat.type, is_vehicle(heartbeat), now_ns)}

    def hear_place(self, address: Address, now_ns: int) -> None:
        """Note that ``address`` states a position: some do so without ever sending a heartbeat."""
        first_ns, _ = self._placing.get(address, (now_ns, now_ns))
        self._placing = {**self._placing, address: (first_ns, now_ns)}

    def _quiet(self, now_ns: int | None) -> list[Address]:
        """Senders of positions that have not sent a heartbeat in the time in which three are due."""
        return [
            address
            for address, (first_ns, newest_ns) in self._placing.items()
            if address not in self._heard
            and newest_ns - first_ns >= _THREE_BEATS_NS
            and (now_ns is None or now_ns - newest_ns <= _LATELY_NS)
        ]

    def vehicles(self, now_ns: int | None = None) -> list[Address]:
        """Addresses of vehicles in the order in which they were first heard; with ``now_ns``: of the last 30 s only."""
        return [
            address
            for address, (_, vehicle, heard_ns) in self._heard.items()
            if vehicle and (now_ns is None or now_ns - heard_ns <= _LATELY_NS)
        ]

    def excluded(self) -> set[Address]:
        """Addresses of senders that are no vehicles."""
        return {address for address, (_, vehicle, _) in self._heard.items() if not vehicle}

    def names(self, addresses: list[Address] | None = None) -> str:
        """In words, those of ``addresses`` (None: everyone who was heard); ``NO_SENDER`` where there is none."""
        chosen = list(self._heard) if addresses is None else addresses
        return "; ".join(self._words(address) for address in chosen) or NO_SENDER

    def _words(self, address: Address) -> str:
        if address not in self._heard:
            return f"system {address[0]}, component {address[1]} (no heartbeat heard)"
        return words(address, self._heard[address][0])

    def rivals(self, chosen: Address, now_ns: int | None = None) -> str | None:
        """One sentence naming the other vehicles beside ``chosen``; None when there are none."""
        others = [address for address in (*self.vehicles(now_ns), *self._quiet(now_ns)) if address != chosen]
        if not others:
            return None
        return (
            f"more than one autopilot is heard: positions are those of {self._words(chosen)}, not of "
            f"{self.names(others)}; choose one with navigation.system_id and component_id"
        )
