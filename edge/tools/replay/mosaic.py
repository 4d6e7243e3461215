"""One picture of the surface: frames laid beside each other, coverage as colour behind, the cracks with their names.

Each chart is drawn for itself (`canvas`), also those in metres of one surface, which share their coordinates: they lie
on each other no better than the positions they hang on. Memory is bounded: small pictures of at most
KEPT views are kept while flying (every second one goes when there are too many), and one number for each chart; all
canvases together have about PIXELS pixels, whatever was flown over.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from edge.detections.coverage import charts_of
from edge.outcome import Outcome
from edge.surface.homography import project
from edge.surface.registration import Registered
from edge.surface.straightening import Bend
from edge.surface.visibility import CLASSES
from edge.tools.replay import canvas
from edge.tools.replay.canvas import COLOURS, CRACK, FONT, INK, MARGIN, PAPER, Picture, View

log = logging.getLogger(__name__)

KEPT = 600
PIXELS = 6_000_000
_SMALL_PX = 480
_APART = 0.25
"""A view that moved by less than this share of its width since the last kept one is not kept."""
_CHARTS = 3
_WITH_CRACKS = 5
"""So many more charts are drawn where they have cracks."""
_HEAD, _FOOT = 40, 92
"""Heights of the line above a chart and of the legend, px."""


class Mosaic:
    """Collects views while flying; used by one thread."""

    def __init__(self) -> None:
        self._views: list[View] = []
        self._frames: Counter[int] = Counter()
        """By chart."""
        self._last: Registered | None = None
        self._apart = _APART

    def see(self, outcome: Outcome) -> None:
        """Keep this frame where it shows something new."""
        placed = outcome.placed
        if placed is None:
            return
        self._frames[placed.chart] += 1
        if placed.rebased is not None:
            for view in self._views:
                if view.chart == placed.chart:
                    view.to_chart = placed.rebased @ view.to_chart
            self._last = None
        if placed.bent is not None:
            self.bend(placed.bent)
        size = outcome.frame.height_px, outcome.frame.width_px
        if self._last is not None and self._last.chart == placed.chart:
            middle = np.array([[size[1] / 2, size[0] / 2]])
            moved = project(placed.to_chart, middle) - project(self._last.to_chart, middle)
            if np.hypot(*moved[0]) / placed.unit_per_px < self._apart * size[1]:
                return
        self._last = placed
        shrink = min(1.0, _SMALL_PX / size[1])
        small = cv2.resize(outcome.frame.rgb[..., ::-1], None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        done, jpeg = cv2.imencode(".jpg", small)
        if not done:
            return
        up = np.diag([size[1] / small.shape[1], size[0] / small.shape[0], 1.0])
        self._views.append(View(placed.chart, placed.to_chart @ up, jpeg, (small.shape[0], small.shape[1])))
        if len(self._views) > KEPT:
            self._views = self._views[::2]
            self._apart = min(0.8, 1.4 * self._apart)

    def bend(self, bend: Bend) -> None:
        """Move the views of a chart that was straightened."""
        for view in self._views:
            if view.chart == bend.chart:
                view.to_chart = bend.matrix(view.to_chart, view.size)
        self._last = None

    def draw(
        self, cracks: Sequence[Mapping[str, Any]], coverage: Mapping[str, Any], bends: Sequence[Bend] = ()
    ) -> Picture | None:
        """BGR picture of the charts with most views, and of some more that have cracks, one below the other.

        None where no frame was laid down. What is not drawn is counted in the legend.

        ``bends``: how the end of the flight straightened the charts (``Inventory.bends``).
        """
        for bend in bends:
            self.bend(bend)
        shown = [one["properties"] for one in cracks if one["properties"]["state"] != "withdrawn"]
        lines = [one for one in shown if len(one["chart"]["path"]) > 1]
        cracked = Counter(one["chart"]["number"] for one in lines)
        drawn = self._chosen(cracked, coverage)
        if not drawn:
            return None
        most_pixels = PIXELS / max(_CHARTS, len(drawn))
        pictures = [
            canvas.draw(
                [view for view in self._views if view.chart == chart],
                [one for one in lines if one["chart"]["number"] == chart],
                coverage,
                most_pixels,
            )
            for chart in drawn
        ]
        width = max(900, *(picture.shape[1] for picture in pictures))
        rows = [_widened(picture, width) for picture in pictures]
        if len(drawn) > 1:
            heads = [_head(width, self._title(chart, drawn, cracked[chart], coverage)) for chart in drawn]
            rows = [row for pair in zip(heads, rows, strict=True) for row in pair]
        left_out = self._left_out(drawn, len(shown) - sum(cracked[chart] for chart in drawn))
        rows.append(_legend(width, coverage, left_out))
        return np.ascontiguousarray(np.vstack(rows))

    def _chosen(self, cracked: Mapping[int, int], coverage: Mapping[str, Any]) -> list[int]:
        """The charts to draw, those of most views first; ``cracked``: how many cracks each has."""
        covered = {chart for feature in coverage["features"] for chart in charts_of(feature["properties"])}
        views = Counter(view.chart for view in self._views)  # areas in metres and in pixels cannot be compared
        charts = [chart for chart, _ in views.most_common() if chart in covered]
        more = [chart for chart in charts[_CHARTS:] if cracked.get(chart)]
        return charts[:_CHARTS] + more[:_WITH_CRACKS]

    def _title(self, chart: int, drawn: Sequence[int], cracks: int, coverage: Mapping[str, Any]) -> str:
        """What stands above a chart where several are drawn: its number, and which others share its coordinates."""
        patches = [charts_of(feature["properties"]) for feature in coverage["features"]]
        together = {other for patch in patches if chart in patch for other in patch}
        beside = [f"{other}" for other in drawn if other in together and other != chart]
        title = f"Chart {chart}: {_count(self._frames[chart], 'frame')}, {_count(cracks, 'crack')}"
        if beside:
            title += f"; in metres, on the same axes as chart{'s' * (len(beside) > 1)} {', '.join(beside)}"
        return title

    def _left_out(self, drawn: Sequence[int], cracks: int) -> str:
        """What is not drawn, for the legend; empty where that is nothing. ``cracks`` of them are said aloud too."""
        charts = len(self._frames) - len(drawn)
        frames = self._frames.total() - sum(self._frames[chart] for chart in drawn)
        words = []
        if charts:
            words.append(f"{_count(charts, 'more chart')} of {_count(frames, 'frame')}")
        if cracks:
            words.append(_count(cracks, "crack"))
            log.warning("the mosaic does not show %s", " and ".join(reversed(words)))
        return "" if not words else f"not drawn: {', '.join(words)}"


def _head(width: int, title: str) -> Picture:
    head = np.full((_HEAD, width, 3), PAPER, np.uint8)
    cv2.putText(head, title, (MARGIN, _HEAD - 8), FONT, 0.6, INK, 1, cv2.LINE_AA)
    return head


def _legend(width: int, coverage: Mapping[str, Any], left_out: str) -> Picture:
    foot = np.full((_FOOT, width, 3), PAPER, np.uint8)
    present = {feature["properties"]["class"] for feature in coverage["features"]}
    x, y = MARGIN, 30
    words = [("crack (C: its name; thin: not confirmed yet)", CRACK)]
    words += [(_in_words(kind), COLOURS[kind]) for kind in CLASSES if kind in present]
    if left_out:
        words.append((left_out, INK))
    for word, colour in words:
        (wide, _), _ = cv2.getTextSize(word, FONT, 0.5, 1)
        if x + wide + 34 > width:
            x, y = MARGIN, y + 28
        cv2.rectangle(foot, (x, y - 12), (x + 20, y + 2), colour, -1)
        cv2.putText(foot, word, (x + 28, y), FONT, 0.5, INK, 1, cv2.LINE_AA)
        x += wide + 56
    return foot


def _in_words(kind: str) -> str:
    """A class of coverage for people."""
    return {
        "unscaled": "sharp, millimetres unknown",
        "far": "too far",
        "oblique": "too oblique",
        "blurred": "blurred",
        "dark": "too dark",
        "bright": "too bright",
        "unknown": "sharpness unknown",
    }.get(kind, f"shows {kind} mm")


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'s' * (number != 1)}"


def _widened(picture: Picture, width: int) -> Picture:
    return np.asarray(
        cv2.copyMakeBorder(picture, 0, 0, 0, width - picture.shape[1], cv2.BORDER_CONSTANT, value=PAPER), np.uint8
    )
