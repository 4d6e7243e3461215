"""The picture a person wants after a demo flight: the wall, what was found on it, what was missed, and the flight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from edge.rendered.cracks import Bool, Float64
from edge.rendered.render import colours, gain
from edge.rendered.scene import Scene
from edge.rendered.sensor import developed
from edge.rendered.strokes import project, runs_of
from edge.tools.demo.report import said
from edge.tools.demo.score import CrackScore, Score, View
from edge.tools.demo.sheet import FINE, FOOT, MARGIN, PAPER, Colour, Sheet, UInt8

WIDTH_PX = 2000
_BAND = 256
"""The wall is rendered so many rows at a time: a whole wall of numbers would not fit a small board."""
# Okabe and Ito (2008): told apart without red-green vision. RGB.
_FOUND: Colour = (213, 64, 0)
_MISSED: Colour = (0, 114, 178)
_FALSE: Colour = (240, 196, 40)
_TRACK: Colour = (255, 255, 255)
_INK: Colour = (38, 38, 42)
_FAINT: Colour = (120, 120, 126)
_OUTLINE: Colour = (228, 228, 226)
_FOOTPRINTS = 10
"""About so many frame outlines are drawn: enough to see the overlap, few enough to see the wall."""


@dataclass(frozen=True, slots=True, eq=False)
class Flown:
    """The flight as the picture shows it."""

    score: Score
    views: Sequence[View]
    """Every frame, in order."""
    track_mm: Float64
    """float64 (N, 2): the way of the camera before the wall."""
    frame_to_surface: dict[int, Float64]
    """Inverse homography by ``frame_seq``: where a detection lies on the wall."""
    title: str
    subtitle: str


def draw(scene: Scene, flown: Flown, width_px: int = WIDTH_PX) -> UInt8:
    """Return the picture, uint8 RGB, ``width_px`` wide."""
    sheet = Sheet(scene, width_px)
    _wall(sheet, scene, flown.views)
    _track(sheet, flown.track_mm)
    _false_alarms(sheet, flown)
    for crack in flown.score.cracks:
        _parts(sheet, crack, crack.seen & ~crack.found, _MISSED, 1.6)
    for crack in flown.score.cracks:
        _parts(sheet, crack, crack.found, _FOUND, 2.6)
    for crack in flown.score.seen:
        _tag(sheet, crack)
    _ends(sheet, flown.track_mm)
    sheet.text(flown.title, (MARGIN, 58), 1.25, _INK, bold=True)
    sheet.text(flown.subtitle, (MARGIN, 96), 0.78, _FAINT)
    _legend(sheet)
    _scale_bar(sheet)
    return sheet.picture()


def _wall(sheet: Sheet, scene: Scene, views: Sequence[View]) -> None:
    """The surface itself with some outlines of frames, faded where no frame looked."""
    scale = sheet.px_per_mm * FINE
    flown = np.zeros(sheet.wall.shape[:2], np.uint8)
    outlines = [np.rint(_outline_mm(view) * scale * 16).astype(np.int32) for view in views]
    for outline in outlines:
        cv2.fillConvexPoly(flown, outline, 255, cv2.LINE_AA, 4)
    for top in range(0, len(flown), _BAND):
        rows = slice(top, min(top + _BAND, len(flown)))
        sheet.wall[rows] = _band(scene, scale, top, flown[rows])
    for outline in outlines[:: max(1, len(outlines) // _FOOTPRINTS)]:
        cv2.polylines(sheet.wall, [outline], True, _OUTLINE, round(0.8 * FINE), cv2.LINE_AA, 4)


def _band(scene: Scene, scale: float, top: int, flown: UInt8) -> UInt8:
    shape = (flown.shape[0], flown.shape[1])
    flat = np.array([[scale, 0, 0], [0, scale, -top], [0, 0, 1]])
    light = gain(scene, flat, shape)
    picture = developed(colours(scene, flat, shape) * light[..., None], "srgb", sharpen=0.0, jpeg=None)
    # A little lighter everywhere, so that colours stand out; far lighter where nobody looked.
    veil = np.where(flown > 0, np.float32(0.16), np.float32(0.66))[..., None]
    return np.asarray(picture * (1 - veil) + veil * np.array(PAPER, np.float32), np.uint8)


def _outline_mm(view: View) -> Float64:
    right, bottom = view.width_px - 1.0, view.height_px - 1.0
    corners = np.array([[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]])
    return project(np.linalg.inv(view.surface_to_frame), corners)


def _track(sheet: Sheet, track_mm: Float64) -> None:
    path = sheet.place(track_mm)
    sheet.line(path, _INK, 4.4)
    sheet.line(path, _TRACK, 2.2)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    for distance in np.arange(180.0, along[-1] - 60, 360.0):
        _arrow(sheet, _at(path, along, distance), _at(path, along, distance + 1) - _at(path, along, distance - 1))


def _ends(sheet: Sheet, track_mm: Float64) -> None:
    for place, word in ((track_mm[0], "start"), (track_mm[-1], "end")):
        end = sheet.place(place)
        sheet.dot(end, 8.5, _INK)
        sheet.dot(end, 6.0, _TRACK)
        _label(sheet, word, (float(end[0]) + 14, float(end[1]) + 6), _INK, _TRACK)


def _at(path: Float64, along: Float64, distance: float) -> Float64:
    return np.array([np.interp(distance, along, path[:, 0]), np.interp(distance, along, path[:, 1])])


def _arrow(sheet: Sheet, at: Float64, heading: Float64) -> None:
    ahead = heading / max(float(np.hypot(*heading)), 1e-9)
    across = np.array([-ahead[1], ahead[0]])
    for size, colour in ((13.0, _INK), (9.5, _TRACK)):
        sheet.shape(np.array([at + size * ahead, at - 0.5 * size * ahead + 0.7 * size * across,
                              at - 0.5 * size * ahead - 0.7 * size * across]), colour)  # fmt: skip


def _false_alarms(sheet: Sheet, flown: Flown) -> None:
    for detection in flown.score.false:
        properties: dict[str, Any] = detection["properties"]
        path = np.array(properties["crack"]["path_px"], np.float64)
        on_wall = sheet.place(project(flown.frame_to_surface[properties["frame_seq"]], path))
        sheet.line(on_wall, _FALSE, 2.0)


def _parts(sheet: Sheet, crack: CrackScore, chosen: Bool, colour: Colour, least: float) -> None:
    """Draw the chosen parts of a crack as wide as they are, but never thinner than ``least``."""
    path = sheet.place(crack.truth.path_mm)
    for run in runs_of(chosen):
        for start in range(run.start, run.stop - 1, 12):
            piece = slice(start, min(start + 13, run.stop))
            width = least + 0.9 * float(crack.truth.width_mm[piece].mean())
            sheet.line(path[piece], colour, width)


def _tag(sheet: Sheet, crack: CrackScore) -> None:
    """Number and stated width beside the middle of what was found."""
    if crack.truth.parent is not None or not crack.is_found:
        return
    middle = crack.truth.path_mm[np.flatnonzero(crack.found)[int(crack.found.sum()) // 2]]
    x, y = sheet.place(middle).tolist()
    _label(sheet, f"{crack.truth.id}: {said(crack)} mm", (x + 16, y + 6), _FOUND, PAPER)


def _label(sheet: Sheet, text: str, at: tuple[float, float], colour: Colour, ground: Colour) -> None:
    """Text on a plate of its own, kept inside the sheet."""
    width = sheet.text_width(text, 0.62)
    x = min(at[0], sheet.width_px - MARGIN - width - 10)
    left, right, top, bottom = x - 6, x + width + 6, at[1] - 19, at[1] + 7
    sheet.shape(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), ground)
    sheet.text(text, (x, at[1]), 0.62, colour)


def _legend(sheet: Sheet) -> None:
    base = sheet.height_px - FOOT / 2 + 10
    x = float(MARGIN)
    entries = (
        (_FOUND, 5.0, "crack found (number: stated mean width)"),
        (_MISSED, 2.2, "crack missed"),
        (_FALSE, 2.2, "false alarm"),
    )
    for colour, width, word in entries:
        sheet.line(np.array([[x, base - 8], [x + 46, base - 8]]), colour, width)
        sheet.text(word, (x + 58, base), 0.74, _INK)
        x += 58 + sheet.text_width(word, 0.74) + 44
    for offset, colour in ((4.4, _INK), (2.2, _TRACK)):
        sheet.line(np.array([[x, base - 8], [x + 46, base - 8]]), colour, offset)
    sheet.text("flight; pale: not flown over", (x + 58, base), 0.74, _INK)


def _scale_bar(sheet: Sheet) -> None:
    length = 1000 * sheet.px_per_mm
    right, base = float(sheet.width_px - MARGIN), sheet.height_px - FOOT / 2 + 2
    left = right - length
    for tick in (left, right):
        sheet.line(np.array([[tick, base - 8], [tick, base + 8]]), _INK, 2.2)
    sheet.line(np.array([[left, base], [right, base]]), _INK, 2.2)
    sheet.text("1 m", (left + length / 2 - sheet.text_width("1 m", 0.74) / 2, base - 10), 0.74, _INK)
