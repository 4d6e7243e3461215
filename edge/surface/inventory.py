"""The cracks of a flight, each once: where it runs, how wide it is, how often it was seen, and whether it is one.

Every frame's centrelines are registered (`registration`), named (`identity`) and judged (`judgement`); what changed
enough to be told comes out as revisions, a few for each crack and not one for each frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import cv2
import numpy as np
import numpy.typing as npt

from edge.cracks import Crack
from edge.frames import RGB
from edge.surface import CrackSize
from edge.surface.anchor import Anchor, Axes, prediction
from edge.surface.identity import CrackMap, Sighting
from edge.surface.judgement import Judgement, State, first
from edge.surface.lines import Line, lengths
from edge.surface.place import View
from edge.surface.registration import VIEW_SHIFT, Registered, Registrar

Points = npt.NDArray[np.float64]

SURE_LENGTH_PX = 340.0
"""From this length on a line's first view says all that a length can say. It is not ``[report] sure_length_px``, which
decides on a frame alone and is stricter."""
MIN_VISIBLE_PX = 40.0
"""A view that shows less of a line than this says nothing of it."""
FOUND_SHARE = 0.3
"""A view found a line where it covers this share of what it shows of it."""
LEFT_FRAMES = 20
"""A line that was out of sight for so many frames is told of, if it changed since it was told last."""
GROWTH = 0.2
"""A crack that became longer by this share while in sight is told of again."""
BETTER = 1.25
"""A view with a picture gives way to one that is better by this factor: it bounds how many pictures a crack takes."""
CORRELATED = 0.5
"""Views of one crack share the lens, the light and the network: together they are never better than this much of the
best one's standard uncertainty."""
UNKNOWN_POSE_M = 3.0
"""Standard uncertainty of a pose whose source states none: enough to let the pictures decide."""


@dataclass(frozen=True, slots=True)
class Best:
    """The view that shows a crack best."""

    frame_seq: int
    frame_name: str | None
    evidence_sha256: str | None
    quality: float
    """Visible length in pixels times sharpness; only its order means something."""
    gsd_mm_per_px: float | None


@dataclass(slots=True)
class _Widths:
    """Inverse-variance mean over views."""

    weight: float = 0.0
    total: float = 0.0
    best_sigma: float = math.inf
    at_most: float | None = None

    def add(self, value: float, sigma: float) -> None:
        weight = 1 / max(sigma, 1e-6) ** 2
        self.weight, self.total = self.weight + weight, self.total + weight * value
        self.best_sigma = min(self.best_sigma, sigma)

    def bound(self, value: float) -> None:
        self.at_most = value if self.at_most is None else min(self.at_most, value)

    @property
    def mean(self) -> tuple[float, float] | None:
        """Value and standard uncertainty; None where no view measured one."""
        if not self.weight:
            return None
        return self.total / self.weight, max(1 / math.sqrt(self.weight), CORRELATED * self.best_sigma)


@dataclass(frozen=True, slots=True, eq=False)
class CrackState:
    """One crack as it is known now: what ``spanhawk/crack/1`` tells."""

    number: int
    """Its name within the flight, from 1; never used again."""
    revision: int
    """From 1; rises by one each time it is told."""
    state: State
    into: int | None
    """The crack that it proved to be a part of, when it was withdrawn for that; else None."""
    views: int
    missed: int
    first_seen: datetime
    last_seen: datetime
    path_m: Points | None
    """float64 (N, 3): on the surface, in the frame's metres; None where no view had a place."""
    frame: str | None
    """The name of that frame (``Place.frame``)."""
    path_chart: Points
    """float64 (N, 2): on its chart."""
    chart: int
    length_mm: float | None
    length_sigma_mm: float | None
    length_px: float
    """In pixels of the chart's views."""
    width_mm: tuple[float, float] | None
    """Mean width and standard uncertainty; None where no view could measure it in millimetres."""
    width_at_most_mm: float | None
    width_px: tuple[float, float] | None
    score: float
    best: Best


@dataclass(slots=True, eq=False)
class _Entry:
    judgement: Judgement
    first_seen: datetime
    last_seen: datetime
    last_frame: int
    best: Best
    score: float
    unit_per_px: float
    mm: _Widths = field(default_factory=_Widths)
    px: _Widths = field(default_factory=_Widths)
    revision: int = 0
    told: tuple[State, float, int] | None = None
    """State, length and views when it was told last."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What one frame brings to the inventory."""

    frame_seq: int
    frame_name: str | None
    seen_at: datetime
    rgb: RGB
    cracks: Sequence[Crack]
    """Everything that was traced, also what a single frame would not report."""
    sizes: Sequence[CrackSize | None]
    """One for each of ``cracks``."""
    view: View
    picture: Callable[[], str | None] = lambda: None
    """Keeps the frame as a picture, once, and gives its SHA-256; None where none is kept. Asked for best views."""
    sharp: bool = True
    """False: too blurred for a crack that is not seen to count as missed."""


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What a frame changed."""

    numbers: tuple[int | None, ...]
    """The crack's number for each of the frame's cracks."""
    revisions: tuple[CrackState, ...]
    placed: Registered


class Inventory:
    """The cracks of one flight; used by one thread."""

    def __init__(self, sure_length_px: float = SURE_LENGTH_PX) -> None:
        self._sure_length_px = sure_length_px
        self._registrar = Registrar()
        self._map = CrackMap()
        self._entries: dict[int, _Entry] = {}
        self._gone: list[CrackState] = []
        self._axes: Axes | None = None
        self._anchors: dict[int, Anchor] = {}
        self._frame_name: str | None = None
        self._frames = 0

    def add(self, look: Look) -> Told:
        """Take in one frame; returns its cracks' numbers and the revisions that are due."""
        self._frames += 1
        height, width = look.rgb.shape[:2]
        corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float64)
        points_m = look.view.on_surface(corners)
        if points_m is not None and look.view.frame is not None:
            self._frame_name = self._frame_name or look.view.frame.name
            if look.view.frame.name != self._frame_name:  # another frame's metres do not fit to these
                points_m = None
        if points_m is not None and self._axes is None:
            self._axes = Axes(points_m)
        predicted = None
        if points_m is not None and self._axes is not None:
            predicted = prediction(self._axes, corners, points_m, _sigma_m(look.view))
        placed = self._registrar.register(look.rgb, predicted)
        if placed.rebased is not None:
            self._map.rebase(placed.chart, placed.rebased, placed.unit_per_px)
            self._anchors.pop(placed.chart, None)
            for number, entry in self._entries.items():
                if self._map.lines[number].chart == placed.chart:
                    entry.unit_per_px = placed.unit_per_px
        anchor = self._anchors.setdefault(placed.chart, Anchor())
        if points_m is not None:
            anchor.add(placed, corners, points_m)
        if look.view.plane is not None:
            plane = look.view.plane
            anchor.scale(placed, 1000 * plane.range_m / plane.lens.fx_px)
        matched = self._map.add(look.cracks, placed, (height, width))
        revisions = self._give_up(matched.given_up)
        sharpness = _sharpness(look.rgb)
        for sighting in matched.sightings:
            self._see(sighting, look, placed, sharpness)
        revisions += self._due()
        return Told(matched.numbers, tuple(revisions), placed)

    def finish(self) -> tuple[CrackState, ...]:
        """At the end of the flight: a revision of every crack that was not told of as it is now."""
        joined = self._give_up(self._map.finish())
        changed = [number for number, entry in self._entries.items() if self._changed(number, entry, 0.0)]
        return (*joined, *(self._tell(number) for number in changed))

    def all(self) -> tuple[CrackState, ...]:
        """Every crack as it is now, those that were withdrawn last; numbers no new revision."""
        return (*(self._state(number, entry.revision) for number, entry in self._entries.items()), *self._gone)

    def _see(self, sighting: Sighting, look: Look, placed: Registered, sharpness: float) -> None:
        entry = self._entries.get(sighting.number)
        crack = None if sighting.crack is None else look.cracks[sighting.crack]
        if entry is None:
            if crack is None:
                return
            best = Best(look.frame_seq, look.frame_name, None, 0.0, None)
            judgement = first(crack.length_px, crack.score, self._sure_length_px)
            entry = self._entries[sighting.number] = _Entry(
                judgement, look.seen_at, look.seen_at, self._frames, best, crack.score, placed.unit_per_px
            )
        elif placed.moved >= VIEW_SHIFT and sighting.visible_px >= MIN_VISIBLE_PX:
            found = sighting.seen_px >= FOUND_SHARE * sighting.visible_px
            if found or look.sharp:
                entry.judgement.look(found=found, length_px=sighting.visible_px, sure_length_px=self._sure_length_px)
        entry.last_frame = self._frames
        if crack is None or sighting.crack is None:
            return
        entry.last_seen = look.seen_at
        entry.score = max(entry.score, crack.score)
        entry.unit_per_px = placed.unit_per_px
        size = look.sizes[sighting.crack]
        quality = sighting.seen_px * sharpness
        gsd = None if size is None else size.gsd_mm_per_px
        entry.best = _better(entry.best, look, quality, gsd)
        _measure(entry, crack, size)

    def _give_up(self, pairs: Sequence[tuple[int, int]]) -> list[CrackState]:
        """The numbers that were given up because two lines proved to be one crack; what they knew goes over."""
        told = []
        for younger, older in pairs:
            entry, kept = self._entries.pop(younger, None), self._entries.get(older)
            if entry is None:
                continue
            if kept is None:
                self._entries[older] = entry
                continue
            kept.judgement.ratio = max(kept.judgement.ratio, entry.judgement.ratio)
            kept.first_seen = min(kept.first_seen, entry.first_seen)
            kept.best = max(kept.best, entry.best, key=lambda best: (best.evidence_sha256 is not None, best.quality))
            for mine, other in ((kept.mm, entry.mm), (kept.px, entry.px)):
                mine.weight, mine.total = mine.weight + other.weight, mine.total + other.total
                mine.best_sigma = min(mine.best_sigma, other.best_sigma)
            if entry.told is not None:
                gone = _gone(younger, older, entry)
                self._gone.append(gone)
                told.append(gone)
        return told

    def _due(self) -> list[CrackState]:
        due = []
        for number, entry in self._entries.items():
            if entry.judgement.state == "tentative" and entry.told is None:
                continue
            here = self._frames - entry.last_frame
            state = entry.judgement.state
            if (
                ((entry.told is not None or state == "confirmed") and (entry.told is None or entry.told[0] != state))
                or (here == 0 and self._changed(number, entry, GROWTH))
                or (here == LEFT_FRAMES and self._changed(number, entry, 0.02))
            ):
                due.append(number)
        return [self._tell(number) for number in due]

    def _changed(self, number: int, entry: _Entry, growth: float) -> bool:
        if entry.told is None:
            return entry.judgement.state != "withdrawn"
        state, length, views = entry.told
        now = self._map.lines[number].length
        return (
            state != entry.judgement.state
            or abs(now - length) > growth * length
            or (growth < GROWTH and views != entry.judgement.views)
        )

    def _tell(self, number: int) -> CrackState:
        entry = self._entries[number]
        entry.revision += 1
        entry.told = entry.judgement.state, self._map.lines[number].length, entry.judgement.views
        return self._state(number, entry.revision)

    def _state(self, number: int, revision: int) -> CrackState:
        entry, line = self._entries[number], self._map.lines[number]
        anchor = self._anchors[line.chart]
        path_m = anchor.to_structure(line.xy)
        length_mm = None
        if path_m is not None:
            length_mm = 1000 * float(lengths(path_m)[-1])
        elif anchor.mm_per_unit is not None:
            length_mm = line.length * anchor.mm_per_unit
        mm, bound = entry.mm.mean, entry.mm.at_most
        return CrackState(
            number=number,
            revision=revision,
            state=entry.judgement.state,
            into=None,
            views=entry.judgement.views,
            missed=entry.judgement.missed,
            first_seen=entry.first_seen,
            last_seen=entry.last_seen,
            path_m=path_m,
            frame=None if path_m is None else self._frame_name,
            path_chart=line.xy,
            chart=line.chart,
            length_mm=length_mm,
            length_sigma_mm=None if length_mm is None else _length_sigma_mm(line, length_mm),
            length_px=line.length / entry.unit_per_px,
            width_mm=mm,
            width_at_most_mm=bound if mm is None else None,
            width_px=entry.px.mean,
            score=entry.score,
            best=entry.best,
        )


def _better(best: Best, look: Look, quality: float, gsd_mm_per_px: float | None) -> Best:
    """The better view of the two. One with a picture beats every one without: it is what a person can look at."""
    pictured = best.evidence_sha256 is not None
    if pictured and quality <= BETTER * best.quality:
        return best
    sha256 = look.picture()
    if sha256 is None and (pictured or quality <= best.quality):
        return best
    return Best(look.frame_seq, look.frame_name, sha256, quality, gsd_mm_per_px)


def _measure(entry: _Entry, crack: Crack, size: CrackSize | None) -> None:
    sigma_px = crack.width_sigma_px if crack.width_sigma_px is not None else 1.0
    if crack.width_at_most_px is None:
        entry.px.add(float(crack.width_px.mean()), sigma_px)
    if size is None:
        return
    if size.width_mm is not None and size.width_sigma_mm is not None:
        entry.mm.add(size.width_mm, size.width_sigma_mm)
    elif size.width_at_most_mm is not None:
        entry.mm.bound(size.width_at_most_mm)


def _length_sigma_mm(line: Line, length_mm: float) -> float:
    """Two percent for scale and drift of the chart, and one point at either end."""
    return math.hypot(0.02 * length_mm, math.sqrt(2) * length_mm * line.step / max(line.length, line.step))


def _gone(number: int, into: int, entry: _Entry) -> CrackState:
    return CrackState(
        number=number, revision=entry.revision + 1, state="withdrawn", into=into, views=entry.judgement.views,
        missed=entry.judgement.missed, first_seen=entry.first_seen, last_seen=entry.last_seen, path_m=None, frame=None,
        path_chart=np.zeros((0, 2)), chart=0, length_mm=None, length_sigma_mm=None, length_px=0.0, width_mm=None,
        width_at_most_mm=None, width_px=None, score=entry.score, best=entry.best,
    )  # fmt: skip


def _sigma_m(view: View) -> float:
    sigma = None if view.frame is None else view.frame.sigma_ned_m
    return UNKNOWN_POSE_M if sigma is None else max(0.02, math.hypot(sigma[0], sigma[1]))


def _sharpness(rgb: RGB) -> float:
    """Mean absolute Laplacian of every fourth pixel's neighbourhood, grey levels; only its order means something."""
    rows = max(1, rgb.shape[0] // 240)
    part = np.ascontiguousarray(rgb[::rows, :, 1])
    return float(np.abs(cv2.Laplacian(part, cv2.CV_16S)).mean()) + 1e-3
