"""From pixels to the structure: rays, millimetres and places on the surface that the camera looks at."""

from __future__ import annotations

from dataclasses import dataclass


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
