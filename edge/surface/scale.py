"""Pixels to millimetres by the plane the camera looks at; null where range, lens or resolution do not support it.

Each pixel's ray is cut with the surface plane, so tilt is exact and not a small-angle correction
(a naive scale is wrong by 19 % at 50 degrees). The plane passes through the point ``range_m`` ahead on
the optical axis; its orientation is the operator's statement (``surface``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge.cracks import Crack
from edge.navigation import Attitude, NavState
from edge.surface import CrackSize

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleOptions:
    """The ``[scale]`` table: lens, range sensor and surface; without a lens every size is null."""

    hfov_deg: float | None = None
    """Field of view along the longer side of the delivered frame, degrees; None: from focal length and sensor width."""
    focal_length_mm: float | None = None
    """Focal length, millimetres; needs ``sensor_width_mm``."""
    sensor_width_mm: float | None = None
    """Width of the sensor area the frame is read from, millimetres."""
    lens_uncertainty: float = 0.02
    """Relative standard uncertainty of the focal length."""
    range_uncertainty_m: float = 0.03
    """Standard uncertainty of the measured range, metres."""
    surface: Literal["facing", "horizontal", "vertical"] = "facing"
    """``facing``: the pilot keeps the camera square to the surface; ``horizontal``: a deck or soffit;
    ``vertical``: a wall or pier. The last two need the camera's attitude."""
    wall_normal_deg: float | None = None
    """For ``vertical``: the heading the wall faces, degrees from true north; None: it faces the camera's heading."""
    tilt_uncertainty_deg: float = 5.0
    """Standard uncertainty of the angle between optical axis and surface normal, degrees."""
    min_width_px: float = 2.0
    """Below this a width is not measured but bounded (two-pixel rule)."""
    max_incidence_deg: float = 60.0
    """Beyond this tilt no size is given."""

    def __post_init__(self) -> None:
        """Refuse lenses that cannot be."""
        if (self.focal_length_mm is None) != (self.sensor_width_mm is None):
            raise ValueError("focal_length_mm and sensor_width_mm go together; give both, or hfov_deg alone")
        if self.hfov_deg is not None and self.focal_length_mm is not None:
            raise ValueError("give either hfov_deg or focal_length_mm with sensor_width_mm, not both")
        if self.hfov_deg is not None and not 0 < self.hfov_deg < 180:
            raise ValueError(f"hfov_deg must lie between 0 and 180, got {self.hfov_deg}")
        for name in ("lens_uncertainty", "range_uncertainty_m", "tilt_uncertainty_deg"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("focal_length_mm", "sensor_width_mm", "min_width_px"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, got {value}")

    def focal_px(self, width_px: int) -> float | None:
        """Focal length in pixels of a frame whose longer side has ``width_px``; None when the lens is not stated."""
        if self.hfov_deg is not None:
            return width_px / 2 / math.tan(math.radians(self.hfov_deg) / 2)
        if self.focal_length_mm is not None and self.sensor_width_mm is not None:
            return width_px * self.focal_length_mm / self.sensor_width_mm
        return None


@dataclass(frozen=True, slots=True)
class Look:
    """How a frame sees the surface."""

    plane: _Plane
    relative: float
    """Relative standard uncertainty of a length on the surface."""
    incidence_deg: float | None
    """Angle between optical axis and surface normal; None where it is not known but assumed."""


def look(nav: NavState, width_px: int, height_px: int, options: ScaleOptions) -> Look | None:
    """How a frame of that size sees the surface; None where range, lens or attitude do not say."""
    # A photo turned upright by its EXIF still has the sensor's long side as its long side.
    focal_px = options.focal_px(max(width_px, height_px))
    normal = _normal(options, nav.attitude)
    if focal_px is None or nav.range_m is None or nav.range_m <= 0 or normal is None:
        return None
    incidence_deg = math.degrees(math.acos(min(1.0, abs(float(normal[2])))))
    if incidence_deg > options.max_incidence_deg:
        return None
    centre = np.array([(width_px - 1) / 2, (height_px - 1) / 2])
    plane = _Plane(normal, nav.range_m * 1000, focal_px, centre)
    known_tilt = incidence_deg if options.surface != "facing" else None
    return Look(plane, _relative(nav.range_m, known_tilt, options), known_tilt)


def size_of(crack: Crack, nav: NavState, width_px: int, height_px: int, options: ScaleOptions) -> CrackSize | None:
    """Size of ``crack`` in a frame of that size; None where range, lens or attitude do not support it."""
    seen = look(nav, width_px, height_px, options)
    path = crack.path_px.astype(np.float64)
    on_surface = None if seen is None else seen.plane.cut(path)
    if seen is None or on_surface is None:
        return None
    return _size(crack, seen.plane, path, on_surface, seen.relative, seen.incidence_deg, options)


@dataclass(frozen=True, slots=True)
class _Plane:
    normal: Points
    """Unit normal in camera axes (x right, y down, z forward)."""
    distance_mm: float
    """Along the optical axis."""
    focal_px: float
    centre_px: Points

    def cut(self, pixels: Points) -> Points | None:
        """Where the pixels' rays meet the plane, (N, 3) mm; None if one looks past the horizon."""
        rays = np.column_stack([(pixels - self.centre_px) / self.focal_px, np.ones(len(pixels))])
        slope = rays @ self.normal
        if np.any(np.abs(slope) < 1e-3) or np.any(np.sign(slope) != np.sign(self.normal[2])):
            return None
        cut: Points = rays * (self.distance_mm * self.normal[2] / slope)[:, None]
        return cut


def _normal(options: ScaleOptions, attitude: Attitude | None) -> Points | None:
    """Surface normal in camera axes; None when the attitude it needs is unknown."""
    if options.surface == "facing":
        return np.array([0.0, 0.0, -1.0])
    if attitude is None:
        return None
    to_ned = camera_to_ned(attitude)
    if options.surface == "horizontal":
        ned = np.array([0.0, 0.0, 1.0])
    else:
        heading = math.radians(options.wall_normal_deg if options.wall_normal_deg is not None else attitude.yaw_deg)
        ned = np.array([math.cos(heading), math.sin(heading), 0.0])
    normal: Points = to_ned.T @ ned
    return normal


def camera_to_ned(attitude: Attitude) -> Points:
    """Rotation (3, 3) from camera axes (x right, y down, z forward) to north-east-down (3-2-1 Euler angles)."""
    roll, pitch, yaw = (math.radians(a) for a in (attitude.roll_deg, attitude.pitch_deg, attitude.yaw_deg))
    cr, sr, cp, sp, cy, sy = (
        math.cos(roll),
        math.sin(roll),
        math.cos(pitch),
        math.sin(pitch),
        math.cos(yaw),
        math.sin(yaw),
    )
    body_to_ned = np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
    return body_to_ned[:, [1, 2, 0]]  # body forward, right, down are the camera's z, x, y


def _relative(range_m: float, incidence_deg: float | None, options: ScaleOptions) -> float:
    """Relative standard uncertainty of the scale, terms in quadrature."""
    tilt = math.radians(options.tilt_uncertainty_deg)
    # Square to the surface the first-order term vanishes; what is left is the second-order 1/cos - 1.
    second = 1 / math.cos(tilt) - 1
    tilt_term = second if incidence_deg is None else math.hypot(math.tan(math.radians(incidence_deg)) * tilt, second)
    return math.hypot(options.range_uncertainty_m / range_m, options.lens_uncertainty, tilt_term)


def _size(
    crack: Crack,
    plane: _Plane,
    path: Points,
    on_surface: Points,
    relative: float,
    incidence_deg: float | None,
    options: ScaleOptions,
) -> CrackSize:
    gsd = float(np.mean(on_surface[:, 2])) / plane.focal_px
    # length_px is smoother than the published polyline, so the polyline only carries the local scale.
    steps_px = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
    steps_mm = float(np.linalg.norm(np.diff(on_surface, axis=0), axis=1).sum())
    length_mm = crack.length_px * (steps_mm / steps_px if steps_px > 0 else gsd)
    width_px = float(crack.width_px.mean())
    across = _across(plane, path) if steps_px > 0 else gsd
    # Without an estimate from the profile a mask's edge is good to about a pixel.
    sigma_px = crack.width_sigma_px if crack.width_sigma_px is not None else 1.0
    resolved = width_px >= options.min_width_px and crack.width_at_most_px is None
    bound_px = crack.width_at_most_px or max(width_px, options.min_width_px) + 2 * sigma_px
    return CrackSize(
        gsd_mm_per_px=gsd,
        length_mm=length_mm,
        width_mm=width_px * across if resolved else None,
        width_sigma_mm=across * math.hypot(sigma_px, width_px * relative) if resolved else None,
        width_at_most_mm=None if resolved else bound_px * across * (1 + 2 * relative),
        incidence_deg=incidence_deg,
    )


def _across(plane: _Plane, path: Points) -> float:
    """Millimetres per pixel across the crack, averaged along it."""
    along = np.gradient(path, axis=0)
    length = np.linalg.norm(along, axis=1)
    turns = length > 0  # a path that doubles back has no direction at its turn
    if not turns.any():
        return plane.distance_mm / plane.focal_px
    path, along = path[turns], along[turns] / length[turns, None]
    normal = np.column_stack([-along[:, 1], along[:, 0]])
    left, right, ahead = plane.cut(path - normal / 2), plane.cut(path + normal / 2), plane.cut(path + along)
    if left is None or right is None or ahead is None:
        return plane.distance_mm / plane.focal_px
    # The image normal is not the crack's normal on the surface under tilt: take the part across the crack.
    from_edge_to_edge = right - left
    unit = ahead - (left + right) / 2
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    across = from_edge_to_edge - (from_edge_to_edge * unit).sum(axis=1, keepdims=True) * unit
    return float(np.linalg.norm(across, axis=1).mean())
