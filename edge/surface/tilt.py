"""What a surface that is tilted otherwise than it is taken does to lengths and areas on it, to first order.

The plane through the point ``range_m`` = r ahead has the slopes q = (n_x, n_y) / n_z of its unit normal n. The ray
d = (u, v, 1) meets it at X = r d / (1 + q . (u, v)), so a change dq moves that point along its ray:

    dX = -X ((X_x, X_y) . dq) / r.

What is short on the surface and points along its unit vector t is stretched by the share -g . dq / r with

    g = (X_x, X_y) + (X . t) (t_x, t_y),

and an area by the sum for t and the direction across it: g = 3 (X_x, X_y) - r n_z (n_x, n_y), as X . n = r n_z. What is
measured across a line stays perpendicular to it, so it changes as the area does, less the stretch along the line: as a
length across it. Square to the surface all of that vanishes on the axis, but at an angle a off it a length changes by
tan(a) times the tilt, or by 2 tan(a) where it points away from the axis.

A normal turned by independent angles of variance s**2 about two axes of the plane has the covariance
s**2 (I - n n^T), its slopes with m = (n_x, n_y) that of s**2 (I / n_z**2 + m m^T / n_z**4).
"""

from __future__ import annotations

import math

import numpy as np

from edge.surface.plane import Float64, Plane


def of_lengths(plane: Plane, at: Float64, along: Float64) -> float:
    """By which share the lengths of ``along`` (N, 3), all added up, change when the tilt has a deviation of a radian.

    They lie on the plane around the points ``at`` (N, 3), metres, and are not all 0.
    """
    size = np.sqrt(np.einsum("ij,ij->i", along, along))
    stretch = size @ at[:, :2] + (np.einsum("ij,ij->i", at, along) / np.maximum(size, 1e-30)) @ along[:, :2]
    return _share(plane, stretch / size.sum())


def of_area(plane: Plane, middle: Float64) -> float:
    """The same for an area whose centre of gravity is ``middle`` (3,), metres."""
    return _share(plane, 3 * middle[:2] - plane.range_m * plane.normal[2] * plane.normal[:2])


def _share(plane: Plane, stretch: Float64) -> float:
    ahead, level = float(plane.normal[2]), plane.normal[:2]
    return math.hypot(*(stretch / ahead).tolist(), float(stretch @ level) / ahead**2) / plane.range_m
