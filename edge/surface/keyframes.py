"""The keyframes of a flight, and where an earlier pass saw a place again."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from edge.surface.blocks import by_blocks
from edge.surface.homography import Matrix, frame_corners, inverse, middle_of, overlap, project, scale_at, shift
from edge.surface.matching import by_template
from edge.surface.pictures import Picture
from edge.surface.straightening import Bend, Links, bend_of

Unit = Literal["px", "m"]
"""Of a chart: pixels of its first frame, or metres along and up the surface."""

KEPT_KEYFRAMES = 400
"""Keyframes of earlier passes that are kept for recognition, about 25 MB; the oldest go first."""
KEPT_DETAILS = 16
"""So many older keyframes that were asked last keep their detail: the next new one asks most of them again."""
RECENT = 4
"""So many of the newest keyframes are neighbours in the chain, which know nothing that the chain does not."""
PIXEL_DRIFT = 0.8
"""Standard uncertainty that one more link of the chain of keyframes adds, in pixels of the small picture."""
LINKED = 2
"""So many keyframes of earlier passes, at most, are linked with a new one where no pose is known."""
TEMPLATE_WEIGHT = 0.05
"""A template knows neither turn nor scale."""
STRAIGHTEN_PX = 2.0
"""A chart is straightened where a link is off by so much, pixels of the small picture,"""
STRAIGHTEN_AT = 1.25
"""and where it has so many times the keyframes that it had then: the cost stays a small part of each frame's."""
STRAIGHTENED = 200
"""So many of the newest keyframes are moved while flying; at the end all are."""
TIED_HOPS = 4
"""Two keyframes that show the same wall are tied where so many links, at most, lead from one to the other. Of lanes
that are tied at one end alone the rest hangs on a long chain: its loose end was 137 mm off in one of six flights and
180 mm in another, while each link was right within 0.5 px."""
TIE_OVERLAP = 0.12
TIE_STEP_PX = 14.0
TIE_TURN_DEG = 2.0
TIE_SIZE = 1.04
"""At the end of the flight such keyframes are looked for in each other where the chart has them and one step aside,
small pixels, turned and resized: a loose end of two metres needed that. Blocks reach 8 pixels farther. In flight it was
tried and left: a tie that is found late moves lines that have names, and their cracks got second ones."""
MOST_TIES = 8
"""So many, at most, are asked in a round; one that is not found takes about 100 ms."""
MOST_ROUNDS = 8
"""So many rounds: what one tie moves may bring the next within reach."""
SURE_REACH_PX = 10.0
"""A place that is recognised farther off than this, small pixels, needs blocks of grain to agree."""


@dataclass(slots=True, eq=False)
class Key:
    """A frame that others are laid beside."""

    look: Picture
    to_chart: Matrix
    """From pixels of the small picture."""
    chart: int
    number: int
    sigma_px: float
    predicted: Matrix | None = None
    """Where the pose had it, metres; None without one."""
    beside: tuple[int, Matrix] | None = None
    """The keyframe that it was laid beside, and where in it; None where it was laid beside none."""
    unit: Unit = "px"
    """Of ``chart``."""
    surface: int = 0
    """The one whose coordinates ``chart`` has; 0 also of charts in pixels."""

    @property
    def middle(self) -> tuple[float, float]:
        """Its middle on the chart."""
        return middle_of(self.to_chart, self.look.shape)


class Keyframes:
    """The newest keyframes; used by one thread. Memory is bounded by KEPT_KEYFRAMES."""

    def __init__(self) -> None:
        self.all: deque[Key] = deque(maxlen=KEPT_KEYFRAMES)
        """Oldest first."""
        self._links = Links()
        self._straightened: dict[int, int] = {}
        self._asked: deque[Key] = deque()
        """Older keyframes with their detail, the one asked last at the end."""

    def keep(self, key: Key) -> None:
        """Take in the newest one."""
        self.all.append(key)
        if key.beside is not None:
            self._links.add(key.beside[0], key.number, key.beside[1], key.look.shape)
        if len(self._links) > 4 * KEPT_KEYFRAMES:
            self._links.keep({one.number for one in self.all})
        if len(self.all) > RECENT:  # older ones are asked seldom
            old = self.all[-RECENT - 1]
            old.look = old.look.packed()

    def recognise(
        self, look: Picture, to_chart: Matrix, chart: int, sigma_px: float, number: int, most: int = 1
    ) -> tuple[Matrix, float] | None:
        """Where an earlier pass saw this place: its chart place and uncertainty; None where none is recognised.

        Only keyframes that may overlap within three standard uncertainties are asked, three of them for a place and
        one more for each further link; keyframe ``number`` is linked with the first ``most`` that are recognised.
        """
        reach = 3 * sigma_px + 4
        anywhere = reach >= 0.5 * look.shape[1]
        earlier = [key for key in list(self.all)[:-RECENT] if key.chart == chart]
        if not earlier:
            return None
        placed_at = np.array([key.to_chart for key in earlier]) @ np.array([look.shape[1] / 2, look.shape[0] / 2, 1.0])
        apart = np.hypot(*(placed_at[:, :2] / placed_at[:, 2:] - middle_of(to_chart, look.shape)).T)
        # Frames of the chain differ in scale by little: two so far apart share nothing.
        farthest = 2 * scale_at(to_chart, look.shape) * math.hypot(*look.shape)
        asked = linked = 0
        placed: tuple[Matrix, float] | None = None
        for place in np.argsort(apart, kind="stable").tolist():
            if asked == 2 + most or linked == most or (apart[place] > farthest and not anywhere):
                break
            key = earlier[place]
            guess = inverse(key.to_chart) @ (to_chart if placed is None else placed[0])
            if not (anywhere and placed is None) and overlap(guess, look.shape) < 0.1:
                continue
            asked += 1
            self._unpack(key)
            found = _beside(key, look, guess, reach)
            if found is None:
                continue
            to_key, weight = found
            self._links.add(key.number, number, to_key, look.shape, weight)
            linked += 1
            placed = placed or (key.to_chart @ to_key, math.hypot(key.sigma_px, PIXEL_DRIFT))
        return placed

    def _unpack(self, key: Key) -> None:
        """Make the detail of an older keyframe that is asked, and drop that of the one that was not for longest."""
        if key in self._asked:
            self._asked.remove(key)
        else:
            key.look = Picture.of(key.look.grey)
        self._asked.append(key)
        if len(self._asked) > KEPT_DETAILS:
            oldest = self._asked.popleft()
            oldest.look = oldest.look.packed()

    def straighten(self, chart: int, others: Iterable[Key] = (), *, all_of_it: bool = False) -> Bend | None:
        """Move the keyframes of a chart, and ``others`` with them, to where all links between them fit best.

        None: nothing moved, because all fits or because it was done a short while ago. ``all_of_it``: the flight is
        over, so that it is done in any case and with every keyframe.
        """
        keys = [key for key in self.all if key.chart == chart]
        if not all_of_it:
            if len(keys) < max(8.0, STRAIGHTEN_AT * self._straightened.get(chart, 0)):
                return None
            self._straightened = {chart: min(len(keys), int(STRAIGHTENED / STRAIGHTEN_AT))}
            keys = keys[-STRAIGHTENED:]
        if not keys:
            return None
        before, shape = {key.number: key.to_chart for key in keys}, keys[0].look.shape
        for _ in range(MOST_ROUNDS if all_of_it else 0):
            if not self._tie(keys):
                break
            settled = self._links.settle({key.number: key.to_chart for key in keys}, shape) or {}
            for key in keys:
                key.to_chart = settled.get(key.number, key.to_chart)
        if not all_of_it and self._links.misfit(before, shape) < STRAIGHTEN_PX:
            return None
        after = self._links.settle(before, shape)
        if after is None:
            return None
        bend = bend_of(chart, before, after, shape)
        for key in keys:
            key.to_chart = after[key.number]
        for key in others:
            if key.chart == chart and key.number not in before:
                key.to_chart = bend.matrix(key.to_chart, shape)
        return bend

    def _tie(self, keys: list[Key]) -> bool:
        """Look for links between keyframes of one chart that share a part of the wall, and that no short way connects.

        Those that share most are asked first; each link that is found makes the ways around it short. Says whether any
        was found.
        """
        shape = keys[0].look.shape
        middles = np.array([key.middle for key in keys])
        reach = scale_at(keys[-1].to_chart, shape) * math.hypot(*shape)
        near = np.hypot(*np.moveaxis(middles[:, None] - middles, 2, 0)) < reach
        sharing = []
        for one, other in np.argwhere(np.triu(near, RECENT)).tolist():
            to_one = inverse(keys[one].to_chart) @ keys[other].to_chart
            shared = overlap(to_one, shape)
            if shared >= TIE_OVERLAP:
                sharing.append((shared, one, other, to_one))
        asked = tied = 0
        for _, one, other, guess in sorted(sharing, key=lambda pair: -pair[0]):
            if asked == MOST_TIES:
                break
            if self._links.hops(keys[one].number, keys[other].number, TIED_HOPS) is not None:
                continue
            asked += 1
            # With their detail, which each try would make again.
            found = _around(Picture.of(keys[one].look.grey), Picture.of(keys[other].look.grey), guess)
            if found is not None:
                self._links.add(keys[one].number, keys[other].number, found, shape)
                tied += 1
        return tied > 0


def _around(reference: Picture, look: Picture, guess: Matrix) -> Matrix | None:
    """Where a picture lies in another one, one step and the reach of blocks from ``guess``; None: not known.

    It is turned and resized around the middle of what both show.
    """
    x, y = _middle_of_shared(guess, look.shape)
    steps = sorted(product((0, -1, 1), repeat=4), key=lambda step: sum(map(abs, step)))
    for right, down, turn, size in steps:
        scale, angle = TIE_SIZE**size, math.radians(TIE_TURN_DEG * turn)
        a, b = scale * math.cos(angle), scale * math.sin(angle)
        shift_x, shift_y = right * TIE_STEP_PX + x - a * x + b * y, down * TIE_STEP_PX + y - b * x - a * y
        found = by_blocks(reference, look, np.array([[a, -b, shift_x], [b, a, shift_y], [0.0, 0.0, 1.0]]) @ guess)
        if found is not None:
            return found
    return None


def _middle_of_shared(to_key: Matrix, shape: tuple[int, ...]) -> tuple[float, float]:
    """The middle of what a frame shows of its keyframe, in the keyframe's pixels."""
    corners = project(to_key, frame_corners(shape))
    low, high = np.maximum(corners.min(axis=0), 0), np.minimum(corners.max(axis=0), [shape[1] - 1, shape[0] - 1])
    x, y = ((low + high) / 2).tolist()
    return x, y


def _beside(key: Key, look: Picture, guess: Matrix, reach_px: float) -> tuple[Matrix, float] | None:
    """Where a picture lies in a keyframe, some ``reach_px`` from ``guess``, and the weight of that; None: not known."""
    to_key = by_blocks(key.look, look, guess)
    if to_key is not None:
        return to_key, 1.0
    to_key = by_template(key.look, look, guess, max(reach_px, 8.0))
    if to_key is None:
        return None
    finer = by_blocks(key.look, look, to_key)
    if finer is not None:
        return finer, 1.0
    # A template alone is right where the picture nearly is already; farther off it has been wrong.
    return None if shift(to_key, guess, look.shape) > SURE_REACH_PX else (to_key, TEMPLATE_WEIGHT)
