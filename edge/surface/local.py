"""Local frames: where the vehicle is in metres, east, north and up of a flight's origin, or in a structure's axes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge.navigation import Fix, LocalPosition, NavState
from edge.surface import earth
from edge.surface.plane import Float64, turn
from edge.surface.structure import StructureOptions

_NED_TO_ENU = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOptions:
    """The ``[place]`` table: from the position that is measured to the lens, and how well it is known."""

    lever_arm_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """From the point whose position is reported (the autopilot's reference, the antenna) to the lens: metres forward,
    right and down in the vehicle's axes."""
    attitude_uncertainty_deg: float = 1.0
    """Standard uncertainty of the camera's roll and pitch, degrees."""
    heading_uncertainty_deg: float = 3.0
    """Standard uncertainty of its heading, degrees; a compass near reinforcement is worse than in the open."""
    h_uncertainty_m: float | None = None
    """Standard uncertainty of a horizontal position whose source states none, metres; None: unknown, as said."""
    v_uncertainty_m: float | None = None
    """The same for the height."""
    speed_m_s: float = 3.0
    """How fast the vehicle may move while a fix ages, metres per second."""
    origin: tuple[float, float, float] | None = None
    """Latitude, longitude (degrees) and height above the ellipsoid (metres) where local east, north, up are 0; None:
    the first fix of the flight."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not all(abs(metres) <= 100 for metres in self.lever_arm_m):
            raise ValueError(f"lever_arm_m is at most 100 m each, got {self.lever_arm_m}")
        for name in ("attitude_uncertainty_deg", "heading_uncertainty_deg", "speed_m_s"):
            if not 0 <= getattr(self, name) <= 180:
                raise ValueError(f"{name} must be from 0 to 180, got {getattr(self, name)}")
        for name in ("h_uncertainty_m", "v_uncertainty_m"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.origin is not None:
            lat_deg, lon_deg, height_m = self.origin
            if not (abs(lat_deg) <= 90 and abs(lon_deg) <= 180 and math.isfinite(height_m)):
                raise ValueError(f"origin is latitude, longitude, height, got {self.origin}")


@dataclass(frozen=True, slots=True)
class Frame:
    """The local frame of one view: where the vehicle's reference is in it, and how it is turned."""

    name: str
    base_m: Float64
    """(3,): the reported position in this frame."""
    from_ned: Float64
    """(3, 3): offsets in true north, east, down to this frame's axes."""
    sigma_ned_m: tuple[float, float, float | None] | None
    """Standard uncertainty of the position north, east, down; the last None, or all, where nobody says."""
    has_height: bool


class Frames:
    """Gives each moment its frame; keeps the origin of a flight. Used by one thread.

    A structure's axes come first where one is configured and the autopilot has a position of its own, then satellites,
    then the autopilot's position as it is.
    """

    def __init__(self, options: PlaceOptions, structure: StructureOptions | None) -> None:
        self._options = options
        self._structure = structure if structure is not None and structure.name is not None else None
        self._origin = None if options.origin is None else _Origin.of(*options.origin)

    def go_on(self, name: str) -> None:
        """Keep the origin of an earlier run's frame of that name, where it was one of satellites and none is set."""
        if self._options.origin is None and name.startswith("enu@"):
            self._origin = _Origin.named(name)

    def of(self, nav: NavState) -> Frame | None:
        """The frame of that moment; None where nothing is known of the position."""
        if nav.local is not None and self._structure is not None:
            return _structure_frame(nav.local, self._structure, self._options)
        if nav.fix is not None:
            return self._enu(nav.fix)
        return None if nav.local is None else _local_frame(nav.local, self._options)

    def _enu(self, fix: Fix) -> Frame:
        if self._origin is None:
            self._origin = _Origin.at(fix)
        elif self._origin.datum is None:
            self._origin = self._origin.with_height(fix)
        origin = self._origin
        height_m, has_height = origin.height_of(fix)
        axes = earth.level_axes(origin.lat_deg, origin.lon_deg) @ _NED_TO_ENU.T
        here = earth.to_ecef(fix.lat_deg, fix.lon_deg, height_m)
        zero = earth.to_ecef(origin.lat_deg, origin.lon_deg, origin.height_m)
        return Frame(
            name=origin.name,
            base_m=axes.T @ (here - zero),
            from_ned=axes.T @ earth.level_axes(fix.lat_deg, fix.lon_deg),
            sigma_ned_m=_fix_sigma(fix, self._options),
            has_height=has_height,
        )


def on_earth(fix: Fix, offset_ned: Float64) -> tuple[float, float, float | None]:
    """WGS 84 of a place ``offset_ned`` metres from a fix; the height above the ellipsoid where the fix has one."""
    height_m = fix.alt_ellipsoid_m if fix.alt_ellipsoid_m is not None else fix.alt_amsl_m or 0.0
    there = earth.to_ecef(fix.lat_deg, fix.lon_deg, height_m) + earth.level_axes(fix.lat_deg, fix.lon_deg) @ offset_ned
    lat_deg, lon_deg, alt_m = earth.to_geodetic(there)
    return lat_deg, lon_deg, alt_m if fix.alt_ellipsoid_m is not None else None


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a flight's east, north and up are 0; rounded as its name says, so that the name alone leads back."""

    lat_deg: float
    lon_deg: float
    height_m: float
    datum: str | None
    """``ell``: above the ellipsoid; ``amsl``: above mean sea level; None: no height known yet (``height_m`` is 0)."""

    @classmethod
    def of(cls, lat_deg: float, lon_deg: float, height_m: float) -> _Origin:
        """The origin that is configured; its height counts above the ellipsoid."""
        return cls(round(lat_deg, 7), round(lon_deg, 7), round(height_m, 2), "ell")

    @classmethod
    def at(cls, fix: Fix) -> _Origin:
        return cls(round(fix.lat_deg, 7), round(fix.lon_deg, 7), 0.0, None).with_height(fix)

    @classmethod
    def named(cls, name: str) -> _Origin:
        """The origin of that ``name``. Raises ValueError for what is no name of one."""
        lat, lon, *height = name.removeprefix("enu@").split(",")
        datum = "" if not height else height[0].lstrip("+-0123456789.")
        if datum not in ("", "ell", "amsl"):
            raise ValueError(f"{name} names no origin")
        height_m = float(height[0].removesuffix(datum)) if height else 0.0
        return cls(float(lat), float(lon), height_m, datum or None)

    def with_height(self, fix: Fix) -> _Origin:
        if fix.alt_ellipsoid_m is not None:
            return _Origin(self.lat_deg, self.lon_deg, round(fix.alt_ellipsoid_m, 2), "ell")
        if fix.alt_amsl_m is not None:
            return _Origin(self.lat_deg, self.lon_deg, round(fix.alt_amsl_m, 2), "amsl")
        return self

    @property
    def name(self) -> str:
        height = "" if self.datum is None else f",{self.height_m:.2f}{self.datum}"
        return f"enu@{self.lat_deg:.7f},{self.lon_deg:.7f}{height}"

    def height_of(self, fix: Fix) -> tuple[float, bool]:
        """The fix's height in this origin's datum, and whether it is known (else the origin's own stands in)."""
        height_m = fix.alt_ellipsoid_m if self.datum == "ell" else fix.alt_amsl_m
        if height_m is None or self.datum is None:
            return self.height_m, False
        return height_m, True


def _local_frame(local: LocalPosition, options: PlaceOptions) -> Frame:
    position = np.array([local.north_m, local.east_m, local.down_m])
    from_ned = _NED_TO_ENU @ turn(2, -math.radians(local.turn_deg))
    return Frame("local", _NED_TO_ENU @ position, from_ned, _local_sigma(local, options), True)


def _structure_frame(local: LocalPosition, structure: StructureOptions, options: PlaceOptions) -> Frame:
    axes = structure.axes()
    position = np.array([local.north_m, local.east_m, local.down_m]) - structure.anchor_m
    from_ned = axes @ turn(2, -math.radians(local.turn_deg))
    return Frame(f"structure:{structure.name}", axes @ position, from_ned, _local_sigma(local, options), True)


def _local_sigma(local: LocalPosition, options: PlaceOptions) -> tuple[float, float, float | None] | None:
    if local.sigma_m is not None:
        return local.sigma_m
    if options.h_uncertainty_m is None:
        return None
    return options.h_uncertainty_m, options.h_uncertainty_m, options.v_uncertainty_m


def _fix_sigma(fix: Fix, options: PlaceOptions) -> tuple[float, float, float | None] | None:
    h_m = fix.h_accuracy_m if fix.h_accuracy_m is not None else options.h_uncertainty_m
    v_m = fix.v_accuracy_m if fix.v_accuracy_m is not None else options.v_uncertainty_m
    if h_m is None:
        return None
    moved_m = options.speed_m_s * fix.age_ms / 1000
    return math.hypot(h_m, moved_m), math.hypot(h_m, moved_m), None if v_m is None else math.hypot(v_m, moved_m)
