"""One chart as a picture: its views laid beside each other in grey, coverage as colour over them, cracks with names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.detections.coverage import charts_of
from edge.surface.homography import Matrix, project

Picture = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

MARGIN = 24
FONT = cv2.FONT_HERSHEY_SIMPLEX
INK, PAPER, CRACK = (42, 38, 38), (248, 250, 250), (0, 64, 213)
# From green by yellow to red would not do without red-green vision: Okabe and Ito (2008), blue the best. BGR.
COLOURS: dict[str, tuple[int, int, int]] = {
    **dict.fromkeys(("0.1", "0.2", "0.3"), (178, 114, 0)),
    "0.5": (233, 180, 86),
    "1.0": (115, 158, 0),
    "2.0": (66, 228, 240),
    "unscaled": (190, 170, 150),
    **dict.fromkeys(("far", "oblique", "blurred", "dark", "bright"), (0, 159, 230)),
    "unknown": (167, 121, 204),
}


@dataclass(slots=True, eq=False)
class View:
    """One frame, small."""

    chart: int
    to_chart: Matrix
    """From pixels of the small picture."""
    jpeg: npt.NDArray[np.uint8]
    size: tuple[int, int]
    """Height and width of the small picture."""


def draw(
    views: Sequence[View], cracks: Sequence[Mapping[str, Any]], coverage: Mapping[str, Any], most_pixels: float
) -> Picture:
    """BGR picture of one chart, of at most about ``most_pixels``.

    ``views``: of that chart, one at least; ``cracks``: properties of those to be drawn on it, in its coordinates.
    """
    corners = np.concatenate([project(view.to_chart, _corners(view.size)) for view in views])
    flip = _flip(views[0])
    corners = corners * flip
    low, high = corners.min(axis=0), corners.max(axis=0)
    finest = min(_unit_per_px(view) for view in views)
    scale = min(1 / finest, float(np.sqrt(most_pixels / np.prod(np.maximum(high - low, finest)))))
    size = tuple((np.ceil((high - low) * scale).astype(int) + 2 * MARGIN).tolist())
    onto = np.diag([*(flip * scale), 1.0])
    onto[:2, 2] = MARGIN - low * scale
    canvas = np.full((size[1], size[0], 3), PAPER, np.uint8)
    for view in views:
        _lay(canvas, view, onto)
    _tint(canvas, views[0].chart, onto, coverage)
    _cracks(canvas, onto, cracks)
    return canvas


def _flip(view: View) -> Points:
    """(2,), each 1 or -1: which axis of a chart is turned so that its picture stands as the camera saw it.

    Metres run along and up the surface as the first view of it had them; a later one may be turned.
    """
    corners = project(view.to_chart, _corners(view.size))
    (a, c), (b, d) = corners[1] - corners[0], corners[3] - corners[0]
    if a * d >= b * c:
        return np.array([1.0, 1.0])
    return np.array([-1.0, 1.0]) if d >= 0 else np.array([1.0, -1.0])


def _lay(canvas: Picture, view: View, onto: Matrix) -> None:
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
        if chart not in charts_of(found):
            continue
        for polygon in found["chart"]["polygons"]:
            rings = [np.rint(project(onto, np.array(ring)) * 16).astype(np.int32) for ring in polygon]
            cv2.fillPoly(layer, rings, COLOURS[found["class"]], cv2.LINE_8, 4)
            cv2.fillPoly(where, rings, 255, cv2.LINE_8, 4)
    mixed = cv2.addWeighted(canvas, 0.72, layer, 0.28, 0)
    canvas[where > 0] = mixed[where > 0]


def _cracks(canvas: Picture, onto: Matrix, shown: Sequence[Mapping[str, Any]]) -> None:
    taken: list[tuple[int, int, int, int]] = []
    lines = [np.rint(project(onto, np.array(one["chart"]["path"])) * 16).astype(np.int32) for one in shown]
    for one, line in zip(shown, lines, strict=True):
        cv2.polylines(canvas, [line], False, CRACK, 2 if one["state"] == "confirmed" else 1, cv2.LINE_AA, 4)
    for one, line in zip(shown, lines, strict=True):
        if one["state"] == "confirmed":
            _name(canvas, _name_of(one), line[len(line) // 2] / 16, taken)


def _name_of(crack: Mapping[str, Any]) -> str:
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
    (wide, high), _ = cv2.getTextSize(text, FONT, 0.5, 1)
    x0, y0 = int(at[0]) + 8, int(at[1]) + 4
    for dx, dy in ((0, 0), (0, 18), (0, -18), (-wide - 18, 0), (-wide - 18, 18), (0, 36), (0, -36)):
        x = int(np.clip(x0 + dx, 2, max(2, canvas.shape[1] - wide - 4)))
        y = int(np.clip(y0 + dy, high + 4, canvas.shape[0] - 4))
        box = (x - 3, y - high - 4, x + wide + 3, y + 5)
        if not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
            taken.append(box)
            cv2.rectangle(canvas, box[:2], box[2:], PAPER, -1)
            cv2.putText(canvas, text, (x, y), FONT, 0.5, CRACK, 1, cv2.LINE_AA)
            return


def _corners(size: tuple[int, int]) -> Points:
    right, bottom = size[1] - 1.0, size[0] - 1.0
    return np.array([[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]])


def _unit_per_px(view: View) -> float:
    middle = np.array([[view.size[1] / 2, view.size[0] / 2]])
    step = project(view.to_chart, middle + np.array([[0.5, 0.0]])) - project(
        view.to_chart, middle - np.array([[0.5, 0.0]])
    )
    return max(1e-9, float(np.hypot(*step[0])))
