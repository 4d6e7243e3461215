"""What the mask says of a crack before its profile is read: where its borders lie on either side of the centreline."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edge.cracks.lines import Flags, Floats, filled
from edge.cracks.path import Paths, smooth
from edge.cracks.profile import Picture, normals, read
from edge.cracks.skeleton import Points
from edge.cracks.valleys import borders

STEADY = 1.5
"""The centreline's distance from the skeleton is averaged with a Gaussian of this many points."""


class Guide(NamedTuple):
    """What the mask says of L lines with N points; a border lies at half of the mask."""

    paths: Paths
    half_width: Floats
    """(L,): of the mask, about."""
    normal: Points
    """(N, 2): unit normals."""
    left: Floats
    """(N,): border on that side, pixels from the centreline."""
    right: Floats
    found: Flags
    """(N,): False where no border was found, and half the line's width stands in for it."""

    @property
    def middle(self) -> Floats:
        """(N,): half way between the borders, pixels from the centreline."""
        return (self.left + self.right) / 2

    def only(self, lines: Flags) -> Guide:
        """Some ``lines`` (L,) of it."""
        rows = lines[self.paths.rows.owner]
        normal, left, right, found = self.normal[rows], self.left[rows], self.right[rows], self.found[rows]
        return Guide(self.paths.only(lines), self.half_width[lines], normal, left, right, found)

    def moved(self, middle: Floats, known: Flags) -> Paths:
        """The centrelines moved along their normals to ``middle`` (N,), smoothed, and interpolated where not known."""
        rows, closed = self.paths.rows, self.paths.closed
        offset = evened(filled(middle, known, rows), self.paths, STEADY)
        offset[rows.last] = np.where(closed, (offset[rows.first] + offset[rows.last]) / 2, offset[rows.last])
        offset[rows.first] = np.where(closed, offset[rows.last], offset[rows.first])
        return self.paths._replace(xy=self.paths.xy + self.normal * offset[:, None])


def guided(paths: Paths, picture: Picture, half_width: Floats) -> Guide:
    """Look for the borders of the mask along the normals of ``paths``, whose half-widths are about ``half_width``."""
    normal = normals(paths)
    across = read(picture.mask, paths, normal, 2 * half_width + 2, np.maximum(0.5, half_width / 24))
    left, right = borders(across, np.full(len(normal), 127.5, np.float32), None)
    found = np.isfinite(left) & np.isfinite(right)
    half = half_width[paths.rows.owner]
    left, right = np.where(found, left, -half), np.where(found, right, half)
    return Guide(paths, half_width, normal, left, right, found)


def evened(values: Floats, paths: Paths, sigma: float) -> Floats:
    """``values`` (N,) evened out along each line, with a Gaussian of ``sigma`` points."""
    return smooth(values[:, None], paths.rows, paths.closed, sigma, hold_ends=False)[:, 0]
