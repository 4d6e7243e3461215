"""One picture of the surface: frames laid beside each other, coverage as colour behind, the cracks with their names.

Memory is bounded: small pictures of at most KEPT views are kept while flying (every second one goes when there are too
many), and the canvas has at most PIXELS pixels, whatever was flown over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.outcome import Outcome
from edge.surface.homography import Matrix, project
from edge.surface.registration import Registered
from edge.surface.straightening import Bend
from edge.surface.visibility import CLASSES

Picture = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

KEPT = 600
PIXELS = 6_000_000
_SMALL_PX = 480
_APART = 0.25
"""A view that moved by less than this share of its width since the last kept one is not kept."""
_CHARTS = 3
_FOOT = 92
_MARGIN = 24
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK, _PAPER, _CRACK = (42, 38, 38), (248, 250, 250), (0, 64, 213)
# From green by yellow to red would not do without red-green vision: Okabe and Ito (2008), blue the best. BGR.
_COLOURS: dict[str, tuple[int, int, int]] = {
    **dict.fromkeys(("0.1", "0.2", "0.3"), (178, 114, 0)),
    "0.5": (233, 180, 86),
    "1.0": (115, 158, 0),
    "2.0": (66, 228, 240),
    "unscaled": (190, 170, 150),
    **dict.fromkeys(("far", "oblique", "blurred", "dark", "bright"), (0, 159, 230)),
    "unknown": (167, 121, 204),
}


@dataclass(slots=True, eq=False)
class _View:
    chart: int
    to_chart: Matrix
    """From pixels of the small picture."""
    jpeg: npt.NDArray[np.uint8]
    size: tuple[int, int]


class Mosaic:
    """Collects views while flying; used by one thread."""

    def __init__(self) -> None:
        self._views: list[_View] = []
        self._last: Registered | None = None
        self._apart = _APART

    def see(self, outcome: Outcome) -> None:
        """Keep this frame where it shows something new."""
        placed = outcome.placed
        if placed is None:
            return
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
        self._views.append(_View(placed.chart, placed.to_chart @ up, jpeg, (small.shape[0], small.shape[1])))
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
        """BGR picture of the charts with most frames, one below the other; None where no frame was laid down.

        ``bends``: how the end of the flight straightened the charts (``Inventory.bends``).
        """
        for bend in bends:
            self.bend(bend)
        covered = {feature["properties"]["chart"]["number"] for feature in coverage["features"]}
        views = Counter(view.chart for view in self._views)  # areas in metres and in pixels cannot be compared
        chosen = [chart for chart, _ in views.most_common() if chart in covered]
        drawn = [self._chart(chart, cracks, coverage) for chart in chosen[:_CHARTS]]
        if not drawn:
            return None
        width = max(900, *(picture.shape[1] for picture in drawn))
        rows = [_widened(picture, width) for picture in drawn]
        rows.append(_legend(width, coverage, len(chosen) - len(drawn)))
        return np.ascontiguousarray(np.vstack(rows))

    def _chart(self, chart: int, cracks: Sequence[Mapping[str, Any]], coverage: Mapping[str, Any]) -> Picture:
        views = [view for view in self._views if view.chart == chart]
        corners = np.concatenate([project(view.to_chart, _corners(view.size)) for view in views])
        # Charts in metres have y upwards, those in pixels downwards; a picture is drawn as the views stand.
        flip = -1.0 if np.linalg.det(views[0].to_chart[:2, :2]) < 0 else 1.0
        corners = corners * np.array([1.0, flip])
        low, high = corners.min(axis=0), corners.max(axis=0)
        finest = min(_unit_per_px(view) for view in views)
        scale = min(1 / finest, float(np.sqrt(PIXELS / _CHARTS / np.prod(np.maximum(high - low, finest)))))
        size = tuple((np.ceil((high - low) * scale).astype(int) + 2 * _MARGIN).tolist())
        onto = np.array(
            [[scale, 0, _MARGIN - low[0] * scale], [0, flip * scale, _MARGIN - low[1] * scale], [0, 0, 1.0]]
        )
        canvas = np.full((size[1], size[0], 3), _PAPER, np.uint8)
        for view in views:
            _lay(canvas, view, onto)
        _tint(canvas, chart, onto, coverage)
        _cracks(canvas, chart, onto, cracks)
        return canvas


def _lay(canvas: Picture, view: _View, onto: Matrix) -> None:
    """Warp one view into its part of the canvas; grey, so that colours keep their meaning."""
    matrix = onto @ view.to_chart
    corners = project(matrix, _corners(view.size))
    if not np.isfinite(corners).all():
        return
    low = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(corners.max(axis=0)), (canvas.shape[1], canvas.shape[0])).astype(int)
    if (high <= low).any():
        return
    shift = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1.0]])
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    grey = cv2.imdecode(view.jpeg, cv2.IMREAD_GRAYSCALE)
    assert grey is not None, "made here"
    warped = cv2.warpPerspective(grey, shift @ matrix, size, flags=cv2.INTER_LINEAR)
    inside = cv2.warpPerspective(np.full(grey.shape, 255, np.uint8), shift @ matrix, size, flags=cv2.INTER_NEAREST)
    part = canvas[low[1] : high[1], low[0] : high[0]]
    part[inside > 0] = warped[inside > 0][:, None]


def _tint(canvas: Picture, chart: int, onto: Matrix, coverage: Mapping[str, Any]) -> None:
    layer, where = canvas.copy(), np.zeros(canvas.shape[:2], np.uint8)
    for feature in coverage["features"]:
        found = feature["properties"]
        if found["chart"]["number"] != chart:
            continue
        for polygon in found["chart"]["polygons"]:
            rings = [np.rint(project(onto, np.array(ring)) * 16).astype(np.int32) for ring in polygon]
            cv2.fillPoly(layer, rings, _COLOURS[found["class"]], cv2.LINE_8, 4)
            cv2.fillPoly(where, rings, 255, cv2.LINE_8, 4)
    mixed = cv2.addWeighted(canvas, 0.72, layer, 0.28, 0)
    canvas[where > 0] = mixed[where > 0]


def _cracks(canvas: Picture, chart: int, onto: Matrix, cracks: Sequence[Mapping[str, Any]]) -> None:
    taken: list[tuple[int, int, int, int]] = []
    shown = [
        crack["properties"]
        for crack in cracks
        if crack["properties"]["state"] != "withdrawn"
        and crack["properties"]["chart"]["number"] == chart
        and len(crack["properties"]["chart"]["path"]) > 1
    ]
    lines = [np.rint(project(onto, np.array(one["chart"]["path"])) * 16).astype(np.int32) for one in shown]
    for one, line in zip(shown, lines, strict=True):
        cv2.polylines(canvas, [line], False, _CRACK, 2 if one["state"] == "confirmed" else 1, cv2.LINE_AA, 4)
    for one, line in zip(shown, lines, strict=True):
        if one["state"] == "confirmed":
            _name(canvas, name_of(one), line[len(line) // 2] / 16, taken)


def name_of(crack: Mapping[str, Any]) -> str:
    """A crack's name and width in a few letters, from the properties of ``spanhawk/crack/1``."""
    width = crack["width_mm"]
    if width is not None:
        return f"C{crack['number']} {width['value']:.1f} mm"
    if crack["width_at_most_mm"] is not None:
        return f"C{crack['number']} < {crack['width_at_most_mm']:.1f} mm"
    if crack["width_px"] is not None:
        return f"C{crack['number']} {crack['width_px']['value']:.1f} px"
    return f"C{crack['number']}"


def _name(canvas: Picture, text: str, at: Points, taken: list[tuple[int, int, int, int]]) -> None:
    """Beside ``at``, where no other name stands; where there is no room it is left out."""
    (wide, high), _ = cv2.getTextSize(text, _FONT, 0.5, 1)
    x0, y0 = int(at[0]) + 8, int(at[1]) + 4
    for dx, dy in ((0, 0), (0, 18), (0, -18), (-wide - 18, 0), (-wide - 18, 18), (0, 36), (0, -36)):
        x = int(np.clip(x0 + dx, 2, max(2, canvas.shape[1] - wide - 4)))
        y = int(np.clip(y0 + dy, high + 4, canvas.shape[0] - 4))
        box = (x - 3, y - high - 4, x + wide + 3, y + 5)
        if not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
            taken.append(box)
            cv2.rectangle(canvas, box[:2], box[2:], _PAPER, -1)
            cv2.putText(canvas, text, (x, y), _FONT, 0.5, _CRACK, 1, cv2.LINE_AA)
            return


def _legend(width: int, coverage: Mapping[str, Any], not_drawn: int) -> Picture:
    foot = np.full((_FOOT, width, 3), _PAPER, np.uint8)
    present = {feature["properties"]["class"] for feature in coverage["features"]}
    x, y = _MARGIN, 30
    words = [("crack (C: its name; thin: not confirmed yet)", _CRACK)]
    words += [(in_words(kind), _COLOURS[kind]) for kind in CLASSES if kind in present]
    if not_drawn:
        words.append((f"{not_drawn} more separate views are not drawn", _INK))
    for word, colour in words:
        (wide, _), _ = cv2.getTextSize(word, _FONT, 0.5, 1)
        if x + wide + 34 > width:
            x, y = _MARGIN, y + 28
        cv2.rectangle(foot, (x, y - 12), (x + 20, y + 2), colour, -1)
        cv2.putText(foot, word, (x + 28, y), _FONT, 0.5, _INK, 1, cv2.LINE_AA)
        x += wide + 56
    return foot


def in_words(kind: str) -> str:
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


def _widened(picture: Picture, width: int) -> Picture:
    return np.asarray(
        cv2.copyMakeBorder(picture, 0, 0, 0, width - picture.shape[1], cv2.BORDER_CONSTANT, value=_PAPER), np.uint8
    )


def _corners(size: tuple[int, int]) -> Points:
    right, bottom = size[1] - 1.0, size[0] - 1.0
    return np.array([[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]])


def _unit_per_px(view: _View) -> float:
    middle = np.array([[view.size[1] / 2, view.size[0] / 2]])
    step = project(view.to_chart, middle + np.array([[0.5, 0.0]])) - project(
        view.to_chart, middle - np.array([[0.5, 0.0]])
    )
    return max(1e-9, float(np.hypot(*step[0])))
