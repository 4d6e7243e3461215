"""WGS 84: geodetic degrees and metres, earth-centred metres, and a place's level axes, exact to below a millimetre.

Formulas: J. P. Snyder, "Map Projections: A Working Manual" (1987), and the fixed-point inversion of Heiskanen and
Moritz, "Physical Geodesy" (1967). Axes of ``level_axes``: north, east, down, as attitudes are given.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

A_M = 6378137.0
_FLATTENING = 1 / 298.257223563
_E2 = _FLATTENING * (2 - _FLATTENING)
_TURNS = 8  # each turn gains a factor of about 150: two suffice below 100 km


def to_ecef(lat_deg: float, lon_deg: float, height_m: float) -> Float64:
    """Earth-centred earth-fixed metres (3,) of a geodetic place; ``height_m`` above the ellipsoid."""
    lat, lon = math.radians(lat_deg), math.radians(lon_deg)
    prime_m = A_M / math.sqrt(1 - _E2 * math.sin(lat) ** 2)
    flat = (prime_m + height_m) * math.cos(lat)
    return np.array([flat * math.cos(lon), flat * math.sin(lon), (prime_m * (1 - _E2) + height_m) * math.sin(lat)])


def to_geodetic(ecef: Float64) -> tuple[float, float, float]:
    """Latitude and longitude in degrees and metres above the ellipsoid of earth-centred metres (3,)."""
    x, y, z = (float(value) for value in ecef)
    flat = math.hypot(x, y)
    lat = math.atan2(z, flat * (1 - _E2))
    for _ in range(_TURNS):
        prime_m = A_M / math.sqrt(1 - _E2 * math.sin(lat) ** 2)
        better = math.atan2(z + _E2 * prime_m * math.sin(lat), flat)
        settled, lat = abs(better - lat) < 1e-15, better
        if settled:
            break
    # Along the normal, so that it stays exact at the poles too, where flat / cos(lat) is 0 / 0.
    height_m = flat * math.cos(lat) + z * math.sin(lat) - A_M * math.sqrt(1 - _E2 * math.sin(lat) ** 2)
    return math.degrees(lat), math.degrees(math.atan2(y, x)), height_m


def level_axes(lat_deg: float, lon_deg: float) -> Float64:
    """(3, 3): columns are north, east and down of that place in earth-centred axes."""
    lat, lon = math.radians(lat_deg), math.radians(lon_deg)
    sin_lat, cos_lat, sin_lon, cos_lon = math.sin(lat), math.cos(lat), math.sin(lon), math.cos(lon)
    return np.array(
        [
            [-sin_lat * cos_lon, -sin_lon, -cos_lat * cos_lon],
            [-sin_lat * sin_lon, cos_lon, -cos_lat * sin_lon],
            [cos_lat, 0.0, -sin_lat],
        ]
    )
