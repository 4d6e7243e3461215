"""Photographs as their own source of pose: what each one's EXIF and XMP say, when a replay has no log."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType

from edge.frames import Frame, PicturePose
from edge.navigation import Attitude, Fix, FixKind, NavState, nowhere, rotation

log = logging.getLogger(__name__)

_KINDS = {"fixed": FixKind.RTK_FIXED, "float": FixKind.RTK_FLOAT, "single": FixKind.FIX_3D}


@dataclass(slots=True)
class _Count:
    pictures: int = 0
    with_fix: int = 0
    doubted: int = 0


class PhotoNavigator:
    """Answers with what the picture that is being worked on says of itself."""

    def __init__(self) -> None:
        self._state = nowhere(0)
        self._count = _Count()

    def see(self, frame: Frame) -> None:
        """``frame`` is worked on from here on: questions are about it, until the next one is seen."""
        self._state = state_of(frame.pose, frame.exposed_ns)
        self._count.pictures += 1
        self._count.with_fix += self._state.fix is not None
        if frame.pose is not None and frame.pose.doubts:
            self._count.doubted += 1
            if self._count.doubted == 1:  # a thousand pictures of one camera have a thousand times the same fault
                log.warning("%s: %s", frame.name, "; ".join(frame.pose.doubts))

    def at(self, exposed_ns: int) -> NavState:
        """The state of the picture exposed then; nothing is known of any other moment."""
        return self._state if exposed_ns == self._state.at_ns else nowhere(exposed_ns)

    def utc_at(self, exposed_ns: int) -> datetime | None:
        """None: the picture's own time is the frame's."""
        return None

    def health(self) -> str | None:
        """A sentence when none of the pictures said where it was taken, or some said what cannot be."""
        count = self._count
        if count.doubted:
            return f"{count.doubted} of {count.pictures} pictures say of their pose what cannot be; see the log"
        if count.pictures and not count.with_fix:
            return "no picture says where it was taken (EXIF, XMP); name a log with --nav to place what is found"
        return None

    def warnings(self) -> tuple[str, ...]:
        """Nothing: what had to be doubted is logged with its picture."""
        return ()

    @property
    def live(self) -> bool:
        """False: it has been flown."""
        return False

    def __enter__(self) -> PhotoNavigator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""


def state_of(pose: PicturePose | None, at_ns: int) -> NavState:
    """The picture's own words as a state of the camera."""
    if pose is None:
        return nowhere(at_ns)
    attitude = None
    if pose.angles_deg is not None:
        attitude = rotation.compose(
            Attitude(*pose.angles_deg), rotation.quaternion(Attitude(pose.turned_deg, 0.0, 0.0))
        )
    return NavState(at_ns=at_ns, fix=_fix(pose), attitude=attitude, range_m=pose.range_m, vehicle=None)


def _fix(pose: PicturePose) -> Fix | None:
    if pose.lat_deg is None or pose.lon_deg is None:
        return None
    has_height = pose.alt_amsl_m is not None or pose.alt_ellipsoid_m is not None
    kind = _KINDS.get(pose.rtk or "", FixKind.FIX_3D) if has_height else FixKind.FIX_2D
    return Fix(
        kind=kind,
        lat_deg=pose.lat_deg,
        lon_deg=pose.lon_deg,
        alt_amsl_m=pose.alt_amsl_m,
        h_accuracy_m=pose.h_accuracy_m,
        v_accuracy_m=pose.v_accuracy_m,
        age_ms=0,
        alt_ellipsoid_m=pose.alt_ellipsoid_m,
    )
