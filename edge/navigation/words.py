"""What the pilot is sent over the autopilot's link, as a camera of the vehicle: words and marks on the map.

Field meanings: mavlink.io, common.xml. The vendor library's module of messages is handed in; nothing here imports it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from edge.navigation import NavState, rotation

_WAITING = 20  # while the link is away; older ones are worth nothing


class Words:
    """Filled by any thread, emptied by the one that owns the link."""

    def __init__(self, common: Any) -> None:
        self._common = common
        self._encoder = common.MAVLink(None)
        self._encoder.srcComponent = common.MAV_COMP_ID_CAMERA
        self._waiting: deque[Any] = deque(maxlen=_WAITING)
        self._marks = 0

    def tell(self, words: str) -> None:
        """At most 50 letters for the pilot's screen (STATUSTEXT)."""
        text = words.encode("ascii", "replace")[:50]
        self._waiting.append(self._common.MAVLink_statustext_message(self._common.MAV_SEVERITY_NOTICE, text))

    def mark(self, nav: NavState, utc: datetime | None) -> None:
        """A picture for the pilot's map (CAMERA_IMAGE_CAPTURED); nothing without a 3D fix.

        An unknown attitude is sent as a quaternion of zeros, which is none.
        """
        fix = nav.fix
        if fix is None or fix.alt_amsl_m is None:  # the message has no word for unknown
            return
        turn = (0.0, 0.0, 0.0, 0.0) if nav.attitude is None else rotation.quaternion(nav.attitude)
        self._marks += 1
        self._waiting.append(
            self._common.MAVLink_camera_image_captured_message(
                time_boot_ms=0,
                time_utc=0 if utc is None else round(utc.timestamp() * 1e6),
                camera_id=1,
                lat=round(fix.lat_deg * 1e7),
                lon=round(fix.lon_deg * 1e7),
                alt=round(fix.alt_amsl_m * 1e3),
                relative_alt=0,
                q=turn,
                image_index=self._marks,
                capture_result=1,
                file_url=b"",
            )
        )

    def frames(self, system_id: int) -> Iterator[bytes]:
        """What waits, packed as from a camera of vehicle ``system_id``."""
        self._encoder.srcSystem = system_id
        while self._waiting:
            yield self._waiting.popleft().pack(self._encoder)
            self._encoder.seq = (self._encoder.seq + 1) % 256
