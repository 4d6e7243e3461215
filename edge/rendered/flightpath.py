"""How the camera flies along the surface: a serpentine with sway, and the plane homography of each moment."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge.rendered.strokes import Float64, project

_ROUNDING_M = 0.35
"""Corners of the serpentine are rounded over this distance before and after."""
_SWAYS = 5
"""Sine waves that make up each sway; their periods lie between _SLOWEST_S and _FASTEST_S."""
_SLOWEST_S, _FASTEST_S = 11.0, 0.8


@dataclass(frozen=True, slots=True)
class Lens:
    """A pinhole lens; the optical axis meets the middle of the sensor."""

    focal_mm: float
    pixel_um: float
    """Pixel pitch of the delivered picture (after any binning or scaling)."""
    width_px: int
    height_px: int

    @property
    def focal_px(self) -> float:
        """Focal length in pixels."""
        return self.focal_mm * 1000 / self.pixel_um

    def gsd_mm_per_px(self, range_m: float) -> float:
        """Millimetres per pixel on a surface square to the axis ``range_m`` away."""
        return range_m * 1000 / self.focal_px


@dataclass(frozen=True, slots=True)
class Pose:
    """Camera before the surface: place in surface coordinates, attitude against the surface's normal."""

    x_mm: float
    y_mm: float
    distance_mm: float
    """Lens to surface along the surface's normal."""
    roll_deg: float
    pitch_deg: float
    yaw_deg: float
    """As in Attitude, but 0 looks square at the surface; positive looks to the right."""

    @property
    def range_m(self) -> float:
        """Lens to surface along the optical axis."""
        return self.distance_mm / 1000 / (math.cos(math.radians(self.pitch_deg)) * math.cos(math.radians(self.yaw_deg)))

    def surface_to_frame(self, lens: Lens) -> Float64:
        """Return the 3x3 homography from surface millimetres to frame pixels; (0, 0) is the top left pixel's centre."""
        camera_from_wall = _rotation(self.roll_deg, self.pitch_deg, self.yaw_deg).T
        # Forward, right, down of a surface point (x, y, 1), seen from the lens.
        offset = np.array([[0, 0, self.distance_mm], [1, 0, -self.x_mm], [0, 1, -self.y_mm]])
        ahead, right, down = camera_from_wall @ offset
        middle_x, middle_y = (lens.width_px - 1) / 2, (lens.height_px - 1) / 2
        matrix = np.stack([lens.focal_px * right + middle_x * ahead, lens.focal_px * down + middle_y * ahead, ahead])
        return np.asarray(matrix / matrix[2, 2], np.float64)


class FlightPath:
    """A flight over a surface: up in lanes from the lower left, back the same way, and so on without end."""

    def __init__(
        self, seed: int, lens: Lens, width_mm: float, height_mm: float, range_m: float, speed_m_s: float, start_ns: int
    ) -> None:
        self.start_ns = start_ns
        """Monotonic time at which the flight begins: the middle of the first frame's exposure."""
        self.waypoints_mm = _serpentine(lens, width_mm, height_mm, range_m)
        self._reached_m = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(self.waypoints_mm, axis=0).T))]) / 1000
        self._range_mm = range_m * 1000
        self._speed_m_s = speed_m_s
        rng = np.random.default_rng([seed, 11])
        self._hertz = np.geomspace(1 / _SLOWEST_S, 1 / _FASTEST_S, _SWAYS) * rng.uniform(0.85, 1.15, (6, _SWAYS))
        self._phase = rng.uniform(0, 2 * np.pi, (6, _SWAYS))
        # Slow sway is wide, fast shake is small. Lines: x, y, distance (mm), roll, pitch, yaw (degrees).
        reach = np.array([18.0, 16.0, 0.05 * self._range_mm, 0.9, 0.8, 1.0])
        self._reach = reach[:, None] * np.array([1.0, 0.5, 0.25, 0.10, 0.04])

    @property
    def lap_s(self) -> float:
        """Time from the lower left corner through all lanes to the far end."""
        return float(self._reached_m[-1]) / self._speed_m_s

    def pose_at(self, at_ns: int) -> Pose:
        """The camera's pose at a monotonic time; before the start it waits on the spot, swaying."""
        t_s = (at_ns - self.start_ns) / 1e9
        x, y = self._place(max(0.0, t_s) * self._speed_m_s)
        sway = (self._reach * np.sin(2 * np.pi * self._hertz * t_s + self._phase)).sum(axis=1).tolist()
        return Pose(x + sway[0], y + sway[1], self._range_mm + sway[2], sway[3], sway[4], sway[5])

    def smear_px(self, at_ns: int, exposure_us: int, lens: Lens) -> tuple[float, float]:
        """How far the middle of the picture moves over an exposure around ``at_ns``, pixels right and down."""
        half = round(exposure_us * 500)
        middle = np.array([[(lens.width_px - 1) / 2, (lens.height_px - 1) / 2]])
        on_surface = project(np.linalg.inv(self.pose_at(at_ns).surface_to_frame(lens)), middle)
        begin, end = (project(self.pose_at(at_ns + d).surface_to_frame(lens), on_surface)[0] for d in (-half, half))
        return float(end[0] - begin[0]), float(end[1] - begin[1])

    def _place(self, flown_m: float) -> tuple[float, float]:
        """Place after a distance along the serpentine, out and back, corners rounded by averaging around it."""
        lap = float(self._reached_m[-1])
        around = flown_m + _ROUNDING_M * np.linspace(-1, 1, 9)
        there = lap - np.abs(np.mod(around, 2 * lap) - lap)
        x, y = (np.interp(there, self._reached_m, self.waypoints_mm[:, i]) for i in (0, 1))
        return float(x.mean()), float(y.mean())


def _serpentine(lens: Lens, width_mm: float, height_mm: float, range_m: float) -> Float64:
    """Corners of lanes that overlap by a fifth, from the foot of the surface upwards; float64 (N, 2)."""
    seen = lens.gsd_mm_per_px(range_m) * np.array([lens.width_px, lens.height_px])
    inset_x, inset_y = min(0.45 * seen[0], width_mm / 2), min(0.48 * seen[1], height_mm / 2)
    lanes = max(1, math.ceil((height_mm - 2 * inset_y) / (0.8 * seen[1])) + 1)
    levels = np.linspace(height_mm - inset_y, inset_y, lanes)
    ends = (inset_x, max(width_mm - inset_x, inset_x + 1))
    corners = [(x, y) for i, y in enumerate(levels) for x in (ends if i % 2 == 0 else ends[::-1])]
    return np.array(corners, np.float64)


def _rotation(roll_deg: float, pitch_deg: float, yaw_deg: float) -> Float64:
    """Camera axes (forward, right, down) in surface axes (into it, right, down): 3-2-1 Euler angles, as in Attitude."""
    r, p, y = np.radians([roll_deg, pitch_deg, yaw_deg])
    about_down = np.array([[np.cos(y), -np.sin(y), 0], [np.sin(y), np.cos(y), 0], [0, 0, 1]])
    about_right = np.array([[np.cos(p), 0, np.sin(p)], [0, 1, 0], [-np.sin(p), 0, np.cos(p)]])
    about_forward = np.array([[1, 0, 0], [0, np.cos(r), -np.sin(r)], [0, np.sin(r), np.cos(r)]])
    return np.asarray(about_down @ about_right @ about_forward, np.float64)
