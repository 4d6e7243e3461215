"""Cracks that grow over a surface: fractal paths with branches, of known place and width."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

STEP_MM = 2.0
"""Spacing of the points of a crack's path."""
_KINK_MM = 5.0
"""Shortest straight piece: a crack runs around the grains of sand and stone, not through them."""
_TAPER_MM = 140.0
_THINNEST_MM = 0.15
_WIDEST_MM = 3.2


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceCrack:
    """One branch of a crack as it is, in millimetres on the surface; its arrays are read-only."""

    id: int
    parent: int | None
    """The crack this one branches from; None for a main crack."""
    path_mm: Float64
    """float64 (N, 2): centreline, x to the right and y down from the surface's top left corner."""
    width_mm: Float64
    """float64 (N,): full width across the centreline at each point."""
    depth: Float64
    """float64 (N,): share of the light the opening swallows, 0 to 1; lower where dirt or lime fills it."""
    spalled: Bool
    """bool (N,): True where the rim is chipped, so that the surface beside the opening has another tone."""
    length_mm: float = field(init=False)
    """Length along the centreline."""

    def __post_init__(self) -> None:
        steps = np.diff(self.path_mm, axis=0)
        object.__setattr__(self, "length_mm", float(np.hypot(steps[:, 0], steps[:, 1]).sum()))
        for array in (self.path_mm, self.width_mm, self.depth, self.spalled):
            array.setflags(write=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seedling:
    """Where a crack starts, where it is bound for, and how it is built; millimetres on the surface."""

    start_mm: tuple[float, float]
    end_mm: tuple[float, float]
    width_mm: float
    """Typical width; the real one swings around it and tapers to the ends."""
    roughness: float = 0.075
    """Sideways deviation of each midpoint as a share of the distance between its neighbours."""
    branches: int = 0
    taper_start: bool = False
    """True where the crack begins inside the surface; at an edge of the concrete it is open at once."""


def grow(rng: np.random.Generator, seedlings: tuple[Seedling, ...]) -> tuple[SurfaceCrack, ...]:
    """Grow every seedling with its branches, in order; ids rise from 1."""
    cracks: list[SurfaceCrack] = []
    for seedling in seedlings:
        main = _crack(rng, seedling, len(cracks) + 1, None)
        cracks.append(main)
        for _ in range(seedling.branches):
            cracks.append(_crack(rng, _branch(rng, main, seedling), len(cracks) + 1, main.id))
    return tuple(cracks)


def wander(rng: np.random.Generator, start_mm: Float64, end_mm: Float64, roughness: float) -> Float64:
    """Return a path (N, 2) between two points by midpoint displacement, resampled every ``STEP_MM``."""
    path = np.stack([start_mm, end_mm])
    while float(np.hypot(*np.diff(path, axis=0).T).max()) > 2 * _KINK_MM:
        step = np.diff(path, axis=0)
        normal = np.stack([-step[:, 1], step[:, 0]], axis=1)
        share = rng.uniform(0.4, 0.6, (len(step), 1))
        middle = path[:-1] + share * step + normal * rng.normal(0, roughness, (len(step), 1))
        path = np.insert(path, np.arange(1, len(path)), middle, axis=0)
        roughness *= 1.10  # rougher the finer: long runs hold their direction, kinks go around stones
    return resample(path, STEP_MM)


def resample(path_mm: Float64, step_mm: float) -> Float64:
    """Return the same path with points about ``step_mm`` apart; its ends stay where they are."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path_mm, axis=0).T))])
    places = np.linspace(0.0, along[-1], max(2, round(along[-1] / step_mm) + 1))
    return np.stack([np.interp(places, along, path_mm[:, 0]), np.interp(places, along, path_mm[:, 1])], axis=1)


def along_noise(rng: np.random.Generator, count: int, spacing: int) -> Float64:
    """Smooth noise along a path: standard normal knots every ``spacing`` points, joined by half cosines."""
    knots = rng.standard_normal(count // spacing + 2)
    place = np.arange(count) / spacing
    left = place.astype(int)
    ease = 0.5 - 0.5 * np.cos(np.pi * (place - left))
    return np.asarray(knots[left] * (1 - ease) + knots[left + 1] * ease, np.float64)


def _crack(rng: np.random.Generator, seedling: Seedling, id: int, parent: int | None) -> SurfaceCrack:
    path = wander(rng, np.array(seedling.start_mm), np.array(seedling.end_mm), seedling.roughness)
    count = len(path)
    swing = np.exp(
        0.26 * along_noise(rng, count, 120) + 0.16 * along_noise(rng, count, 12) + 0.20 * along_noise(rng, count, 3)
    )
    width = seedling.width_mm * swing * _taper(count, seedling.taper_start)
    width = np.clip(width, _THINNEST_MM, _WIDEST_MM)
    # Into a hairline light still finds its way; dirt and lime fill some stretches.
    looks = float(rng.uniform(0.94, 1.02)) * (0.86 - 0.42 * np.exp(-width / 0.8))
    filled = np.clip(0.5 * along_noise(rng, count, 90) - 0.55, 0, 0.55)
    spalled = (along_noise(rng, count, 40) > 1.0) & (width > 0.9)
    return SurfaceCrack(
        id=id,
        parent=parent,
        path_mm=path,
        width_mm=width,
        depth=1 - (1 - looks * (1 - filled)) ** 2.2,  # from how dark it looks to the light that it takes
        spalled=spalled,
    )


def _branch(rng: np.random.Generator, main: SurfaceCrack, seedling: Seedling) -> Seedling:
    at = int(rng.integers(round(0.15 * len(main.path_mm)), round(0.8 * len(main.path_mm))))
    ahead = main.path_mm[min(at + 40, len(main.path_mm) - 1)] - main.path_mm[at]
    angle = np.arctan2(ahead[1], ahead[0]) + float(rng.choice([-1, 1])) * rng.uniform(0.45, 1.0)
    length = main.length_mm * rng.uniform(0.12, 0.4)
    start = main.path_mm[at]
    end = start + length * np.array([np.cos(angle), np.sin(angle)])
    return Seedling(
        start_mm=(float(start[0]), float(start[1])),
        end_mm=(float(end[0]), float(end[1])),
        width_mm=float(main.width_mm[at] * rng.uniform(0.4, 0.75)),
        roughness=seedling.roughness,
    )


def _taper(count: int, at_start: bool) -> Float64:
    reach = min(_TAPER_MM / STEP_MM, count / 3)
    places = np.arange(count)
    taper = np.clip((count - 1 - places) / reach, 0, 1)
    if at_start:
        taper = np.minimum(taper, np.clip(places / reach, 0, 1))
    return np.asarray(np.sqrt(taper), np.float64)
