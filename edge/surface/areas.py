"""The size of a damaged area on the surface: its outline cut with the plane that the camera looks at."""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge.areas import DamagedArea
from edge.surface import AreaSize, tilt
from edge.surface.plane import Plane
from edge.surface.scale import Points, ScaleOptions, relative_uncertainty

EDGE_PX = 1.0
"""Standard uncertainty of where the mask puts the edge of an area, pixels, the same way all around: a network that
answers in cells of 4 px is no better."""


def area_size_of(area: DamagedArea, plane: Plane | None, options: ScaleOptions) -> AreaSize | None:
    """Size of ``area`` on the plane that its frame looks at (``View.plane``); None where there is none to cut.

    Its damaged pixels are counted; what one is worth follows from the outline, which is cut with the surface:
    ``A = area_px * (outline on the surface) / (outline in the picture)``. Scale and edge err the same way all around,
    so with s the relative uncertainty of the side of a square ``sigma(A)**2 = (2 A s)**2 + (perimeter * EDGE_PX)**2``,
    in mm2.
    """
    outline = area.outline_px.astype(np.float64)
    cut_m = None if plane is None else plane.cut(outline)
    if plane is None or cut_m is None:
        return None
    on_surface = cut_m * 1000
    picture_px2, _ = _polygon(np.pad(outline, ((0, 0), (0, 1))))
    surface_mm2, middle = _polygon(on_surface)
    mm2_per_px2 = surface_mm2 / picture_px2
    area_mm2, edge_mm2 = area.area_px * mm2_per_px2, area.perimeter_px * EDGE_PX * mm2_per_px2
    relative = relative_uncertainty(plane, options, tilt.of_area(plane, middle / 1000) / 2)
    # Straight lines stay straight on a plane: the hull in the picture is the hull on the surface.
    corners = on_surface[cv2.convexHull(area.outline_px[:, None], returnPoints=False)[:, 0]]
    apart = np.linalg.norm(corners[:, None] - corners[None], axis=-1)
    ends = corners[list(np.unravel_index(int(apart.argmax()), apart.shape))]
    extent_mm = float(apart.max())
    along = tilt.of_lengths(plane, ends.mean(axis=0, keepdims=True) / 1000, np.diff(ends, axis=0))
    extent_relative = relative_uncertainty(plane, options, along)
    return AreaSize(
        gsd_mm_per_px=float(np.mean(on_surface[:, 2])) / plane.lens.fx_px,
        area_cm2=area_mm2 / 100,
        area_sigma_cm2=math.hypot(2 * area_mm2 * relative, edge_mm2) / 100,
        extent_mm=extent_mm,
        extent_sigma_mm=math.hypot(extent_mm * extent_relative, math.sqrt(2 * mm2_per_px2) * EDGE_PX),
        incidence_deg=plane.incidence_deg if options.surface != "facing" else None,
    )


def _polygon(corners: Points) -> tuple[float, Points]:
    """Area inside the flat polygon ``corners`` (N, 3) in their unit squared, and its centre of gravity (3,).

    Half the sum of the cross products; each is a triangle with the corners' mean, whose centre lies a third of the way.
    """
    mean = corners.mean(axis=0)
    around = corners - mean
    following = np.roll(around, -1, axis=0)
    crossed = np.cross(around, following)
    normal = crossed.sum(axis=0)
    size = float(np.linalg.norm(normal))
    parts = crossed @ normal / (size * size or 1.0)
    return size / 2, mean + parts @ (around + following) / 3
