"""Walls: the planes that cracks lie on, with metres along and up, so that a facade can be drawn as a facade.

A plane is fitted to the cracks and the coverage of one local map (a chart), whose pictures were joined to one another.
Points in one line leave the plane's turn about that line open; it is taken as upright then. A chart may run around a
column or a corner: its cracks are parted then, each with those next to it, so that each part lies on a plane.

Charts in metres of one surface share their coordinates, and coverage outlines them together. Their cracks go with that
coverage where they lie on its plane, else they are one wall for each chart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

_SAME_TURN_DEG = 15.0
_SAME_PLANE_M = 0.5
_LINE = 0.05
"""Spread across the best line below this share of the spread along it: the points are one line."""
_LEVEL = math.cos(math.radians(45))
_POINTS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")


@dataclass(frozen=True, slots=True, eq=False)
class Wall:
    """A plane in one local frame; its own axes are metres along it, and up it."""

    name: str
    frame: str
    """Axes as of ``place.frame``; their third is up."""
    origin_m: Float64
    """(3,): a point of the plane where along is 0; up is the frame's own height on a wall."""
    along: Float64
    """(3,): unit vector, to the right as the camera saw it where that is known."""
    up: Float64
    """(3,): unit vector in the plane, upwards; on a level face, away from the one who looks along it."""
    level: bool
    """True: a soffit or deck rather than a wall."""

    def flat(self, path_m: Float64) -> Float64:
        """(N, 2): metres along and up of points (N, 3) of its frame."""
        off = path_m - self.origin_m
        return np.column_stack([off @ self.along, off @ self.up])

    def holds(self, path_m: Float64) -> bool:
        """True where all points lie on this plane."""
        off_m = np.abs((path_m - self.origin_m) @ np.cross(self.along, self.up))
        return float(off_m.max()) < _SAME_PLANE_M


@dataclass(slots=True)
class _Group:
    frame: str
    cracks: list[Float64]
    seen: list[Float64]
    """Outlines of what was looked at."""
    yaws_deg: list[float]
    members: list[int]

    @property
    def points(self) -> Float64:
        """(N, 3)."""
        return np.vstack([*self.cracks, *self.seen])

    def take(self, other: _Group) -> None:
        """Take in all that lies on the same wall."""
        self.cracks += other.cracks
        self.seen += other.seen
        self.members += other.members
        self.yaws_deg += other.yaws_deg


_Key = tuple[str, int | None]
"""Frame and chart."""


def find(
    paths_m: Sequence[Float64 | None],
    frames: Sequence[str | None],
    charts: Sequence[int | None],
    yaws_deg: Sequence[float | None],
    seen: Sequence[tuple[str, tuple[int, ...], Float64]] = (),
) -> tuple[list[Wall], list[int | None]]:
    """Walls, and for each path the number of its wall (None for one that lies on none).

    The first four belong to the same findings; a path (1, 3) is a finding of which only the middle is known. ``seen``:
    frame, charts and outline (N, 3) of what was looked at, so that a wall without a finding is a wall too; the charts
    are all that the outline was seen on, empty where that is not known.
    """
    groups: dict[_Key, _Group] = {}
    for number, (path, frame, chart) in enumerate(zip(paths_m, frames, charts, strict=True)):
        if path is None or frame is None or len(path) < 2:
            continue
        group = groups.setdefault((frame, chart), _Group(frame, [], [], [], []))
        group.cracks.append(path)
        group.members.append(number)
        yaw = yaws_deg[number]
        if yaw is not None:
            group.yaws_deg.append(yaw)
    alone = []
    for key in [key for key, group in groups.items() if not _flat(group.cracks)]:
        alone += _sides(groups.pop(key), yaws_deg)
    outlines: dict[tuple[str, tuple[int, ...]], list[Float64]] = {}
    for frame, of_charts, outline in seen:
        outlines.setdefault((frame, of_charts), []).append(outline)
    for (frame, of_charts), rings in outlines.items():
        covered = _Group(frame, [], rings, [], [])
        there = _on(groups, covered, of_charts)
        if not there:
            alone.append(covered)
            continue
        for key in there[1:]:
            groups[there[0]].take(groups.pop(key))
        groups[there[0]].take(covered)
    walls: list[Wall] = []
    of: list[int | None] = [None] * len(paths_m)
    merged: list[tuple[Float64, Float64, _Group]] = []
    for group in (*groups.values(), *alone):
        middle, normal = _plane(group.points)
        for other_middle, other_normal, other in merged:
            if other.frame == group.frame and _same(middle, normal, other_middle, other_normal):
                other.take(group)
                break
        else:
            merged.append((middle, normal, group))
    for number, (_, _, group) in enumerate(merged):
        walls.append(_wall(number, group))
        for member in group.members:
            of[member] = number
    for number, (path, frame) in enumerate(zip(paths_m, frames, strict=True)):
        if path is not None and len(path) == 1:
            of[number] = next((at for at, wall in enumerate(walls) if wall.frame == frame and wall.holds(path)), None)
    return walls, of


def _on(groups: Mapping[_Key, _Group], covered: _Group, charts: tuple[int, ...]) -> list[_Key]:
    """Which groups of cracks lie on the same wall as what was looked at on ``charts``.

    Of several charts that are outlined together it is asked which lie on the outline's plane.
    """
    there = [key for key in ((covered.frame, chart) for chart in charts or (None,)) if key in groups]
    if len(charts) < 2:
        return there
    middle, normal = _plane(covered.points)
    off_m = {key: float(np.abs((np.vstack(groups[key].cracks) - middle) @ normal).max()) for key in there}
    return [key for key in there if off_m[key] < _SAME_PLANE_M]


def _flat(cracks: Sequence[Float64]) -> bool:
    """Whether cracks, each (N, 3), lie on one plane; one alone always does."""
    points = np.vstack(cracks)
    middle, normal = _plane(points)
    return len(cracks) < 2 or float(np.abs((points - middle) @ normal).max()) < _SAME_PLANE_M


def _sides(group: _Group, yaws_deg: Sequence[float | None]) -> list[_Group]:
    """The parts of a chart that runs around something: each grows by the nearest crack while it stays on a plane.

    Of two upright cracks any plane through both is as good, so the nearest one must come next.
    """
    middles = np.array([path.mean(axis=0) for path in group.cracks])
    left, sides = list(range(len(middles))), []
    while left:
        side = [left.pop(0)]
        while left:
            apart = np.linalg.norm(middles[left][:, None] - middles[side][None], axis=2).min(axis=1)
            nearest = left[int(apart.argmin())]
            if not _flat([group.cracks[one] for one in (*side, nearest)]):
                break
            side.append(nearest)
            left.remove(nearest)
        members = [group.members[one] for one in side]
        yaws = [yaw for yaw in (yaws_deg[member] for member in members) if yaw is not None]
        sides.append(_Group(group.frame, [group.cracks[one] for one in side], [], yaws, members))
    return sides


def _plane(points: Float64) -> tuple[Float64, Float64]:
    """Middle and unit normal of the best plane; upright through the best line where the points are one line."""
    middle = points.mean(axis=0)
    _, sizes, axes = np.linalg.svd(points - middle, full_matrices=False)
    if len(sizes) < 3 or sizes[1] < _LINE * sizes[0]:
        level = np.array([axes[0][0], axes[0][1], 0.0])
        if np.linalg.norm(level) < 1e-6:
            level = np.array([1.0, 0.0, 0.0])
        normal = np.cross(level, [0.0, 0.0, 1.0])
    else:
        normal = axes[2]
    return middle, np.asarray(normal / np.linalg.norm(normal))


def _same(middle: Float64, normal: Float64, other_middle: Float64, other_normal: Float64) -> bool:
    turned = abs(float(normal @ other_normal))
    apart = abs(float((middle - other_middle) @ other_normal))
    return turned > math.cos(math.radians(_SAME_TURN_DEG)) and apart < _SAME_PLANE_M


def _wall(number: int, group: _Group) -> Wall:
    points = group.points
    middle, normal = _plane(points)
    level = abs(float(normal[2])) > _LEVEL
    look = _mean_look(group.yaws_deg) if group.frame.startswith("enu@") else None
    if level:
        # Along the longer side of what was found; the other axis lies in the plane too.
        _, _, axes = np.linalg.svd((points - middle)[:, :2], full_matrices=False)
        along = np.array([axes[0][0], axes[0][1], 0.0])
        along = along if along[0] >= 0 else -along
        up = np.array([-along[1], along[0], 0.0])
    else:
        along = np.cross([0.0, 0.0, 1.0], normal)
        along = along / np.linalg.norm(along)
        right = None if look is None else np.array([look[1], -look[0], 0.0])
        if (along @ right if right is not None else along[0] + 1e-9 * along[1]) < 0:
            along = -along
        up = np.array([0.0, 0.0, 1.0])
    # Metres count from the first crack, whatever else was looked at.
    start = float(((np.vstack(group.cracks or group.seen) - middle) @ along).min())
    origin = middle + start * along
    if not level:
        origin[2] = 0.0
    return Wall(_name(number, level, group.frame, along, look), group.frame, origin, along, up, level)


def _mean_look(yaws_deg: Sequence[float]) -> Float64 | None:
    """(2,): mean horizontal direction, east and north, in which the cameras looked; None where they do not say."""
    if not yaws_deg:
        return None
    turned = np.radians(yaws_deg)
    mean = np.array([np.sin(turned).mean(), np.cos(turned).mean()])
    return mean / np.linalg.norm(mean) if np.linalg.norm(mean) > 1e-3 else None


def _name(number: int, level: bool, frame: str, along: Float64, look: Float64 | None) -> str:
    if level:
        return f"Face {number + 1}, level"
    if look is None or not frame.startswith("enu@"):
        return f"Wall {number + 1}"
    # Right of the camera is east when it looks north, so the wall faces a quarter turn on: south.
    facing = math.degrees(math.atan2(along[0], along[1])) + 90.0
    return f"Wall {number + 1}, facing {_POINTS[round(facing / 45.0) % 8]}"
