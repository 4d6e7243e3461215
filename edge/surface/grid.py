"""The cells of one chart: what was seen of each, and how well. `coverage` keeps one grid for each chart of a flight.

Cells are kept in tiles, so that a flight along a bridge and a position that jumps cost what they cover, not the box
around it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt

from edge.surface.homography import Matrix, project
from edge.surface.outlines import Polygon, outlines
from edge.surface.straightening import Bend
from edge.surface.visibility import CLASSES, UNSEEN, Kind

UInt8 = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

CELLS_ACROSS = 48
"""A cell is so small a part of the first frame's width."""
TILE = 64
BLOCK = 4
"""Tiles on a side of what is outlined at once: polygons are cut at the borders of such blocks."""


@dataclass(slots=True, eq=False)
class Grid:
    """The cells of one chart; used by one thread."""

    cell: float
    """Chart units."""
    wide: float
    """Width of the chart's first frame, chart units."""
    metric: bool
    """Whether the chart is in metres."""
    frames: int = 0
    """How many were taken in."""
    doublings: int = 0
    """How often its cells were doubled."""
    tiles: dict[tuple[int, int], UInt8] = field(default_factory=dict)
    """By row and column, the oldest first: uint8 (TILE, TILE), index into CLASSES or UNSEEN."""
    surface: int = 0
    """The surface whose metres these are (``Registered.surface``)."""

    @classmethod
    def begun(cls, wide: float, *, metric: bool) -> Grid:
        """An empty one for a chart whose first frame is so ``wide``; cells in metres have a round size."""
        cell = wide / CELLS_ACROSS
        return cls(rounded(cell) if metric else cell, wide, metric)

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
            tile = self._tile(key)
            tile[mine] = np.where(part, np.minimum(tile[mine], code), tile[mine])

    def put(self, centres: Points, codes: UInt8) -> None:
        """Set single cells (N, 2), chart units, to ``codes`` (N,); the better of two stays."""
        index = np.floor(centres / self.cell).astype(np.int64)
        keys = index[:, ::-1] // TILE
        rows, lines = np.unique(keys, axis=0), index[:, 1] % TILE
        for row, column in rows.tolist():
            here = (keys[:, 0] == row) & (keys[:, 1] == column)
            np.minimum.at(self._tile((row, column)), (lines[here], index[here, 0] % TILE), codes[here])

    def take(self, other: Grid) -> None:
        """Take in what another grid with cells of this size or smaller saw of the same coordinates.

        The better of two stays; of smaller cells at least half of a cell must have been seen, as ``coarser`` has it.
        """
        for key, theirs in (other.tiles if other.cell == self.cell else other._in_cells_of(self.cell)).items():
            mine = self._tile(key)
            np.minimum(mine, theirs, out=mine)
        self.frames += other.frames

    def _in_cells_of(self, cell: float) -> dict[tuple[int, int], UInt8]:
        """Its tiles with larger cells, of any ratio, by the rule of ``coarser``."""
        shares: dict[tuple[int, int], Points] = {}
        worst: dict[tuple[int, int], UInt8] = {}
        for (row, column), tile in self.tiles.items():
            (top, rows), (left, columns) = (_overlaps(place, self.cell / cell) for place in (row, column))
            share = rows @ (tile != UNSEEN) @ columns.T
            codes = np.zeros(share.shape, np.uint8)
            for code in np.unique(tile[tile != UNSEEN]).tolist():  # the worst is the last
                codes[rows @ (tile == code) @ columns.T > 0] = code
            for key, (mine, theirs) in _tiles_of(np.array([left, top]), np.array([left, top]) + share.shape[::-1]):
                shares.setdefault(key, np.zeros((TILE, TILE)))[mine] += share[theirs]
                kept = worst.setdefault(key, np.zeros((TILE, TILE), np.uint8))
                np.maximum(kept[mine], codes[theirs], out=kept[mine])
        found = {
            key: np.where(share >= 0.5 - 1e-6, worst[key], UNSEEN).astype(np.uint8) for key, share in shares.items()
        }
        return {key: tile for key, tile in found.items() if (tile != UNSEEN).any()}

    def _tile(self, key: tuple[int, int]) -> UInt8:
        tile = self.tiles.get(key)
        if tile is None:
            tile = self.tiles[key] = np.full((TILE, TILE), UNSEEN, np.uint8)
        return tile

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

    def pieces(self) -> Iterator[tuple[Points, UInt8]]:
        """Tile by tile the centres (N, 2), chart units, and codes (N,) of what was seen."""
        for (row, column), tile in self.tiles.items():
            y, x = np.nonzero(tile != UNSEEN)
            at = np.column_stack([x + column * TILE, y + row * TILE]).astype(np.float64)
            yield (at + 0.5) * self.cell, tile[y, x]

    def areas(self) -> dict[Kind, float]:
        """Area of each class that occurs, square chart units, the best seen first."""
        counts = np.zeros(UNSEEN + 1, np.int64)
        for tile in self.tiles.values():
            counts += np.bincount(tile.ravel(), minlength=UNSEEN + 1)
        return {kind: float(counts[code] * self.cell**2) for code, kind in enumerate(CLASSES) if counts[code]}

    @property
    def gain(self) -> int:
        """By how many tiles, at least, ``coarser`` has fewer."""
        return len(self.tiles) - len({(row // 2, column // 2) for row, column in self.tiles})

    def coarser(self) -> Grid:
        """The same with cells of twice the size; a new cell is as well seen as the worst of the seen ones in it."""
        grid = replace(self, cell=2 * self.cell, doublings=self.doublings + 1, tiles={})
        for (row, column), tile in self.tiles.items():
            fours = tile.reshape(TILE // 2, 2, TILE // 2, 2).transpose(0, 2, 1, 3).reshape(TILE // 2, TILE // 2, 4)
            seen = fours != UNSEEN
            worst = np.where(seen, fours, 0).max(axis=2)
            half = np.where(seen.sum(axis=2) >= 2, worst, UNSEEN).astype(np.uint8)
            if (half == UNSEEN).all():
                continue
            top, left = row % 2 * (TILE // 2), column % 2 * (TILE // 2)
            grid._tile((row // 2, column // 2))[top : top + TILE // 2, left : left + TILE // 2] = half
        return grid

    def rebased(self, onto: Matrix) -> Grid:
        """The same, of a chart in pixels, in metres: its coordinates multiplied by ``onto`` (3, 3).

        Cells are a little larger then, so that none is left empty between two.
        """
        pieces = list(self.pieces())
        if not pieces:
            return replace(self, tiles={})
        middle = np.concatenate([centres for centres, _ in pieces]).mean(axis=0)
        steps = project(onto, np.array([middle, middle + np.array([self.cell, 0]), middle + np.array([0, self.cell])]))
        (a, b), (c, d) = steps[1] - steps[0], steps[2] - steps[0]
        size = math.sqrt(abs(a * d - b * c))
        moved = replace(self, cell=rounded(1.4 * size), wide=self.wide * size / self.cell, metric=True, tiles={})
        for centres, codes in pieces:
            moved.put(project(onto, centres), codes)
        return moved

    def bent(self, bend: Bend) -> Grid:
        """The grid of a chart that was straightened, with cells of the same size.

        Each new cell asks the old one that it came from, so that none is left empty between two.
        """
        moved = replace(self, tiles={})
        around = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        near = {(row + down, column + right) for row, column in self.tiles for down, right in around}
        y, x = np.mgrid[:TILE, :TILE]
        inner = np.column_stack([x.ravel(), y.ravel()]) + 0.5
        middles = (np.arange(8) + 0.5) * (TILE / 8)
        knots = np.array([(right, down) for down in middles for right in middles])
        for row, column in sorted(near):
            corner = np.array([column, row]) * TILE
            # A bend is smooth: asked at 64 places of a tile and filled in between; its way back is the way there,
            # turned.
            shift = (bend((knots + corner) * self.cell) / self.cell - knots - corner).reshape(8, 8, 2)
            whole = cv2.resize(shift.astype(np.float32), (TILE, TILE), interpolation=cv2.INTER_LINEAR).reshape(-1, 2)
            codes = self.look_up(np.floor(inner + corner - whole).astype(int))
            if (codes != UNSEEN).any():
                moved.tiles[row, column] = codes.reshape(TILE, TILE)
        return moved

    def outlined(self) -> dict[Kind, tuple[Polygon, ...]]:
        """The outlines of each class that occurs, chart units, the best seen first."""
        blocks: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for row, column in self.tiles:
            blocks.setdefault((row // BLOCK, column // BLOCK), []).append((row, column))
        found: dict[int, list[Polygon]] = {}
        for keys in blocks.values():
            (top, left), (bottom, right) = np.min(keys, axis=0).tolist(), np.max(keys, axis=0).tolist()
            block = np.full(((bottom - top + 1) * TILE, (right - left + 1) * TILE), UNSEEN, np.uint8)
            for row, column in keys:
                y, x = (row - top) * TILE, (column - left) * TILE
                block[y : y + TILE, x : x + TILE] = self.tiles[row, column]
            corner = np.array([left, top]) * TILE
            for code in np.flatnonzero(np.bincount(block.ravel(), minlength=UNSEEN)[:UNSEEN]).tolist():
                found.setdefault(code, []).extend(
                    tuple((ring + corner) * self.cell for ring in polygon) for polygon in outlines(block == code)
                )
        return {CLASSES[code]: tuple(found[code]) for code in sorted(found)}


def rounded(size: float) -> float:
    """The next larger of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(size))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= size * 0.999)


Slices = tuple[slice, slice]


def _overlaps(tile: int, ratio: float) -> tuple[int, Points]:
    """Which large rows, or columns, those of a tile overlap, and by which share of a large one's width.

    ``ratio``: width of a small one over that of a large one. Index of the first large one, and float64 (N, TILE).
    """
    edges = (tile * TILE + np.arange(TILE + 1)) * ratio
    first = math.floor(edges[0] + 1e-6)
    large = np.arange(first, max(first + 1, math.ceil(edges[-1] - 1e-6)))[:, None]
    shared = np.minimum(edges[1:], large + 1) - np.maximum(edges[:-1], large)
    return first, np.where(shared > 1e-6, shared, 0.0)


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
