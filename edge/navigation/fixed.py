"""A stated place: for a camera on a tripod, for tests, and (with nothing stated) for a flight without navigation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Literal

from edge.navigation import Attitude, Fix, FixKind, Navigator, NavState
from edge.navigation.track import on_null_island
from edge.support.clock import Clock

_PAIRED = (("lat_deg", "lon_deg"), ("roll_deg", "pitch_deg", "yaw_deg"))
_BOUNDS = {
    "lat_deg": (-90.0, 90.0),
    "lon_deg": (-180.0, 180.0),
    "alt_amsl_m": (-1000.0, 20000.0),
    "alt_ellipsoid_m": (-1000.0, 20000.0),
    "roll_deg": (-180.0, 180.0),
    "pitch_deg": (-90.0, 90.0),
    "yaw_deg": (-360.0, 360.0),
    "h_accuracy_m": (0.001, 1e5),
    "v_accuracy_m": (0.001, 1e5),
    "range_m": (0.01, 1e4),
    "lost_after_s": (0.0, math.inf),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The place; nothing stated means nothing known. Raises ValueError for a place that cannot be."""

    lat_deg: float | None = None
    """WGS 84 latitude, degrees; None: no fix."""
    lon_deg: float | None = None
    """WGS 84 longitude, degrees; None: no fix."""
    alt_amsl_m: float | None = None
    """Metres above mean sea level; None: unknown. Without any height the fix is a FIX_2D."""
    alt_ellipsoid_m: float | None = None
    """Metres above the WGS 84 ellipsoid; None: unknown."""
    kind: Literal["FIX_2D", "FIX_3D", "DGPS", "RTK_FLOAT", "RTK_FIXED"] = "FIX_3D"
    """What the fix claims to be."""
    h_accuracy_m: float | None = None
    """1-sigma horizontal, metres; None: unknown."""
    v_accuracy_m: float | None = None
    """1-sigma vertical, metres; None: unknown."""
    roll_deg: float | None = None
    """Camera's roll, degrees; roll, pitch and yaw are given together or not at all (None)."""
    pitch_deg: float | None = None
    """Camera's pitch, degrees, -90 straight down; None: unknown."""
    yaw_deg: float | None = None
    """Camera's yaw, degrees clockwise from true north; None: unknown."""
    range_m: float | None = None
    """Metres from lens to surface; None: unknown."""
    lost_after_s: float | None = None
    """Misbehave: seconds after opening at which the fix is lost for good; None: never."""

    def __post_init__(self) -> None:
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} must be from {low} to {high}, got {value}")
        for names in _PAIRED:
            if len({getattr(self, name) is None for name in names}) > 1:
                raise ValueError(f"{', '.join(names)} are given together or not at all")
        if self.lat_deg is not None and self.lon_deg is not None and on_null_island(self.lat_deg, self.lon_deg):
            raise ValueError("lat_deg and lon_deg are both 0, which is what a receiver without a fix reports")


def open_navigator(options: Options, clock: Clock) -> Navigator:
    """A navigator that always answers the same place."""
    return FixedNavigator(options, clock.monotonic_ns())


class FixedNavigator:
    """Answers ``options``, until ``lost_after_s`` after ``opened_ns``."""

    def __init__(self, options: Options, opened_ns: int) -> None:
        self._fix = _fix(options)
        self._attitude = _attitude(options)
        self._range_m = options.range_m
        after_s = options.lost_after_s
        self._lost_ns = None if after_s is None or math.isinf(after_s) else opened_ns + round(after_s * 1e9)
        self._asked_ns = opened_ns

    def at(self, exposed_ns: int) -> NavState:
        """The stated place at any moment before it is lost."""
        self._asked_ns = max(self._asked_ns, exposed_ns)
        fix = None if self._lost(exposed_ns) else self._fix
        return NavState(at_ns=exposed_ns, fix=fix, attitude=self._attitude, range_m=self._range_m)

    def utc_at(self, exposed_ns: int) -> datetime | None:
        """None: a stated place carries no time."""
        return None

    def health(self) -> str | None:
        """A sentence once a moment after the loss has been asked for."""
        if self._fix is not None and self._lost(self._asked_ns):
            return "the fixed position is lost, as its option lost_after_s asks for"
        return None

    def warnings(self) -> tuple[str, ...]:
        """Nothing: what is stated is not guessed."""
        return ()

    @property
    def live(self) -> bool:
        """False: nothing is measured."""
        return False

    def _lost(self, at_ns: int) -> bool:
        return self._lost_ns is not None and at_ns >= self._lost_ns

    def __enter__(self) -> FixedNavigator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""


def _fix(options: Options) -> Fix | None:
    if options.lat_deg is None or options.lon_deg is None:
        return None
    has_height = options.alt_amsl_m is not None or options.alt_ellipsoid_m is not None
    kind = FixKind[options.kind] if has_height else FixKind.FIX_2D
    return Fix(
        kind=kind,
        lat_deg=options.lat_deg,
        lon_deg=options.lon_deg,
        alt_amsl_m=options.alt_amsl_m if kind > FixKind.FIX_2D else None,
        h_accuracy_m=options.h_accuracy_m,
        v_accuracy_m=options.v_accuracy_m,
        age_ms=0,
        alt_ellipsoid_m=options.alt_ellipsoid_m if kind > FixKind.FIX_2D else None,
    )


def _attitude(options: Options) -> Attitude | None:
    if options.roll_deg is None or options.pitch_deg is None or options.yaw_deg is None:
        return None
    return Attitude(options.roll_deg, options.pitch_deg, options.yaw_deg)
