"""The keyframes of a flight, and where an earlier pass saw a place again."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from edge.surface.homography import Matrix, middle_of, overlap, scale_at, shift
from edge.surface.matching import Picture, by_blocks, by_template

KEPT_KEYFRAMES = 400
"""Keyframes of earlier passes that are kept for recognition, about 25 MB; the oldest go first."""
RECENT = 4
"""So many of the newest keyframes are neighbours in the chain, which know nothing that the chain does not."""
PIXEL_DRIFT = 0.8
"""Standard uncertainty that one more link of the chain of keyframes adds, in pixels of the small picture."""
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

    @property
    def middle(self) -> tuple[float, float]:
        """Its middle on the chart."""
        return middle_of(self.to_chart, self.look.shape)


class Keyframes:
    """The newest keyframes; used by one thread. Memory is bounded by KEPT_KEYFRAMES."""

    def __init__(self) -> None:
        self.all: deque[Key] = deque(maxlen=KEPT_KEYFRAMES)
        """Oldest first."""

    def keep(self, key: Key) -> None:
        """Take in the newest one."""
        self.all.append(key)
        if len(self.all) > RECENT:  # older ones are asked seldom
            old = self.all[-RECENT - 1]
            old.look = old.look.packed()

    def recognise(self, look: Picture, to_chart: Matrix, chart: int, sigma_px: float) -> tuple[Matrix, float] | None:
        """Where an earlier pass saw this place: its chart place and uncertainty; None where none is recognised.

        Only keyframes that may overlap within three standard uncertainties are asked, and at most two of them.
        """
        reach = 3 * sigma_px + 4
        anywhere = reach >= 0.5 * look.shape[1]
        asked = 0
        earlier = [key for key in list(self.all)[:-RECENT] if key.chart == chart]
        if not earlier:
            return None
        apart = np.hypot(*(np.array([key.middle for key in earlier]) - middle_of(to_chart, look.shape)).T)
        # Frames of the chain differ in scale by little: two so far apart share nothing.
        farthest = 2 * scale_at(to_chart, look.shape) * math.hypot(*look.shape)
        for place in np.argsort(apart, kind="stable").tolist():
            if asked == 3 or (apart[place] > farthest and not anywhere):
                break
            key = earlier[place]
            guess = np.linalg.inv(key.to_chart) @ to_chart
            if not anywhere and overlap(guess, look.shape) < 0.1:
                continue
            asked += 1
            to_key = by_blocks(key.look, look, guess)
            if to_key is None:
                to_key = by_template(key.look, look, guess, max(reach, 8.0))
                finer = None if to_key is None else by_blocks(key.look, look, to_key)
                # A template alone is right where the picture nearly is already; farther off it has been wrong.
                if to_key is not None and finer is None and shift(to_key, guess, look.shape) > SURE_REACH_PX:
                    continue
                to_key = to_key if finer is None else finer
            if to_key is not None:
                return key.to_chart @ to_key, math.hypot(key.sigma_px, PIXEL_DRIFT)
        return None
