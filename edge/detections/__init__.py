"""Detections: one crack in one frame, with place, time and size, as it goes over the wire."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from edge.cracks import Crack
from edge.evidence import Evidence
from edge.navigation import NavState
from edge.surface import CrackSize, Place


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
    place: Place
    """Of the damage's middle."""
    model: str
    model_sha256: str | None
    evidence: Evidence | None
    historical: bool = False
    """True when delivered late (a backlog from before the connection came up)."""
