"""The satellite receivers of one autopilot: GPS_RAW_INT is the first, GPS2_RAW the second (common.xml).

A vehicle with two receivers flies on either; so the position is that of whichever has the better fix.
"""

from __future__ import annotations

from typing import Any

from edge.navigation import Fix, FixKind

FIRST, SECOND = "GPS_RAW_INT", "GPS2_RAW"
# GPS_FIX_TYPE; static (7) and precise point positioning (8) are claimed as no more than a 3D fix.
_KINDS = {
    2: FixKind.FIX_2D,
    3: FixKind.FIX_3D,
    4: FixKind.DGPS,
    5: FixKind.RTK_FLOAT,
    6: FixKind.RTK_FIXED,
    7: FixKind.FIX_3D,
    8: FixKind.FIX_3D,
}
# Receivers without a fix state 4,294,967 m (all bits set); what reaches that far says nothing.
_MOST_MM = 100_000_000


class Receivers:
    """What each receiver last said; used by one thread."""

    def __init__(self, stale_ns: int) -> None:
        self._stale_ns = stale_ns
        self._said: dict[str, tuple[int, Fix | None]] = {}

    def hear(self, message: Any, now_ns: int) -> None:
        """A GPS_RAW_INT or GPS2_RAW that arrived at ``now_ns``."""
        self._said[message.get_type()] = (now_ns, fix_of(message))

    def forget(self) -> None:
        """What was said before a restart does not count."""
        self._said.clear()

    def best(self, now_ns: int) -> Fix | None:
        """The better fix of those heard lately, the first receiver's where they are equal; None without any."""
        fixes = [fix for fix in (self._lately(FIRST, now_ns), self._lately(SECOND, now_ns)) if fix is not None]
        return max(fixes, key=lambda fix: fix.kind, default=None)

    def stands_in(self, now_ns: int) -> str | None:
        """One sentence while only the second receiver has a fix; None otherwise."""
        if self._lately(FIRST, now_ns) is not None or self._lately(SECOND, now_ns) is None:
            return None
        return "the first satellite receiver has no fix: positions rest on the second one (GPS2_RAW)"

    def _lately(self, name: str, now_ns: int) -> Fix | None:
        heard_ns, fix = self._said.get(name, (0, None))
        return fix if fix is not None and now_ns - heard_ns <= self._stale_ns else None


def fix_of(message: Any) -> Fix | None:
    """The fix in a receiver's message; None when it has none."""
    kind = _KINDS.get(message.fix_type)
    if kind is None:
        return None
    return Fix(
        kind=kind,
        lat_deg=message.lat / 1e7,
        lon_deg=message.lon / 1e7,
        alt_amsl_m=message.alt / 1e3,
        h_accuracy_m=_metres(message.h_acc),
        v_accuracy_m=_metres(message.v_acc),
        age_ms=0,
        # A field of MAVLink 2: 0 where the sender speaks MAVLink 1 or has no model of the geoid.
        alt_ellipsoid_m=message.alt_ellipsoid / 1e3 if message.alt_ellipsoid else None,
    )


def _metres(accuracy_mm: int) -> float | None:
    """0 is a receiver that does not say, a number without end one that does not know."""
    return accuracy_mm / 1e3 if 0 < accuracy_mm < _MOST_MM else None
