"""The keyframes of a flight, and where an earlier pass saw a place again."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edge.surface.homography import Matrix, middle_of, overlap, scale_at, shift
from edge.surface.matching import Picture, by_blocks, by_template
from edge.surface.straightening import Bend, Links, bend_of

KEPT_KEYFRAMES = 400
"""Keyframes of earlier passes that are kept for recognition, about 25 MB; the oldest go first."""
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
        apart = np.hypot(*(np.array([key.middle for key in earlier]) - middle_of(to_chart, look.shape)).T)
        # Frames of the chain differ in scale by little: two so far apart share nothing.
        farthest = 2 * scale_at(to_chart, look.shape) * math.hypot(*look.shape)
        asked = linked = 0
        placed: tuple[Matrix, float] | None = None
        for place in np.argsort(apart, kind="stable").tolist():
            if asked == 2 + most or linked == most or (apart[place] > farthest and not anywhere):
                break
            key = earlier[place]
            guess = np.linalg.inv(key.to_chart) @ (to_chart if placed is None else placed[0])
            if not (anywhere and placed is None) and overlap(guess, look.shape) < 0.1:
                continue
            asked += 1
            found = _beside(key, look, guess, reach)
            if found is None:
                continue
            to_key, weight = found
            self._links.add(key.number, number, to_key, look.shape, weight)
            linked += 1
            placed = placed or (key.to_chart @ to_key, math.hypot(key.sigma_px, PIXEL_DRIFT))
        return placed

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
