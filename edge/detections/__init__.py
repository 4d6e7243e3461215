"""Detections: one crack in one frame, with place, time and size, as it goes over the wire."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from edge.cracks import Crack
from edge.navigation import NavState


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


@dataclass(frozen=True, slots=True)
class Evidence:
    """The picture that proves a detection."""

    file: str
    """Relative to the evidence folder."""
    sha256: str


@dataclass(frozen=True, slots=True)
class Detection:
    """One crack in one frame."""

    id: str
    """Made on board, the same on every repeat."""
    vehicle: str
    flight_id: str
    seq: int
    """Rises by one per detection of a flight, without gaps, starting at 1."""
    seen_at: datetime
    """UTC at the middle of the exposure."""
    clock_synced: bool
    """False: ``seen_at`` comes from a clock nothing disciplines."""
    frame_seq: int
    frame_name: str | None
    """File stem of the frame in a replay; None in flight."""
    frame_width_px: int
    frame_height_px: int
    crack: Crack
    nav: NavState
    size: CrackSize | None
    model: str
    model_sha256: str | None
    evidence: Evidence | None
    historical: bool = False
    """True when delivered late (a backlog from before the connection came up)."""
