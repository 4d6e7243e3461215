"""Pixel to place: the undistorted ray, cut with the surface at the measured range, in local metres and on WGS 84.

``Surveyor.look`` computes what a frame's damages share (lens, plane, position, their uncertainties); ``View.place_of``
places one of them. The uncertainty is propagated by moving each input by its standard deviation: two tilts and the
heading of the camera, the range, the focal length, two tilts of the surface; the position's own adds to that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.frames import PicturePose
from edge.navigation import Fix, NavState
from edge.surface import Place, lens, tilt
from edge.surface.lens import Lens
from edge.surface.local import Frame, Frames, PlaceOptions, on_earth
from edge.surface.plane import Float64, Plane, camera_to_ned, normal_ned
from edge.surface.scale import ScaleOptions, relative_uncertainty
from edge.surface.structure import StructureOptions
from edge.surface.uncertainty import Bundle, bundle, spread_of

_LENSES_KEPT = 16

NO_POSITION = "there is no satellite fix and no local position"
NO_LENS = "no lens is stated ([scale] lens), and the picture does not say"
ANOTHER_CAMERA = "the picture is of another camera than the first one, whose lens is stated in [scale]"
NO_RANGE = "the range to the surface is not measured"
BAD_RANGE = "the range to the surface is above the largest that is used ([scale] max_range_m)"
NO_ATTITUDE = "the camera's attitude is unknown"
NO_LEVER = "the vehicle's attitude is unknown, so the lever arm to the lens cannot be applied"
OBLIQUE = "the surface is seen too obliquely ([scale] max_incidence_deg)"
MISSED = "the ray through the damage does not meet the surface"


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One frame's look at the surface."""

    plane: Plane | None
    """In camera axes, for sizes; None where lens, range or attitude do not support them."""
    why: str | None
    """Why a damage cannot be placed on the surface; None where it can."""
    why_no_plane: str | None
    """Why ``plane`` is None; None where it is not."""
    scale_uncertainty: float
    """Relative standard uncertainty of lengths on ``plane`` in the middle of the picture; 0 where it is None."""
    frame: Frame | None
    """None: nothing is known of the position."""
    _fix: Fix | None
    _bundle: Bundle | None
    _lever: Float64
    """(3,): from the reported position to the lens, north, east, down; zeros where it could not be applied."""
    _slack_m: float
    """By how much a camera's place may miss the lens, where the lever arm could not be applied."""

    def place_of(self, pixel: npt.NDArray[np.floating[Any]]) -> Place:
        """The place of what is seen at ``pixel`` (2,); a pixel outside the picture is cut as well."""
        if self.frame is None:
            return Place("none", reason=self.why)
        if self._bundle is None or self.plane is None:
            return self._camera(self.why)
        cut = self._cut_all(self.plane.lens, pixel)
        if cut is None:
            return self._camera(MISSED)
        moved = self.frame.from_ned @ (cut[1:] - cut[0]).T
        return self._place("surface", cut[0], moved @ moved.T, None)

    def on_surface(self, pixels: npt.NDArray[np.floating[Any]]) -> Float64 | None:
        """Metres (N, 3) of pixels (N, 2) in ``frame``; None where no place can be given, its height is not known, or a
        ray misses."""
        if self.frame is None or not self.frame.has_height or self._bundle is None or self.plane is None:
            return None
        cut = self.plane.cut(pixels)
        if cut is None:
            return None
        offsets = cut @ self._bundle.turns[0].T + self._bundle.lever[0]
        points: Float64 = self.frame.base_m + offsets @ self.frame.from_ned.T
        return points

    def why_apart(self, flight_frame: str | None) -> str | None:
        """Why what is seen here is placed on the surface and yet gets no course beside the flight's other cracks, whose
        places are in ``flight_frame`` (None: none has one yet); None where nothing keeps it from that."""
        if self.frame is None or self.why is not None:
            return None
        if not self.frame.has_height:
            return "the position has no height: cracks that are seen from there get no course on the surface"
        if flight_frame is not None and self.frame.name != flight_frame:
            return (
                f"positions are now in {self.frame.name}, and those of this flight in {flight_frame}: "
                "cracks that are seen from there get no course on the surface"
            )
        return None

    def _cut_all(self, lens: Lens, pixel: npt.NDArray[np.floating[Any]]) -> Float64 | None:
        """(K, 3): from the reported position to the surface, north, east, down, for each row of the bundle."""
        bundle = self._bundle
        assert bundle is not None
        ray = lens.rays(np.asarray(pixel, np.float64)[None])[0]
        rays = np.column_stack([ray[0] / bundle.focal, ray[1] / bundle.focal, np.ones(len(bundle.focal))])
        ways = np.einsum("kij,kj->ki", bundle.turns, rays)
        slope = np.einsum("ki,ki->k", ways, bundle.normals)
        share = bundle.reach / slope
        # Also false for NaN: a pixel that the lens model does not reach.
        if not (np.all(np.abs(slope) >= 1e-3) and np.all(share > 0)):
            return None
        return np.asarray(bundle.lever + ways * share[:, None])

    def _camera(self, reason: str | None) -> Place:
        return self._place("camera", self._lever, np.eye(3) * self._slack_m**2, reason)

    def _place(self, method: Any, offset_ned: Float64, spread: Float64, reason: str | None) -> Place:
        frame = self.frame
        assert frame is not None
        east, north, up = (float(value) for value in frame.base_m + frame.from_ned @ offset_ned)
        sigma, ellipse = spread_of(frame, spread)
        lat_deg = lon_deg = alt_m = None
        if self._fix is not None:
            lat_deg, lon_deg, alt_m = on_earth(self._fix, offset_ned)
        return Place(
            method=method,
            east_m=east,
            north_m=north,
            up_m=up if frame.has_height else None,
            sigma_m=sigma,
            frame=frame.name,
            lat_deg=lat_deg,
            lon_deg=lon_deg,
            alt_ellipsoid_m=alt_m,
            reason=reason,
            ellipse=ellipse,
        )


class Surveyor:
    """Makes views; keeps the origin of a flight's local frame. Used by one thread."""

    def __init__(
        self, scale: ScaleOptions, place: PlaceOptions | None = None, structure: StructureOptions | None = None
    ) -> None:
        """Raises ConfigError when the lens card cannot be read."""
        self._scale, self._options = scale, place or PlaceOptions()
        self._frames = Frames(self._options, structure)
        self._card = None if scale.lens is None else lens.load(scale.lens)
        self._camera: str | None = None
        self._lenses: dict[tuple[int, int, float | None, float | None], Lens | str] = {}

    def go_on(self, frame_name: str) -> None:
        """Give places in the frame of an earlier run of this flight (``Place.frame``)."""
        self._frames.go_on(frame_name)

    def look(self, nav: NavState, width_px: int, height_px: int, pose: PicturePose | None = None) -> View:
        """What a frame of that size saw; ``pose``: what the picture itself says, its focal length where no lens is set.

        A lens that is set is that of the first camera; pictures of another camera in the same folder have none then.
        """
        seen = self._plane(nav, width_px, height_px, pose)
        plane, why = (None, seen) if isinstance(seen, str) else (seen, None)
        frame = self._frames.of(nav)
        lever = self._lever(nav)
        if frame is None:
            why = NO_POSITION
        elif why is None and nav.attitude is None:
            why = NO_ATTITUDE
        elif why is None and lever is None:
            why = NO_LEVER
        moved = None
        if why is None and plane is not None and lever is not None:
            moved = bundle(nav, plane, lever, self._scale, self._options)
        slack = 0.0 if lever is not None else math.hypot(*self._options.lever_arm_m)
        structure_only = frame is not None and frame.name.startswith("structure:")
        fix = None if structure_only else nav.fix
        return View(
            plane,
            why,
            seen if isinstance(seen, str) else None,
            0.0 if plane is None else _scale_uncertainty(plane, self._scale),
            frame,
            fix,
            moved,
            np.zeros(3) if lever is None else lever,
            slack,
        )

    def _plane(self, nav: NavState, width_px: int, height_px: int, pose: PicturePose | None) -> Plane | str:
        """The surface in camera axes, or why there is none."""
        options = self._scale
        found = self._lens(width_px, height_px, pose)
        if self._of_another_camera(pose):
            found = ANOTHER_CAMERA
        if isinstance(found, str):
            return found
        range_m = nav.range_m if nav.range_m is not None else options.range_m
        if range_m is None or not (math.isfinite(range_m) and range_m > 0):
            return NO_RANGE
        if range_m > options.max_range_m:
            return BAD_RANGE
        if nav.attitude is None and options.surface != "facing":
            return NO_ATTITUDE
        normal = np.array([0.0, 0.0, -1.0])
        if nav.attitude is not None:
            to_ned = camera_to_ned(nav.attitude)
            normal = to_ned.T @ normal_ned(options.surface, options.wall_normal_deg, to_ned, nav.attitude.yaw_deg)
        plane = Plane(normal, range_m, found)
        return OBLIQUE if plane.incidence_deg > options.max_incidence_deg else plane

    def _of_another_camera(self, pose: PicturePose | None) -> bool:
        if pose is None or not pose.camera or self._scale.stated_lens() is None:
            return False
        self._camera = self._camera or pose.camera
        return pose.camera != self._camera

    def lens(self, width_px: int, height_px: int, pose: PicturePose | None) -> Lens | None:
        """The lens of a picture of that size; None where nobody states it, or it is of another camera."""
        if self._of_another_camera(pose):
            return None
        found = self._lens(width_px, height_px, pose)
        return found if isinstance(found, Lens) else None

    def _lens(self, width_px: int, height_px: int, pose: PicturePose | None) -> Lens | str:
        focal_px, guessed = (None, None) if pose is None else (pose.focal_px, pose.focal_uncertainty)
        key = (width_px, height_px, focal_px, guessed)
        if key not in self._lenses:
            while len(self._lenses) >= _LENSES_KEPT:  # photos with a zoom lens: each states another focal length
                self._lenses.pop(next(iter(self._lenses)))
            self._lenses[key] = self._new_lens(width_px, height_px, focal_px, guessed)
        return self._lenses[key]

    def _new_lens(self, width_px: int, height_px: int, focal_px: float | None, guessed: float | None) -> Lens | str:
        if self._card is not None:
            card = self._card
            if card.fits(width_px, height_px):
                return card.scaled(width_px, height_px)
            return (
                f"the lens card {card.name} is for pictures of {card.width_px}x{card.height_px}, "
                f"these are {width_px}x{height_px}; calibrate at this size"
            )
        # A photo turned upright by its EXIF still has the sensor's long side as its long side.
        stated_px = self._scale.focal_px(max(width_px, height_px))
        chosen_px = stated_px if stated_px is not None else focal_px
        if chosen_px is None:
            return NO_LENS
        origin = "the configuration" if stated_px is not None else "the picture's own EXIF or XMP"
        uncertainty = max(self._scale.lens_uncertainty, 0.0 if stated_px is not None else guessed or 0.0)
        return lens.pinhole(chosen_px, width_px, height_px, focal_uncertainty=uncertainty, origin=origin)

    def _lever(self, nav: NavState) -> Float64 | None:
        """From the reported position to the lens, north, east, down; None where the vehicle's attitude is missing."""
        if not any(self._options.lever_arm_m):
            return np.zeros(3)
        if nav.vehicle is None:
            return None
        to_ned = camera_to_ned(nav.vehicle)  # axes right, down, forward
        forward, right, down = self._options.lever_arm_m
        return np.asarray(to_ned @ np.array([right, down, forward]))


def _scale_uncertainty(plane: Plane, options: ScaleOptions) -> float:
    """Relative standard uncertainty of lengths where the camera looks: half of that of an area there."""
    return relative_uncertainty(plane, options, tilt.of_area(plane, np.array([0.0, 0.0, plane.range_m])) / 2)
