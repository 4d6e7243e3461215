"""Photographs as their own source of pose: what each one's EXIF and XMP say, when a replay has no log."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType

from edge.frames import Camera, Frame, PicturePose, SkippedFrame
from edge.navigation import Attitude, Fix, FixKind, Navigator, NavState, nowhere, rotation
from edge.navigation.track import Limits, Plausibility

log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1)  # of a clock without a zone
_VALUES = re.compile(r"""['"].*['"]|\d+(\.\d+)?""")  # what differs between two doubts of one kind
_KINDS = {"fixed": FixKind.RTK_FIXED, "float": FixKind.RTK_FLOAT, "single": FixKind.FIX_3D}


@dataclass(slots=True)
class _Count:
    pictures: int = 0
    with_fix: int = 0
    doubted: int = 0
    named: set[str] = field(default_factory=set)
    """The kinds of doubt that were logged."""
    guessed: bool = False
    """Whether it was said that focal lengths are guessed."""


class PhotoNavigator:
    """Answers with what the picture that is being worked on says of itself."""

    def __init__(self) -> None:
        self._state = nowhere(0)
        self._plausibility = Plausibility(Limits())
        self._count = _Count()

    def watch(self, camera: Camera) -> Camera:
        """``camera``, whose pictures are looked at as they pass; each must be done with before the next is taken."""
        return _Watched(camera, self)

    def see(self, frame: Frame) -> None:
        """``frame`` is worked on from here on."""
        self._state = state_of(frame.pose, frame.exposed_ns)
        doubts = () if frame.pose is None else frame.pose.doubts
        jump = self._jump(frame.pose)
        if jump is not None:
            self._state, doubts = replace(self._state, fix=None), (*doubts, jump)
        self._count.pictures += 1
        self._count.with_fix += self._state.fix is not None
        if frame.pose is not None and frame.pose.focal_uncertainty is not None and not self._count.guessed:
            self._count.guessed = True
            log.warning(
                "%s: no usual sensor has its shape, so it is taken to be cut out of a 4:3 sensor: its focal length of "
                "%.0f pixels is good to %.0f %%, unless [scale] states lens, hfov_deg or focal_length_mm",
                *(frame.name, frame.pose.focal_px, 100 * frame.pose.focal_uncertainty),
            )
        if doubts:
            self._count.doubted += 1
        for doubt in doubts:  # a thousand pictures of one camera have a thousand times the same fault
            kind = _VALUES.sub("", doubt)
            if kind not in self._count.named:
                self._count.named.add(kind)
                log.warning("%s: %s", frame.name, doubt)

    def _jump(self, pose: PicturePose | None) -> str | None:
        """Why a position cannot have been flown to since the picture before; None where it can, or no time is known."""
        fix = self._state.fix
        if pose is None or pose.taken_local is None or fix is None:
            return None
        at_ns = round((pose.taken_local - _EPOCH).total_seconds() * 1e9)
        return None if self._plausibility.accepts(at_ns, fix) else self._plausibility.doubt

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

    def warnings(self) -> Sequence[str]:
        """Nothing beside ``health``: what a picture does not say is not guessed."""
        return ()

    @property
    def live(self) -> bool:
        """False: a recording."""
        return False

    def __enter__(self) -> Navigator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""


class _Watched:
    """A camera that shows each frame to the navigator before it hands it over."""

    def __init__(self, camera: Camera, navigator: PhotoNavigator) -> None:
        self._camera, self._navigator = camera, navigator

    @property
    def live(self) -> bool:
        return self._camera.live

    @property
    def timeout_s(self) -> float | None:
        return self._camera.timeout_s

    @property
    def frame_count(self) -> int | None:
        return self._camera.frame_count

    @property
    def skipped(self) -> tuple[SkippedFrame, ...]:
        return self._camera.skipped

    def frames(self) -> Iterator[Frame]:
        for frame in self._camera.frames():
            self._navigator.see(frame)
            # A photo's own pose is asked for by the photo, not by its time, so an unknown time does not matter here.
            yield frame if frame.time_known else replace(frame, time_known=True)

    def __enter__(self) -> Camera:
        self._camera.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._camera.__exit__(kind, error, trace)


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
