"""What a report tells of one flight, wherever that comes from, with everything that is missing named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from edge.ground.report.review import Review

Json = Mapping[str, Any]


def value(interval: Json | None) -> float | None:
    """The value of an interval; None where nothing is known."""
    return None if interval is None else interval.get("value")


@dataclass(frozen=True, slots=True)
class View:
    """The picture that shows a crack best, and the crack in it."""

    frame_seq: int
    frame_name: str | None
    seen_at: str | None
    clock_set: bool | None
    """False: ``seen_at`` comes from a clock that nothing had set; None where the detection does not say."""
    size_px: tuple[int, int]
    """Width and height of the frame."""
    paths_px: Sequence[Sequence[Sequence[float]]]
    """Centrelines [x, y] of the crack in this frame; of area damage its outline, closed."""
    width_p95_mm: float | None
    """95th percentile of the width along it; None where it was not measured in millimetres."""
    at_most_px: float | None
    """Upper bound of its mean width where the picture does not resolve it; None where it does, or nothing is known."""
    gsd_mm_px: float | None
    pos_method: str | None
    """``surface``, ``camera`` or ``none``, as on the wire; None where no detection tells."""
    h_acc_m: float | None
    """1-sigma horizontal accuracy of the fix."""
    model_sha256: str | None
    file: str | None
    """Name of its evidence picture; None when none was kept."""
    sha256: str | None
    yaw_deg: float | None
    """Heading of the camera, clockwise from true north."""


@dataclass(frozen=True, slots=True)
class Past:
    """What an earlier flight measured at the same place."""

    flight_id: str
    seen_at: str
    width_mm: Json | None
    at_most_mm: float | None
    """Upper bound where the width was too small to be measured."""
    length_mm: Json | None
    apart_m: float
    """How far its course lay from this one's, the shift between the flights taken off."""
    among: int
    """1: nothing else lies so near. More: so many findings do, nobody can tell which is which, and no size is given."""


@dataclass(slots=True)
class Flight:
    """All that a report tells of one flight. Empty lists mean that nothing is known, and ``missing`` says why."""

    name: str
    flight_id: str | None
    vehicle: str | None
    summary: Json
    cracks: list[Json]
    """Features of ``spanhawk/crack/1``, last revision of each; of a flight without them, one per detection or name."""
    views: dict[str, View]
    """By crack_id."""
    coverage: list[Json]
    """Features of ``spanhawk/coverage/1``."""
    coverage_summary: Json
    """What stands beside the features of coverage.geojson; empty without one."""
    frames: list[Json]
    """Lines of frames.jsonl."""
    photos: dict[str, Path]
    """By name and by stem: the pictures that lie in the folder."""
    kept: Sequence[Path]
    """Pictures that are known by their SHA-256, which cracks name: those of the flight folder, or of the ground's."""
    looked_in: str
    """Where pictures were looked for, in words: ``the flight's folder``."""
    detections: int
    missing: list[str] = field(default_factory=list)
    """One sentence for each file that is absent, cut or not read whole."""
    reviews: Mapping[str, Review] = field(default_factory=dict)
    """By crack_id: what people said of it where the flight is kept."""
    place_sigma_m: float | None = None
    """Standard uncertainty of the findings' places, metres: the median; None where nobody states it."""
    history: Mapping[str, Sequence[Past]] = field(default_factory=dict)
    """By crack_id: what earlier flights found at that place, oldest first."""


class Source(Protocol):
    """Gives the flight that is reported."""

    @property
    def folder(self) -> Path | None:
        """Its own folder, which nothing is written to; None where it has none."""

    def flight(self) -> Flight:
        """Read it. Raises UsageError where there is no flight at all."""
