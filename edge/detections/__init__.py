"""Detections: one finding in one frame, with place, time and size, as it goes over the wire."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from edge.areas import DamagedArea
from edge.cracks import Crack
from edge.evidence import Evidence
from edge.navigation import NavState
from edge.surface import AreaSize, CrackSize, Place


@dataclass(frozen=True, slots=True)
class Detection:
    """One finding in one frame."""

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
    kind: str
    """Name of the class, as ``crack``."""
    damage: Crack | DamagedArea
    nav: NavState
    size: CrackSize | AreaSize | None
    """Of the same way as ``damage``; None where range, lens or resolution do not support it."""
    place: Place
    """Of the damage's middle."""
    model: str
    model_sha256: str | None
    evidence: Evidence | None
    crack_id: str | None = None
    """The same for every view of one damage; None while it is not recognised."""
    historical: bool = False
    """True when delivered late (a backlog from before the connection came up)."""
