"""Where the camera was: fixes, attitudes, ranges, and the sources they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from types import TracebackType
from typing import Protocol


class FixKind(IntEnum):
    """Quality of a satellite fix, worst first (the order of MAVLink's GPS_FIX_TYPE)."""

    NONE = 0
    """No position."""
    FIX_2D = 2
    """Latitude and longitude only; the altitude is not measured."""
    FIX_3D = 3
    DGPS = 4
    """Corrected by SBAS or a reference station."""
    RTK_FLOAT = 5
    RTK_FIXED = 6
    """Centimetres."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A position on WGS 84 with what the receiver says of its quality."""

    kind: FixKind
    lat_deg: float
    lon_deg: float
    alt_amsl_m: float | None
    """Above mean sea level; None when not measured (2D fix)."""
    h_accuracy_m: float | None
    """1-sigma horizontal, metres; None when the receiver does not say."""
    v_accuracy_m: float | None
    """1-sigma vertical, metres; None when the receiver does not say."""
    age_ms: int
    """From the newest real measurement used to the moment asked for, ms (0 when interpolated between two)."""
    alt_ellipsoid_m: float | None = None
    """Above the WGS 84 ellipsoid; None when the source does not say. The geoid lies between it and ``alt_amsl_m``."""


@dataclass(frozen=True, slots=True)
class Attitude:
    """Orientation of the *camera*: 3-2-1 Euler angles in north-east-down.

    All zero: the optical axis points to true north on the horizon, the image's up is up.
    Pitch -90 looks straight down. Yaw clockwise from true north.
    """

    roll_deg: float
    pitch_deg: float
    yaw_deg: float


@dataclass(frozen=True, slots=True)
class LocalPosition:
    """A position in the autopilot's own frame, which began where its estimator started: it needs no satellites."""

    north_m: float
    """Along the frame's first axis: north, unless ``turn_deg`` says otherwise."""
    east_m: float
    down_m: float
    turn_deg: float = 0.0
    """True heading of the frame's first axis, degrees; 0 for a frame that is aligned with north."""
    sigma_m: tuple[float, float, float] | None = None
    """Standard uncertainties of the three; None when the autopilot does not say."""


@dataclass(frozen=True, slots=True)
class NavState:
    """All that is known of the camera's place at one moment; unknown parts are None."""

    at_ns: int
    """The moment asked for, monotonic ns."""
    fix: Fix | None
    attitude: Attitude | None
    range_m: float | None
    """Lens to surface along the optical axis, metres."""
    vehicle: Attitude | None = None
    """The vehicle's own attitude, for the lever arm from its position to the lens; None: as unknown as the rest."""
    local: LocalPosition | None = None
    """Without satellites: where the vehicle's estimator believes to be in its own frame."""


class Navigator(Protocol):
    """Answers where the camera was at a moment of the recent past; closed by leaving the ``with`` block."""

    def at(self, exposed_ns: int) -> NavState:
        """The state at ``exposed_ns`` (monotonic), interpolated; never blocks, never raises for "no fix"."""

    def utc_at(self, exposed_ns: int) -> datetime | None:
        """UTC of that moment as the satellites gave it; None when this source carries no time."""

    def health(self) -> str | None:
        """One sentence on what is wrong with the source; None when it is heard as expected."""

    def warnings(self) -> Sequence[str]:
        """What had to be guessed, or stands in for something better, while positions are given all the same."""

    @property
    def live(self) -> bool:
        """True for a receiver that moves with us now; False for a recorded or stated place."""

    def __enter__(self) -> Navigator: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def nowhere(at_ns: int) -> NavState:
    """A state in which nothing is known."""
    return NavState(at_ns=at_ns, fix=None, attitude=None, range_m=None)
