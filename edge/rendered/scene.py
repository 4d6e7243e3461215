"""A rendered bridge: one face of a cast concrete girder with cracks of known place, width and length.

Everything follows from the seed. Surface coordinates are millimetres from the top left corner, x right, y down.
Soft colour lies on a coarse map, grain on small tiles that are laid so that no place looks like another; whatever has
edges (cracks, joints, holes, pores) is kept as geometry and drawn into each frame at the frame's own scale, so no frame
is an enlarged picture.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from edge.rendered import texture, weather
from edge.rendered.cracks import Float64, Seedling, SurfaceCrack, along_noise, grow, resample
from edge.rendered.texture import UInt8

WIDTH_MM = 6000.0
HEIGHT_MM = 2400.0
_PANEL_MM = (1500.0, 800.0)
_HOLE_PITCH_MM = (750.0, 400.0)
_PORES_PER_M2 = 110.0


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """A straight line left by the formwork, from ``start_mm`` to ``end_mm``; its arrays are read-only."""

    start_mm: tuple[float, float]
    end_mm: tuple[float, float]
    width_mm: Float64
    """float64 (N,): width at N places spread evenly from start to end."""
    depth: Float64
    """float64 (N,): share of the light it swallows there, 0 where closed; negative for a raised, lit fin."""
    offset_mm: Float64
    """float64 (N,): how far the form boards stood from the straight line there."""

    def __post_init__(self) -> None:
        for array in (self.width_mm, self.depth, self.offset_mm):
            array.setflags(write=False)


@dataclass(frozen=True, slots=True, eq=False)
class Chalk:
    """A stroke of an inspector's chalk."""

    path_mm: Float64
    width_mm: Float64
    """float64 (N,): width at each point."""
    cover: Float64
    """float64 (N,): how thick the chalk lies, 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The surface and all that is on it; its arrays are read-only."""

    seed: int
    width_mm: float
    height_mm: float
    cracks: tuple[SurfaceCrack, ...]
    """The truth: every branch, mains before their branches."""
    joints: tuple[Joint, ...]
    boards_mm: tuple[tuple[float, float, float, float], ...]
    """Panels cast against sawn boards: x, y, width, height."""
    holes_mm: Float64
    """float64 (N, 2): centres of the tie holes."""
    pores_mm: Float64
    """float64 (N, 3): x, y, radius of the air voids."""
    chalk: tuple[Chalk, ...]
    tone: UInt8
    """uint8 RGB colour map at ``texture.TONE_MM_PER_PX``."""
    grain: tuple[UInt8, ...]
    """Fine tile at GRAIN_MM_PER_PX and its halvings."""
    board: tuple[UInt8, ...]
    """Board tile at GRAIN_MM_PER_PX (rows) and its halvings."""

    def __post_init__(self) -> None:
        for place in (self.holes_mm, self.pores_mm):
            place.setflags(write=False)
        for picture in (self.tone, *self.grain, *self.board):
            picture.setflags(write=False)


@functools.lru_cache(maxsize=1)
def build_scene(seed: int, width_mm: float = WIDTH_MM, height_mm: float = HEIGHT_MM) -> Scene:
    """Build the surface that belongs to ``seed``; the same seed and size give the same surface.

    Takes a second or two; the last one built is kept, for a camera that is opened again.
    """
    rng = np.random.default_rng([seed, 1])
    cracks = grow(np.random.default_rng([seed, 2]), _seedlings(np.random.default_rng([seed, 3]), width_mm, height_mm))
    panels = _panels(width_mm, height_mm)
    holes = _grid(_HOLE_PITCH_MM, width_mm, height_mm)
    shape = (round(height_mm / texture.TONE_MM_PER_PX) + 1, round(width_mm / texture.TONE_MM_PER_PX) + 1)
    return Scene(
        seed=seed,
        width_mm=width_mm,
        height_mm=height_mm,
        cracks=cracks,
        joints=_joints(rng, panels),
        boards_mm=tuple(panel for panel in panels if rng.random() < 0.3),
        holes_mm=holes,
        pores_mm=_pores(rng, width_mm, height_mm),
        chalk=_chalk(rng, cracks),
        tone=weather.paint(rng, shape, panels, holes, cracks),
        grain=texture.mips(texture.grain_tile(rng)),
        board=texture.mips(texture.board_tile(rng)),
    )


def _seedlings(rng: np.random.Generator, width: float, height: float) -> tuple[Seedling, ...]:
    """Place the cracks of a loaded girder: bending cracks from below, shear cracks at the ends, shrinkage hairlines."""

    def at(x: float, y: float) -> tuple[float, float]:
        near = rng.uniform(-0.03, 0.03, 2)
        return (float(x + near[0]) * width, height if y == 1 else float(y + near[1]) * height)

    def thick(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    return (
        Seedling(start_mm=at(0.12, 1), end_mm=at(0.25, 0.28), width_mm=thick(2.0, 2.6), branches=2),
        Seedling(start_mm=at(0.40, 1), end_mm=at(0.385, 0.45), width_mm=thick(1.2, 1.6), branches=1),
        Seedling(start_mm=at(0.52, 1), end_mm=at(0.53, 0.22), width_mm=thick(1.6, 2.2), branches=2),
        Seedling(start_mm=at(0.64, 1), end_mm=at(0.655, 0.52), width_mm=thick(0.8, 1.1)),
        Seedling(start_mm=at(0.90, 1), end_mm=at(0.76, 0.25), width_mm=thick(2.3, 2.9), branches=3),
        Seedling(start_mm=at(0.05, 0.30), end_mm=at(0.17, 0.62), width_mm=thick(0.35, 0.5), taper_start=True),
        Seedling(
            start_mm=at(0.30, 0.55), end_mm=at(0.48, 0.66), width_mm=thick(0.9, 1.2), taper_start=True, branches=1
        ),
        Seedling(start_mm=at(0.60, 0.30), end_mm=at(0.72, 0.36), width_mm=thick(0.4, 0.6), taper_start=True),
        Seedling(
            start_mm=at(0.86, 0.30), end_mm=at(0.97, 0.56), width_mm=thick(0.6, 0.9), taper_start=True, branches=1
        ),
        Seedling(start_mm=at(0.33, 0.15), end_mm=at(0.36, 0.42), width_mm=thick(0.3, 0.4), taper_start=True),
    )


def _panels(width: float, height: float) -> tuple[tuple[float, float, float, float], ...]:
    across, down = _PANEL_MM
    return tuple(
        (x, y, min(across, width - x), min(down, height - y))
        for y in np.arange(0.0, height, down).tolist()
        for x in np.arange(0.0, width, across).tolist()
    )


def _joints(rng: np.random.Generator, panels: tuple[tuple[float, float, float, float], ...]) -> tuple[Joint, ...]:
    """Lines along the upper and left side of every inner panel; each a little crooked, open, closed or a fin."""
    joints = []
    for x, y, across, down in panels:
        if y > 0:
            joints.append(_joint(rng, (x, y), (x + across, y)))
        if x > 0:
            joints.append(_joint(rng, (x, y), (x, y + down)))
    return tuple(joints)


def _joint(rng: np.random.Generator, start: tuple[float, float], end: tuple[float, float]) -> Joint:
    count = max(4, round(abs(end[0] - start[0] + end[1] - start[1]) / 12))
    bend = rng.normal(0, 1.2, 4).tolist()
    closed = np.clip(1.15 - 0.55 * np.abs(along_noise(rng, count, 9)), 0.1, 1)
    return Joint(
        start_mm=(start[0] + bend[0], start[1] + bend[1]),
        end_mm=(end[0] + bend[2], end[1] + bend[3]),
        width_mm=rng.uniform(0.8, 2.6) * np.exp(0.18 * rng.standard_normal(count)),
        depth=float(rng.choice([0.5, 0.35, 0.25, -0.10])) * closed,
        offset_mm=0.3 * along_noise(rng, count, 3),
    )


def _grid(pitch: tuple[float, float], width: float, height: float) -> Float64:
    across, down = np.arange(pitch[0] / 2, width, pitch[0]), np.arange(pitch[1] / 2, height, pitch[1])
    return np.array([(x, y) for y in down for x in across], np.float64).reshape(-1, 2)


def _pores(rng: np.random.Generator, width: float, height: float) -> Float64:
    """Air voids, most of them small, in drifts: vibrated concrete is dense in one place and pitted in the next."""
    count = round(_PORES_PER_M2 * width * height / 1e6)
    drifts = rng.uniform(0, 1, (60, 2)) * (width, height)
    place = drifts[rng.integers(60, size=count)] + rng.normal(0, 170, (count, 2))
    loose = rng.random(count) < 0.45
    place[loose] = rng.uniform(0, 1, (int(loose.sum()), 2)) * (width, height)
    radius = np.clip(0.9 * np.exp(0.55 * rng.standard_normal(count)), 0.5, 5.5)
    return np.column_stack([place, radius])


def _chalk(rng: np.random.Generator, cracks: tuple[SurfaceCrack, ...]) -> tuple[Chalk, ...]:
    """An inspector's ticks beside the widest cracks and a ring around one end: white lines that are no cracks."""
    strokes = []
    for crack in sorted(cracks, key=lambda crack: -float(crack.width_mm.mean()))[:3]:
        middle = crack.path_mm[len(crack.path_mm) // 2]
        side = middle + np.array([rng.uniform(60, 110), rng.uniform(-40, 40)])
        slant = np.array([[0.0, 0.0], [rng.uniform(50, 120), rng.uniform(-70, 70)]])
        strokes.append(_stroke(rng, side + slant))
    turn = np.linspace(0.3, 6.4, 60)
    ring = np.stack([70 * np.cos(turn), 55 * np.sin(turn) - 2 * turn], axis=1)
    strokes.append(_stroke(rng, cracks[0].path_mm[-1] + ring))
    return tuple(strokes)


def _stroke(rng: np.random.Generator, path_mm: Float64) -> Chalk:
    path = resample(path_mm, 3.0)
    path = path + 0.6 * np.column_stack([along_noise(rng, len(path), 6), along_noise(rng, len(path), 6)])
    ends = np.minimum(np.arange(len(path)), np.arange(len(path))[::-1])
    width = 4.2 * np.exp(0.15 * along_noise(rng, len(path), 4)) * np.clip(0.4 + ends / 6, 0, 1)
    return Chalk(path, width, np.clip(0.75 + 0.25 * along_noise(rng, len(path), 5), 0.2, 1))
