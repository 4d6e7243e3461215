"""Pixels to millimetres by the plane the camera looks at; null where range, lens or resolution do not support it.

Each pixel's undistorted ray is cut with the surface plane, so tilt is exact and not a small-angle correction
(a naive scale is wrong by 19 % at 50 degrees). The plane passes through the point that the range sensor measures on
the optical axis; its orientation is the operator's statement (``surface``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.cracks import Crack
from edge.surface import CrackSize, tilt
from edge.surface.plane import Plane, Surface

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleOptions:
    """The ``[scale]`` table: lens, range sensor and surface; without a lens every size is null."""

    lens: str | None = None
    """A lens card: a file that ends in .toml, made by ``spanhawk calibrate``, or the name of one that ships (as
    camera-module-2); None: stated by the keys below, else what a photo's own EXIF and XMP say."""
    hfov_deg: float | None = None
    """Field of view along the longer side of the delivered frame, degrees; None: from focal length and sensor width."""
    focal_length_mm: float | None = None
    """Focal length, millimetres; needs ``sensor_width_mm``."""
    sensor_width_mm: float | None = None
    """Width of the sensor area the frame is read from, millimetres."""
    lens_uncertainty: float = 0.02
    """Relative standard uncertainty of the focal length, where no lens card states it."""
    range_m: float | None = None
    """Metres from lens to surface that the pilot keeps, taken where nothing measures it; None: then it is unknown."""
    max_range_m: float = 100.0
    """A range beyond this is not believed, metres."""
    range_uncertainty_m: float = 0.03
    """Standard uncertainty of the measured range, metres."""
    surface: Surface = "facing"
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
        """Refuse what cannot be."""
        if (self.focal_length_mm is None) != (self.sensor_width_mm is None):
            raise ValueError("focal_length_mm and sensor_width_mm go together; give both, or hfov_deg or lens alone")
        if len(self._stated()) > 1:
            raise ValueError(
                f"give one of lens, hfov_deg, or focal_length_mm with sensor_width_mm; got {self._stated()}"
            )
        if self.hfov_deg is not None and not 0 < self.hfov_deg < 180:
            raise ValueError(f"hfov_deg must lie between 0 and 180, got {self.hfov_deg}")
        for name in ("lens_uncertainty", "range_uncertainty_m"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if not 0 <= self.tilt_uncertainty_deg < 90:
            raise ValueError(f"tilt_uncertainty_deg must be 0 or more and below 90, got {self.tilt_uncertainty_deg}")
        if not 0 < self.max_incidence_deg <= 90:
            raise ValueError(f"max_incidence_deg must be above 0 and at most 90, got {self.max_incidence_deg}")
        if self.wall_normal_deg is not None and not -360 <= self.wall_normal_deg <= 360:
            raise ValueError(f"wall_normal_deg must be from -360 to 360, got {self.wall_normal_deg}")
        for name in ("focal_length_mm", "sensor_width_mm", "min_width_px", "range_m", "max_range_m"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, got {value}")

    def stated_lens(self) -> str | None:
        """Which key states the lens; None where none does."""
        return next(iter(self._stated()), None)

    def _stated(self) -> list[str]:
        return [name for name in ("lens", "hfov_deg", "focal_length_mm") if getattr(self, name) is not None]

    def focal_px(self, width_px: int) -> float | None:
        """Focal length in pixels of a frame whose longer side has ``width_px``; None when the lens is not stated."""
        if self.hfov_deg is not None:
            return width_px / 2 / math.tan(math.radians(self.hfov_deg) / 2)
        if self.focal_length_mm is not None and self.sensor_width_mm is not None:
            return width_px * self.focal_length_mm / self.sensor_width_mm
        return None


def size_of(crack: Crack, plane: Plane | None, options: ScaleOptions) -> CrackSize | None:
    """Size of ``crack`` on the plane that its frame looks at (``View.plane``); None where there is none to cut."""
    if plane is None:
        return None
    path = crack.path_px.astype(np.float64)
    on_surface = plane.cut(path)
    if on_surface is None:
        return None
    known_tilt = plane.incidence_deg if options.surface != "facing" else None
    return _size(crack, plane, path, on_surface * 1000, known_tilt, options)


def relative_uncertainty(plane: Plane, options: ScaleOptions, per_tilt: float) -> float:
    """Relative standard uncertainty of a length on the surface, terms in quadrature.

    ``per_tilt``: by which share it changes with a radian of tilt (`tilt`); where that vanishes, the second-order
    1/cos - 1 is left.
    """
    tilt_rad = math.radians(options.tilt_uncertainty_deg)
    tilt_term = math.hypot(per_tilt * tilt_rad, 1 / math.cos(tilt_rad) - 1)
    return math.hypot(options.range_uncertainty_m / plane.range_m, plane.lens.focal_uncertainty, tilt_term)


def _size(
    crack: Crack,
    plane: Plane,
    path: Points,
    on_surface: Points,
    incidence_deg: float | None,
    options: ScaleOptions,
) -> CrackSize:
    gsd = float(np.mean(on_surface[:, 2])) / plane.lens.fx_px
    # length_px is smoother than the published polyline, so the polyline only carries the local scale.
    steps_px = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
    steps_mm = float(np.linalg.norm(np.diff(on_surface, axis=0), axis=1).sum())
    length_mm = crack.length_px * (steps_mm / steps_px if steps_px > 0 else gsd)
    width_px = float(crack.width_px.mean())
    no_direction = tilt.of_area(plane, on_surface.mean(axis=0) / 1000)
    across, per_tilt = _across(plane, path, no_direction) if steps_px > 0 else (gsd, no_direction)
    relative = relative_uncertainty(plane, options, per_tilt)
    length_per_tilt = no_direction
    if steps_mm > 0:
        middles, steps = (on_surface[1:] + on_surface[:-1]) / 2000, np.diff(on_surface, axis=0)
        length_per_tilt = tilt.of_lengths(plane, middles, steps)
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
        across_mm_per_px=across,
        across_relative=relative,
        length_relative=relative_uncertainty(plane, options, length_per_tilt),
    )


def _across(plane: Plane, path: Points, no_direction: float) -> tuple[float, float]:
    """Millimetres per pixel across the crack, averaged along it, and by which share they change with a radian of tilt.

    ``no_direction`` is the second one where the path has no direction: what an area changes by, as a bound.
    """
    unknown = plane.range_m * 1000 / plane.lens.fx_px, no_direction
    along = np.gradient(path, axis=0)
    length = np.linalg.norm(along, axis=1)
    turns = length > 0  # a path that doubles back has no direction at its turn
    if not turns.any():
        return unknown
    path, along = path[turns], along[turns] / length[turns, None]
    normal = np.column_stack([-along[:, 1], along[:, 0]])
    left, right, ahead = plane.cut(path - normal / 2), plane.cut(path + normal / 2), plane.cut(path + along)
    if left is None or right is None or ahead is None:
        return unknown
    # The image normal is not the crack's normal on the surface under tilt: take the part across the crack.
    from_edge_to_edge, middle = right - left, (left + right) / 2
    unit = ahead - middle
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    across = from_edge_to_edge - (from_edge_to_edge * unit).sum(axis=1, keepdims=True) * unit
    return float(np.linalg.norm(across, axis=1).mean()) * 1000, tilt.of_lengths(plane, middle, across)
