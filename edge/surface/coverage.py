"""What of a surface was seen, and how well: a grid over each chart in which the best view of every cell counts.

A chart is the flat map that registration lays the frames on (`registration`). Its units are metres along and up the
surface where poses are known, else pixels of its first frame. Cells are kept in tiles, so that a flight along a bridge
and a position that jumps cost what they cover, not the box around it. When there are too many tiles the cells grow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.surface.homography import Matrix, project
from edge.surface.outlines import Polygon, outlines
from edge.surface.registration import Registered
from edge.surface.straightening import Bend
from edge.surface.visibility import CLASSES, UNSEEN, Kind

UInt8 = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

CELLS_ACROSS = 48
"""A cell is so small a part of the first frame's width."""
TILE = 64
MAX_TILES = 2048
"""All charts together: 8 MiB."""
BLOCK = 4
"""Tiles on a side of what is outlined at once: polygons are cut at the borders of such blocks."""
MAX_CORNERS = 20_000
"""Outlines with more corners than this are drawn with larger cells."""
MOST_DOUBLINGS = 6


@dataclass(frozen=True, slots=True)
class Patch:
    """What was seen of one chart in one way."""

    chart: int
    kind: Kind
    polygons: tuple[Polygon, ...]
    """In chart units; each is an outer ring and its holes, float64 (N, 2), closed."""
    area: float
    """Square chart units."""


class _Grid:
    """The cells of one chart."""

    def __init__(self, cell: float) -> None:
        self.cell = cell
        """Chart units."""
        self.tiles: dict[tuple[int, int], UInt8] = {}
        """By row and column: uint8 (TILE, TILE), index into CLASSES or UNSEEN."""

    def fill(self, quad: Points, code: int) -> None:
        """Lower what lies in a convex quadrilateral (4, 2) of chart units to ``code`` where it is worse."""
        corners = quad / self.cell
        low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int)
        if (high - low).max() > 64 * CELLS_ACROSS:  # a view along the surface: it says nothing of what is far away
            return
        # A cell was seen where its centre was; OpenCV's polygons also take the cells that their border touches.
        x, y = np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5
        along = corners[[1, 2, 3, 0]] - corners
        across = along[:, 0, None] * (y - corners[:, 1, None])
        up = along[:, 1, None] * (x - corners[:, 0, None])
        # Of a convex quadrilateral all sides have the same hand.
        turned = float(along[0, 0] * along[1, 1] - along[0, 1] * along[1, 0]) < 0
        one, two, three, four = (across[:, :, None] <= up[:, None]) if turned else (across[:, :, None] >= up[:, None])
        inside = one & two & three & four
        for key, (mine, theirs) in _tiles_of(low, high):
            part = inside[theirs]
            if not part.any():
                continue
            tile = self.tiles.get(key)
            if tile is None:
                tile = self.tiles[key] = np.full((TILE, TILE), UNSEEN, np.uint8)
            tile[mine] = np.where(part, np.minimum(tile[mine], code), tile[mine])

    def put(self, centres: Points, codes: UInt8) -> None:
        """Set single cells (N, 2), chart units; the better of two stays."""
        index = np.floor(centres / self.cell).astype(int)
        for (x, y), code in zip(index, codes, strict=True):
            tile = self.tiles.setdefault((y // TILE, x // TILE), np.full((TILE, TILE), UNSEEN, np.uint8))
            tile[y % TILE, x % TILE] = min(tile[y % TILE, x % TILE], code)

    def look_up(self, index: npt.NDArray[np.int_]) -> UInt8:
        """Codes (N,) of the cells with these indices (N, 2), column first; UNSEEN where nothing was seen."""
        codes = np.full(len(index), UNSEEN, np.uint8)
        keys = index[:, ::-1] // TILE
        if not len(index):
            return codes
        (top, left), (bottom, right) = keys.min(axis=0).tolist(), keys.max(axis=0).tolist()
        known = [key for key in self.tiles if top <= key[0] <= bottom and left <= key[1] <= right]
        for row, column in known:
            here = np.flatnonzero((keys[:, 0] == row) & (keys[:, 1] == column))
            codes[here] = self.tiles[row, column][index[here, 1] % TILE, index[here, 0] % TILE]
        return codes

    def cells(self) -> tuple[Points, UInt8]:
        """Centres (N, 2), chart units, and codes (N,) of all that was seen."""
        places: list[Points] = [np.zeros((0, 2))]
        codes: list[UInt8] = [np.zeros(0, np.uint8)]
        for (row, column), tile in self.tiles.items():
            y, x = np.nonzero(tile != UNSEEN)
            at = np.column_stack([x + column * TILE, y + row * TILE]).astype(np.float64)
            places.append((at + 0.5) * self.cell)
            codes.append(tile[y, x])
        return np.concatenate(places), np.concatenate(codes)

    def coarser(self) -> _Grid:
        """The same with cells of twice the size; a new cell is as well seen as the worst of the seen ones in it."""
        grid = _Grid(2 * self.cell)
        for (row, column), tile in self.tiles.items():
            fours = tile.reshape(TILE // 2, 2, TILE // 2, 2).transpose(0, 2, 1, 3).reshape(TILE // 2, TILE // 2, 4)
            seen = fours != UNSEEN
            worst = np.where(seen, fours, 0).max(axis=2)
            half = np.where(seen.sum(axis=2) >= 2, worst, UNSEEN).astype(np.uint8)
            big = grid.tiles.setdefault((row // 2, column // 2), np.full((TILE, TILE), UNSEEN, np.uint8))
            top, left = row % 2 * (TILE // 2), column % 2 * (TILE // 2)
            big[top : top + TILE // 2, left : left + TILE // 2] = half
        return grid


class Coverage:
    """What a flight saw; used by one thread. Memory is bounded by MAX_TILES."""

    def __init__(self) -> None:
        self._grids: dict[int, _Grid] = {}
        self._metric: set[int] = set()
        """Charts in metres."""
        self.left_out = 0
        """Frames that could not be kept because the flight has too many charts."""
        self.changes = 0
        """Rises with each frame that was taken in."""

    def add(self, placed: Registered, size: tuple[int, int], quads_px: Sequence[Points], kind: Kind) -> None:
        """Take in one frame of ``size`` (height, width): what it looked at, corners (4, 2) in pixels, and how well."""
        if placed.rebased is not None and placed.chart in self._grids:
            self._grids[placed.chart] = _rebased(self._grids[placed.chart], placed.rebased)
        if placed.bent is not None:
            self.bend(placed.bent)
        grid = self._grids.get(placed.chart)
        if grid is None:
            if self.tiles >= MAX_TILES and not self._shrink():
                self.left_out += 1
                return
            cell = placed.unit_per_px * size[1] / CELLS_ACROSS
            grid = self._grids[placed.chart] = _Grid(_round(cell) if placed.unit == "m" else cell)
        for quad in quads_px:
            corners = project(placed.to_chart, quad)
            if np.isfinite(corners).all() and cv2.isContourConvex(corners.astype(np.float32)):
                grid.fill(corners, CLASSES.index(kind))
        if placed.unit == "m":
            self._metric.add(placed.chart)
        self.changes += 1
        while self.tiles > MAX_TILES and self._shrink():
            pass

    def bend(self, bend: Bend) -> None:
        """Move what was seen of a chart that was straightened."""
        if bend.chart in self._grids:
            self._grids[bend.chart] = _bent(self._grids[bend.chart], bend)

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
        _, codes = self._grids[chart].cells()
        counts = np.bincount(codes, minlength=len(CLASSES))
        cell = self._grids[chart].cell ** 2
        return {kind: float(counts[code] * cell) for code, kind in enumerate(CLASSES) if counts[code]}

    def patches(self, most_corners: int = MAX_CORNERS) -> list[Patch]:
        """Everything that was seen, outlined: for each chart one patch for each class that occurs.

        Cells are doubled until there are at most ``most_corners``, or MOST_DOUBLINGS times.
        """
        grids = self._apart()
        for _ in range(MOST_DOUBLINGS):
            found = [patch for chart, grid in grids.items() for patch in _patches(chart, grid)]
            if sum(len(ring) for patch in found for polygon in patch.polygons for ring in polygon) <= most_corners:
                break
            grids = {chart: grid.coarser() for chart, grid in grids.items()}
        return found

    def _apart(self) -> dict[int, _Grid]:
        """The grids with no place in two of them: charts in metres share their coordinates and may lie on each other.

        They become one grid under the oldest one's number; charts in pixels have nothing in common that is known.
        """
        metric = sorted(chart for chart in self._grids if chart in self._metric)
        if len(metric) < 2:
            return dict(self._grids)
        whole = _Grid(max(self._grids[chart].cell for chart in metric))
        for chart in metric:
            whole.put(*self._grids[chart].cells())
        return {metric[0]: whole, **{chart: grid for chart, grid in self._grids.items() if chart not in self._metric}}

    def _shrink(self) -> bool:
        """Double the cells of the chart with most tiles; False where that gains nothing."""
        chart = max(self._grids, key=lambda one: len(self._grids[one].tiles))
        before = len(self._grids[chart].tiles)
        self._grids[chart] = self._grids[chart].coarser()
        return len(self._grids[chart].tiles) < before


def _patches(chart: int, grid: _Grid) -> Iterator[Patch]:
    blocks: dict[tuple[int, int], UInt8] = {}
    for (row, column), tile in grid.tiles.items():
        key = row // BLOCK, column // BLOCK
        if key not in blocks:
            blocks[key] = np.full((BLOCK * TILE, BLOCK * TILE), UNSEEN, np.uint8)
        top, left = row % BLOCK * TILE, column % BLOCK * TILE
        blocks[key][top : top + TILE, left : left + TILE] = tile
    for code, kind in enumerate(CLASSES):
        polygons: list[Polygon] = []
        count = 0
        for (row, column), block in blocks.items():
            inside = block == code
            if not inside.any():
                continue
            count += int(inside.sum())
            corner = np.array([column, row]) * (BLOCK * TILE)
            polygons += [tuple((ring + corner) * grid.cell for ring in polygon) for polygon in outlines(inside)]
        if polygons:
            yield Patch(chart, kind, tuple(polygons), count * grid.cell**2)


def _rebased(grid: _Grid, onto: Matrix) -> _Grid:
    """The grid in new chart coordinates; its cells are a little larger then, so that none is left empty between two."""
    centres, codes = grid.cells()
    if not len(centres):
        return _Grid(grid.cell)
    middle = centres.mean(axis=0)
    steps = project(onto, np.array([middle, middle + np.array([grid.cell, 0]), middle + np.array([0, grid.cell])]))
    (a, b), (c, d) = steps[1] - steps[0], steps[2] - steps[0]
    moved = _Grid(_round(1.4 * math.sqrt(abs(a * d - b * c))))
    moved.put(project(onto, centres), codes)
    return moved


def _bent(grid: _Grid, bend: Bend) -> _Grid:
    """The grid of a chart that was straightened, with cells of the same size.

    Each new cell asks the old one that it came from, so that none is left empty between two.
    """
    moved = _Grid(grid.cell)
    around = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    near = {(row + down, column + right) for row, column in grid.tiles for down, right in around}
    y, x = np.mgrid[:TILE, :TILE]
    inner = np.column_stack([x.ravel(), y.ravel()]) + 0.5
    middles = (np.arange(8) + 0.5) * (TILE / 8)
    knots = np.array([(right, down) for down in middles for right in middles])
    for row, column in sorted(near):
        corner = np.array([column, row]) * TILE
        # A bend is smooth: asked at 64 places of a tile and filled in between; its way back is the way there, turned.
        shift = (bend((knots + corner) * grid.cell) / grid.cell - knots - corner).reshape(8, 8, 2).astype(np.float32)
        whole = cv2.resize(shift, (TILE, TILE), interpolation=cv2.INTER_LINEAR).reshape(-1, 2)
        codes = grid.look_up(np.floor(inner + corner - whole).astype(int))
        if (codes != UNSEEN).any():
            moved.tiles[row, column] = codes.reshape(TILE, TILE)
    return moved


def _round(size: float) -> float:
    """The next larger of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(size))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= size * 0.999)


Slices = tuple[slice, slice]


def _tiles_of(
    low: npt.NDArray[np.int_], high: npt.NDArray[np.int_]
) -> Iterator[tuple[tuple[int, int], tuple[Slices, Slices]]]:
    """The tiles that the box of cells from ``low`` to ``high`` (x, y) touches: key, and the slices of tile and box."""
    for row in range(low[1] // TILE, (high[1] - 1) // TILE + 1):
        for column in range(low[0] // TILE, (high[0] - 1) // TILE + 1):
            top, left = row * TILE, column * TILE
            rows = slice(max(low[1], top), min(high[1], top + TILE))
            columns = slice(max(low[0], left), min(high[0], left + TILE))
            mine = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
            theirs = (
                slice(rows.start - low[1], rows.stop - low[1]),
                slice(columns.start - low[0], columns.stop - low[0]),
            )
            yield (row, column), (mine, theirs)
