"""The plane that the camera looks at: which way it faces, and where rays meet it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edge.navigation import Attitude, rotation
from edge.surface.lens import Lens

Float64 = npt.NDArray[np.float64]
Surface = Literal["facing", "horizontal", "vertical"]
"""``facing``: the pilot keeps the camera square to it; ``horizontal``: a deck or soffit; ``vertical``: wall or pier."""

# A ray that meets the plane at less than this (about 0.06 degree) runs along it.
_GRAZING = 1e-3
_CAMERA_AXES = [1, 2, 0]  # of the vehicle's forward, right, down: the camera's x, y, z are right, down, forward
FACING = np.array([0.0, 0.0, -1.0])


def camera_to_ned(attitude: Attitude) -> Float64:
    """Rotation (3, 3) from camera axes (x right, y down, z forward) to north-east-down."""
    return np.array(rotation.matrix(rotation.quaternion(attitude)))[:, _CAMERA_AXES]


def normal_ned(surface: Surface, wall_normal_deg: float | None, to_ned: Float64, yaw_deg: float) -> Float64:
    """Unit normal of the surface, north-east-down, for a camera turned by ``to_ned`` that heads to ``yaw_deg``."""
    if surface == "facing":
        return np.asarray(to_ned @ FACING)
    if surface == "horizontal":
        return np.array([0.0, 0.0, 1.0])
    heading = math.radians(wall_normal_deg if wall_normal_deg is not None else yaw_deg)
    return np.array([math.cos(heading), math.sin(heading), 0.0])


def turn(axis: int, angle: float) -> Float64:
    """Rotation (3, 3) by ``angle`` radians about one axis."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    turn = np.eye(3)
    turn[first, first] = turn[second, second] = math.cos(angle)
    turn[first, second], turn[second, first] = -math.sin(angle), math.sin(angle)
    return turn


@dataclass(frozen=True, slots=True)
class Plane:
    """The surface in camera axes, through the point ``range_m`` ahead on the optical axis."""

    normal: Float64
    """Unit normal (3,)."""
    range_m: float
    lens: Lens

    @property
    def incidence_deg(self) -> float:
        """Angle between optical axis and normal."""
        return math.degrees(math.acos(min(1.0, abs(float(self.normal[2])))))

    def cut(self, pixels: npt.NDArray[np.floating[Any]]) -> Float64 | None:
        """Where the rays of pixels (N, 2) meet the plane, metres (N, 3); None if one misses it or leaves the lens."""
        rays = self.lens.rays(pixels)
        slope = rays @ self.normal
        # Written so that NaN, a pixel outside what the lens model covers, misses too.
        if not np.all(slope * np.sign(self.normal[2]) >= _GRAZING):
            return None
        cut: Float64 = rays * (self.range_m * self.normal[2] / slope)[:, None]
        return cut
