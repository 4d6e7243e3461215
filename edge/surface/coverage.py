"""What of a surface was seen, and how well: a grid over each chart in which the best view of every cell counts.

A chart is the flat map that registration lays the frames on (`registration`). Its units are metres along and up the
surface where poses are known, else pixels of its first frame. When there are too many tiles (`grid`), glimpses are left
out, those of fewest frames first, then cells grow, and if that does not suffice the charts of fewest frames go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from edge.surface.grid import Grid
from edge.surface.homography import project
from edge.surface.outlines import Polygon
from edge.surface.registration import Registered
from edge.surface.straightening import Bend
from edge.surface.visibility import CLASSES, Kind

Points = npt.NDArray[np.float64]

MAX_TILES = 2048
"""All charts together: 8 MiB."""
GLIMPSE = 4
"""A chart of so many frames, at most, is left out where there is no room for another one: over water each frame begins
one. A chart of more frames gets larger cells first."""
MOST_GROWN = 3
"""So often a chart's cells are doubled to save memory: a cell is a sixth of the first frame's width then."""
MAX_CORNERS = 20_000
"""Outlines with more corners than this are drawn with larger cells."""
MOST_DOUBLINGS = 5


@dataclass(frozen=True, slots=True)
class Patch:
    """What was seen in one way of one chart, or of all charts in metres of one surface, which share coordinates."""

    chart: int
    """Of ``charts`` the one with most frames."""
    charts: tuple[int, ...]
    """All that it was seen on, those of most frames first."""
    kind: Kind
    polygons: tuple[Polygon, ...]
    """In chart units; each is an outer ring and its holes, float64 (N, 2), closed."""
    area: float
    """Square chart units."""
    share: float
    """The same as a multiple of the square over the width of the chart's first frame: patches in metres and in pixels
    are compared by it."""

    @property
    def corners(self) -> int:
        """How many its rings have together."""
        return sum(len(ring) for polygon in self.polygons for ring in polygon)


class Coverage:
    """What a flight saw; used by one thread. Memory is bounded by MAX_TILES: no chart is kept without a tile."""

    def __init__(self) -> None:
        self._grids: dict[int, Grid] = {}
        """The oldest first."""
        self.left_out = 0
        """Frames that could not be kept because the flight has too many charts."""
        self.changes = 0
        """Rises with each frame that was taken in."""

    def move(self, placed: Registered) -> None:
        """Follow a chart whose coordinates change with this frame; once for each frame, before its ``add``."""
        grid = self._grids.get(placed.chart)
        if placed.rebased is not None and grid is not None:
            moved = grid.rebased(placed.rebased)
            moved.surface = placed.surface
            self._moved(placed.chart, moved)
        if placed.bent is not None:
            self.bend(placed.bent)

    def add(self, placed: Registered, size: tuple[int, int], quads_px: Sequence[Points], kind: Kind) -> None:
        """Take in one frame of ``size`` (height, width): what it looked at, corners (4, 2) in pixels, and how well."""
        grid = self._grids.get(placed.chart)
        if grid is None:
            grid = Grid.begun(placed.unit_per_px * size[1], metric=placed.unit == "m")
        for quad in quads_px:
            corners = project(placed.to_chart, quad)
            if np.isfinite(corners).all() and cv2.isContourConvex(corners.astype(np.float32)):
                grid.fill(corners, CLASSES.index(kind))
        grid.frames, grid.surface = grid.frames + 1, placed.surface
        self.changes += 1
        if grid.tiles:
            self._grids[placed.chart] = grid
            self._make_room(placed.chart)

    def bend(self, bend: Bend) -> None:
        """Move what was seen of a chart that was straightened."""
        if bend.chart in self._grids:
            self._moved(bend.chart, self._grids[bend.chart].bent(bend))

    @property
    def tiles(self) -> int:
        """How many tiles are kept."""
        return sum(len(grid.tiles) for grid in self._grids.values())

    @property
    def charts(self) -> tuple[int, ...]:
        """Numbers of the charts that something was seen of."""
        return tuple(self._grids)

    def areas(self, chart: int) -> dict[Kind, float]:
        """Area of each class, square chart units, the best seen first."""
        return self._grids[chart].areas()

    def patches(self, most_corners: int = MAX_CORNERS) -> list[Patch]:
        """Everything that was seen, outlined: for each chart one patch for each class that occurs.

        Cells of charts whose outlines are not the simplest possible are doubled until these have at most
        ``most_corners`` together, or MOST_DOUBLINGS times; a chart's cells are not, where that saves no corners.
        """
        drawn = [_Drawn.of(charts, grid) for charts, grid in self._apart()]
        growing = [one for one in drawn if one.corners > one.least]
        for _ in range(MOST_DOUBLINGS):
            if sum(one.corners for one in drawn if one.corners > one.least) <= most_corners:
                break
            growing = [one for one in growing if one.grow()]
        return [patch for one in drawn for patch in one.patches]

    def _apart(self) -> list[tuple[tuple[int, ...], Grid]]:
        """Numbers and grids with no place in two of them.

        Charts in metres of one surface share their coordinates and may lie on each other: they become one grid, the one
        with most frames first. Of others nothing in common is known.
        """
        alike: dict[object, list[int]] = {}
        for chart, grid in self._grids.items():
            alike.setdefault(("m", grid.surface) if grid.metric else chart, []).append(chart)
        return [self._as_one(charts) for charts in alike.values()]

    def _as_one(self, charts: list[int]) -> tuple[tuple[int, ...], Grid]:
        """Charts with common coordinates, the one with most frames first, and their grids in one."""
        charts = sorted(charts, key=lambda chart: -self._grids[chart].frames)
        grids = [self._grids[chart] for chart in charts]
        if len(grids) < 2:
            return tuple(charts), grids[0]
        whole = replace(grids[0], cell=max(grid.cell for grid in grids), frames=0, doublings=0, tiles={})
        for grid in grids:
            whole.take(grid)
        return tuple(charts), whole

    def _moved(self, chart: int, grid: Grid) -> None:
        """Keep a chart's grid in its new coordinates, in which it may touch more tiles."""
        if grid.tiles:
            self._grids[chart] = grid
            self._make_room(chart)
        else:
            del self._grids[chart]

    def _make_room(self, chart: int) -> None:
        """Bring the tiles down to MAX_TILES after ``chart`` grew; what is lost is counted in ``left_out``."""
        while self.tiles > MAX_TILES:
            if not (self._leave_out(chart, GLIMPSE) or self._grow_cells() or self._leave_out(chart, None)):
                # One chart alone, thinly spread: its position jumps.
                self.left_out += 1
                while self.tiles > MAX_TILES:
                    self._grids[chart].tiles.popitem()  # the newest

    def _leave_out(self, growing: int, most_frames: int | None) -> bool:
        """Leave out the chart with fewest frames, of these the oldest; False where all others have too many."""
        others = (chart for chart in self._grids if chart != growing)
        smallest = min(others, key=lambda chart: self._grids[chart].frames, default=None)
        if smallest is None or (most_frames is not None and self._grids[smallest].frames > most_frames):
            return False
        self.left_out += self._grids.pop(smallest).frames
        return True

    def _grow_cells(self) -> bool:
        """Double the cells where that saves most tiles; False where it saves none."""
        able = {chart: grid.gain for chart, grid in self._grids.items() if grid.doublings < MOST_GROWN}
        best = max(able, key=lambda chart: able[chart], default=None)
        if best is None or not able[best]:
            return False
        grown = self._grids[best].coarser()
        if grown.tiles:
            self._grids[best] = grown
        else:  # small areas far from each other: nothing is left of them in larger cells
            self.left_out += self._grids.pop(best).frames
        return True


@dataclass(slots=True, eq=False)
class _Drawn:
    """A grid and its outlines."""

    charts: tuple[int, ...]
    grid: Grid
    patches: list[Patch]

    @classmethod
    def of(cls, charts: tuple[int, ...], grid: Grid) -> _Drawn:
        areas = grid.areas()
        return cls(charts, grid, [
            Patch(charts[0], charts, kind, polygons, areas[kind], areas[kind] / grid.wide**2)
            for kind, polygons in grid.outlined().items()
        ])  # fmt: skip

    @property
    def corners(self) -> int:
        return sum(patch.corners for patch in self.patches)

    @property
    def least(self) -> int:
        """Each patch is a rectangle, and its ring is closed."""
        return 5 * len(self.patches)

    def grow(self) -> bool:
        """Double the cells; False where that saves no corners, or where nothing would be left: then all stays."""
        coarser = _Drawn.of(self.charts, self.grid.coarser())
        if not coarser.patches or coarser.corners >= self.corners:
            return False
        self.grid, self.patches = coarser.grid, coarser.patches
        return True
