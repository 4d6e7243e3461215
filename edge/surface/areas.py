"""The size of a damaged area on the surface: its outline cut with the plane that the camera looks at."""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge.areas import DamagedArea
from edge.navigation import NavState
from edge.surface import AreaSize
from edge.surface.scale import Points, ScaleOptions, look

EDGE_PX = 1.0
"""Standard uncertainty of where the mask puts the edge of an area, pixels, the same way all around: a network that
answers in cells of 4 px is no better."""


def area_size_of(
    area: DamagedArea, nav: NavState, width_px: int, height_px: int, options: ScaleOptions
) -> AreaSize | None:
    """Size of ``area`` in a frame of that size; None where range, lens or attitude do not support it.

    Its damaged pixels are counted; what one is worth follows from the outline, which is cut with the surface:
    ``A = area_px * (outline on the surface) / (outline in the picture)``. Scale and edge err the same way all around,
    so with s the relative uncertainty of a length ``sigma(A)**2 = (2 A s)**2 + (perimeter * EDGE_PX)**2``, in mm2.
    """
    seen = look(nav, width_px, height_px, options)
    outline = area.outline_px.astype(np.float64)
    on_surface = None if seen is None else seen.plane.cut(outline)
    if seen is None or on_surface is None:
        return None
    picture_px2, surface_mm2 = _polygon_area(np.pad(outline, ((0, 0), (0, 1)))), _polygon_area(on_surface)
    mm2_per_px2 = surface_mm2 / picture_px2
    area_mm2, edge_mm2 = area.area_px * mm2_per_px2, area.perimeter_px * EDGE_PX * mm2_per_px2
    # Straight lines stay straight on a plane: the hull in the picture is the hull on the surface.
    corners = on_surface[cv2.convexHull(area.outline_px[:, None], returnPoints=False)[:, 0]]
    extent_mm = float(np.linalg.norm(corners[:, None] - corners[None], axis=-1).max())
    return AreaSize(
        gsd_mm_per_px=float(np.mean(on_surface[:, 2])) / seen.plane.focal_px,
        area_cm2=area_mm2 / 100,
        area_sigma_cm2=math.hypot(2 * area_mm2 * seen.relative, edge_mm2) / 100,
        extent_mm=extent_mm,
        extent_sigma_mm=math.hypot(extent_mm * seen.relative, math.sqrt(2 * mm2_per_px2) * EDGE_PX),
        incidence_deg=seen.incidence_deg,
    )


def _polygon_area(corners: Points) -> float:
    """Area inside the flat polygon ``corners`` (N, 3) in their unit squared: half the sum of the cross products."""
    around = corners - corners.mean(axis=0)
    return float(np.linalg.norm(np.cross(around, np.roll(around, -1, axis=0)).sum(axis=0))) / 2
