"""From pixels to the structure: rays, millimetres and places on the surface that the camera looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class CrackSize:
    """Millimetres, only where range, lens and resolution support them."""

    gsd_mm_per_px: float
    """Ground sample distance: millimetres on the surface per pixel across the optical axis."""
    length_mm: float
    width_mm: float | None
    """Mean width; None when it is narrower than the picture can resolve: then ``width_at_most_mm`` says the bound."""
    width_sigma_mm: float | None
    """Standard uncertainty of ``width_mm`` (range, lens, tilt, pixel terms added in quadrature)."""
    width_at_most_mm: float | None
    """Upper bound where the crack is below the resolvable width; None where ``width_mm`` is given."""
    incidence_deg: float | None
    """Angle between optical axis and surface normal; None when the surface's orientation is unknown."""
    across_mm_per_px: float
    """Millimetres on the surface per pixel across the crack, its mean along it."""
    across_relative: float
    """Relative standard uncertainty of ``across_mm_per_px`` (range, lens, tilt)."""
    length_relative: float
    """The same of ``length_mm``."""


@dataclass(frozen=True, slots=True)
class AreaSize:
    """Square centimetres and millimetres, only where range and lens support them."""

    gsd_mm_per_px: float
    """Ground sample distance: millimetres on the surface per pixel across the optical axis."""
    area_cm2: float
    area_sigma_cm2: float
    """Standard uncertainty of ``area_cm2``: scale and edge."""
    extent_mm: float
    """Largest distance between two points of the outline on the surface."""
    extent_sigma_mm: float
    """Standard uncertainty of ``extent_mm``: scale and edge."""
    incidence_deg: float | None
    """Angle between optical axis and surface normal; None when the surface's orientation is unknown."""


@dataclass(frozen=True, slots=True)
class Ellipse:
    """The 1-sigma ellipse of a place in the horizontal plane of its frame; it holds 39 % of the errors."""

    major_m: float
    """Half the longer axis, metres."""
    minor_m: float
    """Half the shorter axis, metres."""
    azimuth_deg: float
    """Direction of the longer axis, degrees clockwise from the frame's second axis (north), 0 to 180."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a damage is. ``geometry`` of the wire is ``lon_deg, lat_deg`` and, where known, ``alt_ellipsoid_m``.

    ``frame`` names the axes of ``east_m``, ``north_m``, ``up_m``:

    * ``enu@LAT,LON,HEIGHT`` with ``ell`` or ``amsl`` behind the height: metres east, north and up from that point
      (the flight's first fix, or the configured origin);
    * ``structure:NAME``: metres along the structure's axis (station), to the left of it (offset), and up;
    * ``local``: east, north, up from where the autopilot's own estimate began.
    """

    method: Literal["surface", "camera", "none"]
    """``surface``: the damage's own middle; ``camera``: only the lens's place is known; ``none``: nothing is."""
    east_m: float | None = None
    north_m: float | None = None
    up_m: float | None = None
    """None also where the source measures no height."""
    sigma_m: tuple[float, float, float | None] | None = None
    """Standard uncertainties of the three; the last None where ``up_m`` is; None when the source states none."""
    frame: str | None = None
    """None exactly where ``method`` is ``none``."""
    lat_deg: float | None = None
    """WGS 84; None without a satellite fix."""
    lon_deg: float | None = None
    """WGS 84; None without a satellite fix."""
    alt_ellipsoid_m: float | None = None
    """Height above the WGS 84 ellipsoid (RFC 7946's third number); None when the source does not say."""
    reason: str | None = None
    """Why the place is not on the surface, as one sentence; None where it is."""
    ellipse: Ellipse | None = None
    """Horizontal; None where ``sigma_m`` is."""
