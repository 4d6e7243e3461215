"""From a named local frame back to WGS 84: the name of an east-north-up frame alone says where its zero is."""

from __future__ import annotations

import re

import numpy as np

from edge.surface import earth
from edge.surface.plane import Float64

_NAME = re.compile(r"enu@(-?[\d.]+),(-?[\d.]+)(?:,(-?[\d.]+)(ell|amsl))?")
_NED_TO_ENU = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])


def to_wgs84(frame: str, points_m: Float64) -> list[list[float]] | None:
    """Points (N, 3) of a frame as [longitude, latitude] and, where its zero is above the ellipsoid, [.., height].

    None where the frame (``Place.frame``) has no place on the earth.
    """
    found = _NAME.fullmatch(frame)
    if found is None:
        return None
    lat_deg, lon_deg, height_m = float(found[1]), float(found[2]), float(found[3] or 0.0)
    zero = earth.to_ecef(lat_deg, lon_deg, height_m)
    axes = earth.level_axes(lat_deg, lon_deg) @ _NED_TO_ENU.T
    places = [earth.to_geodetic(zero + axes @ point) for point in points_m]
    # 8 decimals of a degree are a millimetre: a crack's course is finer than its place.
    flat = [[round(lon, 8), round(lat, 8)] for lat, lon, _ in places]
    if found[4] != "ell":
        return flat
    return [[*one, round(height, 3)] for one, (_, _, height) in zip(flat, places, strict=True)]
