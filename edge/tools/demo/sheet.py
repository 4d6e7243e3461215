"""A sheet to draw on: smooth lines and letters around a wall, OpenCV only."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.rendered.cracks import Float64
from edge.rendered.scene import Scene

UInt8 = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

FINE = 2
"""Drawn this many times larger and averaged down: lines and letters come out smooth."""
MARGIN, HEAD, FOOT = 40, 116, 104
"""Around the wall, pixels: left and right, above, below."""
PAPER: Colour = (250, 250, 248)
_FONT = cv2.FONT_HERSHEY_DUPLEX


class Sheet:
    """A canvas in final pixels, drawn FINE times larger; surface millimetres by ``place``."""

    def __init__(self, scene: Scene, width_px: int) -> None:
        self.px_per_mm = (width_px - 2 * MARGIN) / scene.width_mm
        self.width_px = width_px
        self.height_px = HEAD + round(scene.height_mm * self.px_per_mm) + FOOT
        self._canvas = np.full((self.height_px * FINE, width_px * FINE, 3), PAPER, np.uint8)
        self.wall = self._canvas[
            HEAD * FINE : (self.height_px - FOOT) * FINE, MARGIN * FINE : (width_px - MARGIN) * FINE
        ]

    def place(self, points_mm: Float64) -> Float64:
        """Surface millimetres to final pixels."""
        return np.asarray(points_mm * self.px_per_mm + np.array([MARGIN, HEAD]), np.float64)

    def line(self, points: Float64, colour: Colour, width: float) -> None:
        """A smooth line through final pixels."""
        fixed = np.rint(points * FINE * 16).astype(np.int32)
        cv2.polylines(self._canvas, [fixed], False, colour, max(1, round(width * FINE)), cv2.LINE_AA, 4)

    def shape(self, points: Float64, colour: Colour) -> None:
        """A filled convex shape."""
        cv2.fillConvexPoly(self._canvas, np.rint(points * FINE * 16).astype(np.int32), colour, cv2.LINE_AA, 4)

    def dot(self, centre: Float64, radius: float, colour: Colour) -> None:
        """A filled circle."""
        x, y = np.rint(centre * FINE * 16).astype(int).tolist()
        cv2.circle(self._canvas, (x, y), round(radius * FINE * 16), colour, -1, cv2.LINE_AA, 4)

    def text(self, text: str, at: tuple[float, float], size: float, colour: Colour, *, bold: bool = False) -> None:
        """A line of text; ``at`` is the left end of its base line."""
        x, y = round(at[0] * FINE), round(at[1] * FINE)
        thickness = max(1, round(size * FINE * (1.5 if bold else 0.9)))
        cv2.putText(self._canvas, text, (x, y), _FONT, size * FINE * 0.72, colour, thickness, cv2.LINE_AA)

    def text_width(self, text: str, size: float) -> float:
        """Width a text will take, final pixels."""
        (width, _), _ = cv2.getTextSize(text, _FONT, size * FINE * 0.72, 1)
        return width / FINE

    def picture(self) -> UInt8:
        """Average down to final pixels."""
        size = (self.width_px, self.height_px)
        return np.asarray(cv2.resize(self._canvas, size, interpolation=cv2.INTER_AREA), np.uint8)
