"""How uncertain a place is: the camera as it is, and moved by one standard deviation of each input."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge.navigation import NavState
from edge.surface import Ellipse
from edge.surface.local import Frame, PlaceOptions
from edge.surface.plane import Float64, Plane, camera_to_ned, turn
from edge.surface.scale import ScaleOptions

_AXIS = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True)
class Bundle:
    """The camera as it is, and moved by one standard deviation of each input: first row as it is."""

    turns: Float64
    """(K, 3, 3): camera axes to north, east, down."""
    normals: Float64
    """(K, 3)."""
    reach: Float64
    """(K,): range times the cosine between axis and normal: from the lens straight to the plane."""
    focal: Float64
    """(K,): by what the focal length is multiplied."""
    lever: Float64
    """(K, 3): from the reported position to the lens."""


def bundle(nav: NavState, plane: Plane, lever: Float64, scale: ScaleOptions, options: PlaceOptions) -> Bundle:
    """The camera of a frame whose attitude is known; ``lever`` (3,) leads from the reported position to the lens."""
    assert nav.attitude is not None
    tilt, heading = math.radians(options.attitude_uncertainty_deg), math.radians(options.heading_uncertainty_deg)
    to_ned = camera_to_ned(nav.attitude)
    shakes = [np.eye(3), *(turn(axis, angle) for axis, angle in enumerate((tilt, tilt, heading)))]
    turns = np.stack([shake @ to_ned for shake in shakes] + [to_ned] * 4)
    normal = to_ned @ plane.normal
    normals = np.stack([normal] * 8)
    if scale.surface == "facing":
        normals = turns @ plane.normal
    elif scale.surface == "vertical" and scale.wall_normal_deg is None:
        normals[3] = shakes[3] @ normal
    first, second = _across(normal)
    slant = math.tan(math.radians(scale.tilt_uncertainty_deg))
    normals[6], normals[7] = _unit(normal + slant * first), _unit(normal + slant * second)
    ranges = np.full(8, plane.range_m)
    ranges[4] += scale.range_uncertainty_m
    focal = np.ones(8)
    focal[5] += plane.lens.focal_uncertainty
    reach = ranges * np.einsum("ki,ki->k", turns @ _AXIS, normals)
    levers = np.stack([shake @ lever for shake in shakes] + [lever] * 4)
    return Bundle(turns, normals, reach, focal, levers)


def spread_of(frame: Frame, spread: Float64) -> tuple[tuple[float, float, float | None] | None, Ellipse | None]:
    """Standard uncertainties and ellipse in the frame's axes of a position and what ``spread`` (3, 3) adds to it."""
    if frame.sigma_ned_m is None:
        return None, None
    north, east, down = frame.sigma_ned_m
    own = frame.from_ned @ np.diag([north**2, east**2, (down or 0.0) ** 2]) @ frame.from_ned.T
    whole = own + spread
    has_height = down is not None and frame.has_height
    sigma = (math.sqrt(whole[0, 0]), math.sqrt(whole[1, 1]), math.sqrt(whole[2, 2]) if has_height else None)
    shares, ways = np.linalg.eigh(whole[:2, :2])
    azimuth = math.degrees(math.atan2(float(ways[0, 1]), float(ways[1, 1]))) % 180.0
    return sigma, Ellipse(math.sqrt(max(0.0, shares[1])), math.sqrt(max(0.0, shares[0])), azimuth)


def _across(normal: Float64) -> tuple[Float64, Float64]:
    """Two unit vectors that lie in the plane of ``normal``."""
    helper = np.eye(3)[int(np.argmin(np.abs(normal)))]
    first = _unit(np.cross(normal, helper))
    return first, np.cross(normal, first)


def _unit(vector: Float64) -> Float64:
    return np.asarray(vector / np.linalg.norm(vector))
