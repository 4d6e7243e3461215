"""The cracks of a flight, each once: where it runs, how wide it is, how often it was seen, and whether it is one.

Every frame's centrelines are registered (`registration`), named (`identity`) and judged (`judgement`); what changed
enough to be told comes out as revisions, a few for each crack and not one for each frame.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from edge.cracks import Crack
from edge.frames import RGB
from edge.surface import CrackSize
from edge.surface.anchor import Anchor
from edge.surface.best import Best, sharpness
from edge.surface.homography import Points, frame_corners, project
from edge.surface.identity import CrackMap, Sighting
from edge.surface.judgement import State, first
from edge.surface.lines import lengths
from edge.surface.place import View
from edge.surface.record import CrackState, Entry, Told, gone, state_of, weigh_length
from edge.surface.registration import VIEW_SHIFT, Registered, Registrar
from edge.surface.rims import is_rim
from edge.surface.straightening import Bend
from edge.surface.surfaces import Surfaces

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
KEPT_MARKS = 2000
"""So many marks that were never told of are kept; those that went out of sight first are forgotten."""
MOST_CHARTS = 2048
"""Of so many charts without a crack it is kept where they lie: over water or plain walls each frame begins one."""
UNKNOWN_POSE_M = 3.0
"""Standard uncertainty of a pose whose source states none: enough to let the pictures decide."""


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
    shows: Callable[[], bool] = lambda: True
    """Whether the frame is sharp and bright enough for a crack that is not found in it to count as missed
    (``visibility.shows_cracks``). Asked where one is not."""
    placed: Registered | None = None
    """Where ``Inventory.place`` laid the frame; None: ``add`` is to do it."""


@dataclass(frozen=True, slots=True, eq=False)
class Added:
    """What a frame changed."""

    numbers: tuple[int | None, ...]
    """The crack's number for each of the frame's cracks."""
    revisions: tuple[CrackState, ...]
    placed: Registered


class Inventory:
    """The cracks of one flight; used by one thread. `resume` writes and sets its public fields."""

    def __init__(self, sure_length_px: float = SURE_LENGTH_PX) -> None:
        self._sure_length_px = sure_length_px
        self.registrar = Registrar()
        self.map = CrackMap()
        self.entries: dict[int, Entry] = {}
        self.surfaces = Surfaces()
        self.anchors: dict[int, Anchor] = {}
        self.frame_name: str | None = None
        """The frame that places of this flight are in (``Place.frame``); None before the first place."""
        self.frames = 0
        self.bends: list[Bend] = []
        """How ``finish`` straightened the charts."""
        self._trim_at = KEPT_MARKS + KEPT_MARKS // 4
        self._surface: int | None = None
        """The surface that the frame shows which was placed last; None where it has no place."""
        self._in_sight: deque[set[int]] = deque(maxlen=LEFT_FRAMES + 1)
        """By frame, newest last: the cracks that it shows."""
        self._elsewhere: set[int] = set()
        """Cracks whose picture another flight kept."""
        self._named: set[int] = set()
        """Cracks that others were told of as what another one is a part of, and of which nothing was told yet."""

    def place(self, rgb: RGB, view: View) -> Registered:
        """Lay the next frame, uint8 (H, W, 3), beside the others, before its cracks are known.

        One ``add`` follows, with what this returns in ``Look.placed``.
        """
        corners = frame_corners(rgb.shape)
        points_m = view.on_surface(corners)
        if points_m is not None and view.frame is not None:
            self.frame_name = self.frame_name or view.frame.name
            if view.frame.name != self.frame_name:  # another frame's metres do not fit to these
                points_m = None
        sigma_m = _sigma_m(view)
        self._surface = surface = None if points_m is None else self.surfaces.of(points_m, sigma_m)
        predicted = None
        if points_m is not None and surface is not None:
            predicted = self.surfaces.prediction(surface, corners, points_m, sigma_m)
        placed = self.registrar.register(rgb, predicted, placed=predicted is not None)
        if placed.bent is not None:
            self._bend(placed.bent)
        if placed.rebased is not None:
            onto = placed.rebased
            self._resize(placed.chart, lambda points: project(onto, points))
            self.map.rebase(placed.chart, placed.rebased, placed.unit_per_px)
            self.anchors.pop(placed.chart, None)
            for number, entry in self.entries.items():
                if self.map.lines[number].chart == placed.chart:
                    entry.unit_per_px = placed.unit_per_px
        anchor = self.anchors.setdefault(placed.chart, Anchor())
        middle = _middle(rgb.shape)
        inner_m = None if surface is None else view.on_surface(middle)
        cut = None if inner_m is not None or view.plane is None else view.plane.cut(middle)
        if inner_m is not None and surface is not None:
            anchor.add(placed, middle, inner_m, sigma_m, surface, view.scale_uncertainty)
        elif cut is not None:
            anchor.scale(placed, middle, cut, view.scale_uncertainty)
        return placed

    def add(self, look: Look) -> Added:
        """Take in one frame; returns its cracks' numbers and the revisions that are due."""
        self.frames += 1
        placed = look.placed or self.place(look.rgb, look.view)
        height, width = look.rgb.shape[:2]
        matched = self.map.add(look.cracks, placed, (height, width), look.sizes)
        revisions = self._give_up(matched.given_up)
        clear = sharpness(look.rgb)
        for sighting in matched.sightings:
            self._see(sighting, look, placed, clear)
        if len(self.entries) > self._trim_at:
            self._trim()
        if placed.method == "first":
            revisions += self._conclude()
            self._leave_charts()
        revisions += self._due({one.number for one in matched.sightings} | {kept for _, kept in matched.given_up})
        return Added(matched.numbers, tuple(revisions), placed)

    def begin_pictures(self) -> None:
        """The pictures known so far lie in an earlier flight's folder: take new ones of what is seen again."""
        self._elsewhere = set(self.entries)

    def finish(self) -> tuple[CrackState, ...]:
        """At the end of the flight: a revision of every crack that is not as it was told of last."""
        self.bends = self.registrar.straighten([chart for chart, anchor in self.anchors.items() if not anchor.views])
        for bend in self.bends:
            self._bend(bend)
        self._look_for_rims(self.entries)
        joined = self._give_up(self.map.finish(self._of_state("withdrawn"), unsure=self._of_state("tentative")))
        self._look_for_rims(self.entries)
        changed = [number for number, entry in self.entries.items() if self._differs(number, entry)]
        return (*joined, *(self._tell(number) for number in changed))

    def all(self) -> tuple[CrackState, ...]:
        """Every crack that is followed, as it is now, under the revision that was told last.

        It is not what was told: only the states that ``add`` and ``finish`` return are for others.
        """
        return tuple(self._state(number, entry.revision) for number, entry in self.entries.items())

    def _see(self, sighting: Sighting, look: Look, placed: Registered, clear: float) -> None:
        entry = self.entries.get(sighting.number)
        crack = None if sighting.crack is None else look.cracks[sighting.crack]
        if entry is None:
            if crack is None:
                return
            best = Best(look.frame_seq, look.frame_name, None, 0.0, None)
            judgement = first(sighting.seen_px, crack.score, self._sure_length_px)
            entry = self.entries[sighting.number] = Entry(
                judgement, look.seen_at, look.seen_at, self.frames, best, crack.score, placed.unit_per_px
            )
        elif placed.moved >= VIEW_SHIFT and sighting.visible_px >= MIN_VISIBLE_PX:
            found = sighting.seen_px >= FOUND_SHARE * sighting.visible_px
            if found or look.shows():
                entry.judgement.look(found=found, length_px=sighting.visible_px, sure_length_px=self._sure_length_px)
        self._look_for_rims([sighting.number])
        entry.last_frame = self.frames
        if crack is None or sighting.crack is None:
            return
        entry.last_seen = look.seen_at
        entry.score = max(entry.score, crack.score)
        entry.unit_per_px = placed.unit_per_px
        if self._surface is not None:
            entry.surfaces[self._surface] = entry.surfaces.get(self._surface, 0) + 1
        size = look.sizes[sighting.crack]
        quality = sighting.seen_px * clear
        gsd = None if size is None else size.gsd_mm_per_px
        elsewhere = sighting.number in self._elsewhere
        pictured = not elsewhere and entry.best.evidence_sha256 is not None
        before = entry.best
        entry.best = before.or_better(look.frame_seq, look.frame_name, quality, gsd, look.picture, pictured=pictured)
        if entry.best is not before and entry.best.evidence_sha256 is not None:  # frames count anew after a restart
            self._elsewhere.discard(sighting.number)
        if size is not None:
            entry.across.add(crack, size, placed.unit_per_px)
            weigh_length(entry, crack, size, placed.to_chart)

    def _bend(self, bend: Bend) -> None:
        """Move the lines of a chart that was straightened, and what is known of its units with them."""
        self._resize(bend.chart, bend)
        self.map.bend(bend)

    def _resize(self, chart: int, move: Callable[[Points], Points]) -> None:
        """Bring what is known of a chart's units where its cracks run into its new coordinates."""
        for number, entry in self.entries.items():
            line = self.map.lines[number]
            if line.chart == chart and line.length > 0:
                factor = float(lengths(move(line.xy))[-1]) / line.length
                entry.scale.units *= factor
                entry.across.rescale(factor)

    def _trim(self) -> None:
        """Forget the marks that nobody was told of, but the newest: light and noise make some with every frame."""
        marks = [(entry.last_frame, number) for number, entry in self.entries.items()
                 if entry.told is None and entry.last_frame < self.frames]  # fmt: skip
        for _, number in sorted(marks)[: max(0, len(marks) - KEPT_MARKS)]:
            self.map.forget(number)
            del self.entries[number]
        self.map.forget_votes()
        self._trim_at = len(self.entries) + KEPT_MARKS // 4

    def _conclude(self) -> list[CrackState]:
        """Tell the last of the cracks on charts that no frame comes to any more, and forget them."""
        still_open = self.registrar.open_charts
        told = [number for number, entry in self.entries.items() if entry.told is not None or number in self._named]
        charts = {self.map.lines[number].chart for number in told} - still_open
        if not charts:
            return []
        last = self._give_up(self.map.finish(self._of_state("withdrawn"), charts, self._of_state("tentative")))
        self._look_for_rims(number for number in self.entries if self.map.lines[number].chart in charts)
        for number, line in list(self.map.lines.items()):
            entry = self.entries.get(number)
            untold = entry is not None and entry.told is None and number not in self._named
            if line.chart not in charts or untold:
                continue  # marks that nobody was told of stay until the end, or until they are too many
            if entry is not None:
                if self._differs(number, entry):
                    last.append(self._tell(number))
                del self.entries[number]
                self._elsewhere.discard(number)
            self.map.forget(number)
        self.map.forget_votes()
        return last

    def _leave_charts(self) -> None:
        """Forget charts that no frame comes to any more and that hold no crack; where the newest lie is kept.

        Coverage is drawn where its charts lie (``anchors``), also without a crack.
        """
        used = {line.chart for line in self.map.lines.values()} | self.registrar.open_charts
        plain = [chart for chart in self.anchors if chart not in used]
        known = [chart for chart in plain if not self.anchors[chart].unknown]
        for chart in {*plain} - {*known[-MOST_CHARTS:]}:
            del self.anchors[chart]
        self.map.leave_charts(used)

    def _look_for_rims(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            judgement = self.entries[number].judgement
            judgement.rim = is_rim(self.map.lines[number], was=judgement.rim)

    def _of_state(self, state: State) -> set[int]:
        return {number for number, entry in self.entries.items() if entry.judgement.state == state}

    def _give_up(self, pairs: Sequence[tuple[int, int]]) -> list[CrackState]:
        """The numbers that were given up because two lines proved to be one crack; what they knew goes over."""
        told = []
        for younger, older in pairs:
            entry, kept = self.entries.pop(younger, None), self.entries.get(older)
            if entry is None:
                continue
            if entry.told is not None or younger in self._named:
                told.append(gone(younger, older, entry))
                self._named.discard(younger)
                if kept is None or kept.told is None:
                    self._named.add(older)
            best = self._best_of({younger: entry} if kept is None else {older: kept, younger: entry}, older)
            if kept is None:  # a part of a line that was cut, and that no view showed since
                entry.told, entry.revision = None, 0
                self.entries[older] = entry
                continue
            apart = kept.last_seen < entry.first_seen or entry.last_seen < kept.first_seen
            kept.judgement.take(entry.judgement, apart=apart)
            kept.first_seen = min(kept.first_seen, entry.first_seen)
            kept.last_seen = max(kept.last_seen, entry.last_seen)
            kept.last_frame = max(kept.last_frame, entry.last_frame)
            kept.score = max(kept.score, entry.score)
            kept.best = best
            for surface, views in entry.surfaces.items():
                kept.surfaces[surface] = kept.surfaces.get(surface, 0) + views
            kept.scale.take(entry.scale)
            kept.across.take(entry.across)
        return told

    def _best_of(self, entries: dict[int, Entry], kept: int) -> Best:
        """The best view of ``entries``, by number, that are ``kept`` from here on; this flight's pictures go first."""

        def worth(number: int) -> tuple[bool, bool, float]:
            best = entries[number].best
            return best.evidence_sha256 is not None, number not in self._elsewhere, best.quality

        number = max(entries, key=worth)
        elsewhere = number in self._elsewhere
        self._elsewhere.difference_update(entries)
        if elsewhere:
            self._elsewhere.add(kept)
        return entries[number].best

    def _due(self, in_sight: set[int]) -> list[CrackState]:
        """What changes is in sight or was joined with this frame, or went out of sight LEFT_FRAMES ago; and what others
        were told is what another crack is a part of."""
        due = []
        self._in_sight.append(in_sight)
        left = self._in_sight[0] if len(self._in_sight) > LEFT_FRAMES else set()
        for number in sorted(in_sight | left | self._named):
            entry = self.entries.get(number)
            if number in self._named:
                due.append(number)
                continue
            if entry is None or (entry.judgement.state == "tentative" and entry.told is None):
                continue
            here = self.frames - entry.last_frame
            state = entry.judgement.state
            if (
                ((entry.told is not None or state == "confirmed") and (entry.told is None or entry.told.state != state))
                or (here == 0 and self._changed(number, entry, GROWTH))
                or (here == LEFT_FRAMES and self._changed(number, entry, 0.02))
            ):
                due.append(number)
        return [self._tell(number) for number in due]

    def _changed(self, number: int, entry: Entry, growth: float) -> bool:
        if entry.told is None:
            return entry.judgement.state != "withdrawn"
        told, length = entry.told, self.map.lines[number].length
        return (
            told.state != entry.judgement.state
            or abs(length - told.length) > growth * told.length
            or (growth < GROWTH and told.views != entry.judgement.views)
        )

    def _differs(self, number: int, entry: Entry) -> bool:
        """Whether anything is not as it was told last."""
        if entry.told is None:
            return entry.judgement.state != "withdrawn" or number in self._named
        return not entry.told.holds(Told.of(self._state(number, entry.revision), self.map.lines[number].length))

    def _tell(self, number: int) -> CrackState:
        entry = self.entries[number]
        self._named.discard(number)
        entry.revision += 1
        state = self._state(number, entry.revision)
        entry.told = Told.of(state, self.map.lines[number].length)
        return state

    def _state(self, number: int, revision: int) -> CrackState:
        line = self.map.lines[number]
        return state_of(number, revision, self.entries[number], line, self.anchors[line.chart], self.frame_name)


def _middle(shape: tuple[int, ...]) -> Points:
    """(4, 2): the corners of the inner quarter of a picture, which hardly any lens distorts."""
    corners = frame_corners(shape)
    middle: Points = corners.mean(axis=0) + (corners - corners.mean(axis=0)) / 4
    return middle


def _sigma_m(view: View) -> float:
    """How far a pose may be off along the surface, whichever way that runs, metres: in height often farthest."""
    sigma = None if view.frame is None else view.frame.sigma_ned_m
    return UNKNOWN_POSE_M if sigma is None else max(0.02, math.hypot(sigma[0], sigma[1]), sigma[2] or 0.0)
