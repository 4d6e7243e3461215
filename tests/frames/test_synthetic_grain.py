"""The grain of the rendered wall: no place looks like another, no seam shows, and it is one wall however it is cut."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from edge.rendered.cells import Cells
from edge.rendered.flightpath import Lens, Pose
from edge.rendered.render import gain
from edge.rendered.scene import Scene, build_scene
from edge.rendered.texture import BOARD_CELLS, GRAIN_CELLS

Floats = npt.NDArray[np.floating]
LENS, SHAPE = Lens(8.0, 6.2, 640, 360), (360, 640)
TILE_MM = 2048 * 0.35
"""So often a wall repeats that is covered with the tile alone."""
FAR_MM = [(2 * TILE_MM, 0.0), (0.0, TILE_MM), (TILE_MM, TILE_MM), (9731.0, 402.0), (40_000.0, -311.0)]
"""Ways to places that a picture, of 843 by 474 mm, has not in common with the place it begins at."""


@pytest.fixture(scope="module")
def plain() -> Scene:
    """A wall of 4 m with nothing on it but its grain; grain and boards go on beyond its edges."""
    scene = build_scene(5, width_mm=4000, height_mm=2000)
    none = np.empty((0, 2))
    return dataclasses.replace(
        scene, cracks=(), joints=(), chalk=(), boards_mm=(), holes_mm=none, pores_mm=np.empty((0, 3))
    )


@pytest.fixture(scope="module")
def boarded(plain: Scene) -> Scene:
    """The same cast against boards."""
    return dataclasses.replace(plain, boards_mm=((-1000.0, -1000.0, 50_000.0, 5000.0),))


def picture(scene: Scene, x_mm: float, y_mm: float) -> Floats:
    """What a square view shows there, without what is broader than 16 rows: the imprint of boards is in long streaks,
    and few of those are a picture."""
    seen = gain(scene, Pose(x_mm, y_mm, 1700.0, 0, 0, 0).surface_to_frame(LENS), SHAPE).astype(np.float64)
    sums = np.pad(seen, ((9, 8), (0, 0)), mode="edge").cumsum(axis=0)
    return np.asarray(seen - (sums[17:] - sums[:-17])[: SHAPE[0]] / 17)


def likeness(one: Floats, other: Floats) -> float:
    """Normalised correlation at the shift, of all whole pixels, at which it is greatest."""
    shape = (2 * SHAPE[0], 2 * SHAPE[1])
    spectrum = np.fft.rfft2(one, shape) * np.fft.rfft2(other, shape).conj()
    return float(np.fft.irfft2(spectrum, shape).max() / np.sqrt((one**2).sum() * (other**2).sum()))


@pytest.mark.parametrize(("wall", "most"), [("plain", 0.1), ("boarded", 0.2)])
def test_no_picture_of_the_wall_can_be_laid_on_one_of_another_place(
    wall: str, most: float, request: pytest.FixtureRequest
) -> None:
    scene = request.getfixturevalue(wall)
    here = picture(scene, 1000, 900)
    # What a quarter of a frame's shift leaves in common, as a check that likeness sees what is there.
    assert likeness(here, picture(scene, 1000 + 640 * 1.3175 / 4, 900)) > 0.5
    for x_mm, y_mm in FAR_MM:
        assert likeness(here, picture(scene, 1000 + x_mm, 900 + y_mm)) < most, (x_mm, y_mm)


@pytest.mark.parametrize(("wall", "most"), [("plain", 0.05), ("boarded", 0.15)])
def test_at_the_tiles_own_period_two_pictures_do_not_depend_on_each_other(
    wall: str, most: float, request: pytest.FixtureRequest
) -> None:
    scene = request.getfixturevalue(wall)
    for x_mm, y_mm in ((600.0, 500.0), (1300.0, 630.0), (2000.0, 760.0), (2700.0, 890.0)):
        here = picture(scene, x_mm, y_mm)
        for right_mm, down_mm in ((TILE_MM, 0.0), (0.0, TILE_MM)):
            there = picture(scene, x_mm + right_mm, y_mm + down_mm)
            assert abs(np.corrcoef(here.ravel(), there.ravel())[0, 1]) < most


def test_where_cells_meet_the_grain_is_as_strong_as_elsewhere_and_has_no_edge(plain: Scene) -> None:
    size, fade = GRAIN_CELLS.size[1], GRAIN_CELLS.fade[1]
    laid = GRAIN_CELLS.lay(plain.grain[0], 0, 5, (0, 0), (4 * size, 8 * size))
    column = np.arange(laid.shape[1]) % size
    fading, inner = laid[:, column < fade], laid[:, column >= fade]
    assert fading.std() == pytest.approx(inner.std(), rel=0.05)
    assert abs(fading.mean() - inner.mean()) < 0.05 * inner.std()
    steps = np.abs(np.diff(laid, axis=1, prepend=laid[:, :1]))
    for edge in (0, fade):
        assert steps[:, column == edge][:, 1:].mean() == pytest.approx(steps.mean(), rel=0.1)


@pytest.mark.parametrize("cells", [GRAIN_CELLS, BOARD_CELLS])
@pytest.mark.parametrize("level", [0, 2])
def test_a_part_is_the_same_whatever_is_laid_around_it(plain: Scene, cells: Cells, level: int) -> None:
    tile = (plain.grain if cells is GRAIN_CELLS else plain.board)[level]
    whole = cells.lay(tile, level, 5, (-700, -650), (300, 500))
    assert whole.std() > 3
    for low, high in (((-700, -650), (-680, -600)), ((-3, -2), (2, 3)), ((100, -129), (300, 500))):
        part = cells.lay(tile, level, 5, low, high)
        assert np.array_equal(part, whole[low[0] + 700 : high[0] + 700, low[1] + 650 : high[1] + 650])
    assert not np.array_equal(whole, cells.lay(tile, level, 6, (-700, -650), (300, 500))), "another seed"
