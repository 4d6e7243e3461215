"""How true stated widths are: cracks of known width through the tracing, in every way that a camera shows them.

The pictures are made by benchmarks/width_scenes.py, which shares nothing with the package. Cracks are measured where
the true mask says that they are, and where the network of a bundle says so; then on pictures in motion. The seeds that
constants were fitted on (0 to 9) are not used here.
"""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks import width_scenes as scenes
from benchmarks.width_scenes import Look
from edge.cracks import Crack
from edge.cracks.smear import Smear
from edge.cracks.trace import TraceOptions, trace
from edge.frames import Frame
from edge.masks import ClassMask, DamageClass, Segmenter, litert
from edge.support.clock import SystemClock

FIRST_SEED = 100
WIDTHS_PX = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15)
BLURS_PX = (0.5, 0.8, 1.1, 1.5)
CONTRASTS = (0.15, 0.35, 0.6, 0.9)
NOISES = (0.5, 1.5, 4.0)
QUALITIES = (None, 95, 80, 60)
SHARPENINGS = (0.0, 0.5, 1.0, 1.5)
FACTORS = ("contrast", "blur_px", "noise", "jpeg", "sharpen", "srgb", "shape")
TEXTURE = 0.01
MOTIONS_PX = (0, 4, 8, 12, 16)
MOVED = ("straight", "wavy")
ANGLES_DEG = (0, 30, 60, 90)
GRAINS = (0.04, 0.08, 0.16)
"""``texture`` of the pictures in motion. Read alike, the grain of real surfaces is 0.05 (one in ten) to 0.3."""
KNOWN_WITHIN = 0.1
"""How well the motion is known where it is: deviation along each axis, a share of its length."""
FEW = 8
NEAR_PX = 3.0
"""A centreline of the network's mask belongs to a crack where half of it lies this near to the true one."""
ONE_SIDED = 1.645
MS_GOAL = 1.0


@dataclass(frozen=True)
class Reading:
    """One measured crack beside its truth."""

    source: str
    """``true mask``, ``network``, or ``motion`` and ``motion known``: the true mask on a picture in motion."""
    clean: bool
    shape: str
    look: Look
    drawn_px: float
    true_px: float
    width_px: float
    sigma_px: float | None
    at_most_px: float | None
    ms: float
    """Time of the tracing, one thread, over the cracks of its picture."""
    angle_deg: float | None = None
    """Between the crack and the motion, of the pictures that are there to show it; None: any other picture."""

    @property
    def stated(self) -> bool:
        """A width is stated; else only a bound."""
        return self.at_most_px is None

    @property
    def bound_px(self) -> float:
        """What the width is at most, in 19 of 20 cases."""
        return self.width_px + ONE_SIDED * (self.sigma_px or 0.0) if self.at_most_px is None else self.at_most_px

    @property
    def off_px(self) -> float:
        return self.width_px - self.true_px


@dataclass
class Row:
    measure: str
    value: str
    goal: str
    met: bool


def measure(seeds: int = 6, bundle: Path | None = None, looks: int = 12) -> list[Reading]:
    """Readings of ``seeds`` rounds: every width in every shape under ``looks`` looks, a third of them clean."""
    jobs = [
        (FIRST_SEED + k, width, shape, looks) for k in range(seeds) for width in WIDTHS_PX for shape in scenes.SHAPES
    ]
    with ProcessPoolExecutor() as pool:
        found = [one for some in pool.map(alone, jobs, chunksize=4) for one in some]
        moves = [(FIRST_SEED + 2000 + k, width, shape) for k in range(seeds) for width in WIDTHS_PX for shape in MOVED]
        found += [one for some in pool.map(moving, moves, chunksize=2) for one in some]
    if bundle is not None:
        options = litert.Options(bundle=bundle, threads=1, unsigned="allow")
        with litert.open_segmenter(options, SystemClock()) as segmenter:
            for k in range(seeds):
                found += _wall(FIRST_SEED + 1000 + k, looks, segmenter)
    return found


def _look(rng: np.random.Generator, clean: bool) -> Look:
    blur, contrast, surface = float(rng.choice(BLURS_PX)), float(rng.choice(CONTRASTS)), float(rng.uniform(0.25, 0.6))
    plain = Look(blur_px=blur, contrast=contrast, surface=surface, srgb=bool(rng.random() < 0.75))
    if clean:
        return plain
    return replace(
        plain,
        noise=float(rng.choice(NOISES)),
        jpeg=QUALITIES[rng.integers(len(QUALITIES))],
        sharpen=float(rng.choice(SHARPENINGS)),
        radius_px=float(rng.uniform(0.7, 1.4)),
        texture=TEXTURE,
    )


def alone(job: tuple[int, float, str, int]) -> list[Reading]:
    """One crack, drawn once, seen in several ways, measured where it truly is."""
    cv2.setNumThreads(1)
    seed, width, shape, looks = job
    rng = np.random.default_rng([seed, round(10 * width), scenes.SHAPES.index(shape)])
    lines = scenes.strokes(shape, width, rng)
    share = scenes.coverage(lines)
    crack = scenes.true_mask(lines, share)
    out = []
    for k in range(looks):
        clean = k < looks // 3
        look = _look(rng, clean)
        for one, ms in _traced(_true(_frame(share, look, rng), crack)):
            true_px = scenes.true_width(lines, one.path_px.astype(float))[0]
            out.append(_reading("true mask", clean, shape, look, width, true_px, one, ms))
    return out


def moving(job: tuple[int, float, str]) -> list[Reading]:
    """One crack, drawn once, photographed in motion: every length and angle, each under a look of its own.

    Each picture is read twice: without its motion, and with the motion as a flight knows it.
    """
    cv2.setNumThreads(1)
    seed, width, shape = job
    rng = np.random.default_rng([seed, round(10 * width), scenes.SHAPES.index(shape)])
    lines = scenes.strokes(shape, width, rng)
    share = scenes.coverage(lines)
    crack = scenes.true_mask(lines, share)
    along = lines[0].xy[-1] - lines[0].xy[0]
    out = []
    for motion_px, angle in itertools.product(MOTIONS_PX, ANGLES_DEG):
        turned = math.atan2(along[1], along[0]) + math.radians(angle)
        look = replace(_look(rng, False), texture=float(rng.choice(GRAINS)), motion_px=motion_px, motion_rad=turned)
        mask = _true(_frame(share, look, rng), crack)
        off = KNOWN_WITHIN * np.random.default_rng([seed, round(10 * width), motion_px, angle]).standard_normal(2)
        x, y = motion_px * (np.array([math.cos(turned), math.sin(turned)]) + off)
        known = Smear.alike(float(x), float(y), KNOWN_WITHIN * motion_px)
        for source, smear in (("motion", None), ("motion known", known)):
            for one, ms in _traced(mask, smear):
                true_px = scenes.true_width(lines, one.path_px.astype(float))[0]
                reading = _reading(source, False, shape, look, width, true_px, one, ms)
                out.append(replace(reading, angle_deg=angle))
    return out


def _true(frame: Frame, crack: npt.NDArray[np.bool_]) -> ClassMask:
    return ClassMask(frame, DamageClass("crack", 0.5, "line"), np.where(crack, 204, 10).astype(np.uint8), crack)


def _wall(seed: int, looks: int, segmenter: Segmenter) -> Iterator[Reading]:
    """A wall of 5 by 3 cracks, one of each width, where the network sees them."""
    size = scenes.SIZE_PX
    rng = np.random.default_rng(seed)
    tiles = []
    for k, width in enumerate(WIDTHS_PX):
        shape = scenes.SHAPES[(k + seed) % len(scenes.SHAPES)]
        tiles.append((width, shape, scenes.strokes(shape, width, rng, wander=True)))
    share = np.vstack([np.hstack([scenes.coverage(t[2]) for t in tiles[r : r + 5]]) for r in (0, 5, 10)])
    for k in range(looks):
        clean = k < looks // 3
        look = _look(rng, clean)
        for one, ms in _traced(segmenter.segment(_frame(share, look, rng)).classes[0]):
            column, row = (np.median(one.path_px, axis=0) // size).astype(int)
            width, shape, lines = tiles[5 * row + column]
            true_px, away = scenes.true_width(lines, one.path_px.astype(float) - (size * column, size * row))
            if away < NEAR_PX:
                yield _reading("network", clean, shape, look, width, true_px, one, ms)


def _frame(share: scenes.Floats, look: Look, rng: np.random.Generator) -> Frame:
    rgb = scenes.photograph(share, look, rng)
    return Frame(seq=0, exposed_ns=0, exposure_us=None, rgb=rgb, tone="srgb" if look.srgb else "linear")


def _traced(mask: ClassMask, smear: Smear | None = None) -> list[tuple[Crack, float]]:
    begun = time.thread_time()
    cracks = trace(mask, TraceOptions(), smear).cracks
    ms = 1000 * (time.thread_time() - begun) / max(1, len(cracks))
    return [(one, ms) for one in cracks if one.width_method == "profile"]


def _reading(
    source: str, clean: bool, shape: str, look: Look, drawn_px: float, true_px: float, one: Crack, ms: float
) -> Reading:
    width = float(one.width_px.mean())
    return Reading(source, clean, shape, look, drawn_px, true_px, width, one.width_sigma_px, one.width_at_most_px, ms)


def rows(found: Sequence[Reading]) -> list[Row]:
    """One row for each cell: source, clean or degraded, width; then each level of each factor, 3 px and wider apart."""
    out = []
    for source, clean in itertools.product(("true mask", "network"), (True, False)):
        kind = f"{source}, {'clean' if clean else 'degraded'}"
        some = [one for one in found if one.source == source and one.clean == clean]
        out += [row_of(f"{kind}, {width:g} px", cell) for width, cell in _cells(some, lambda one: one.drawn_px)]
        if clean or source == "network":
            continue
        for narrow, factor in itertools.product((True, False), FACTORS):
            side = [one for one in some if (one.drawn_px < 3) == narrow]
            for level, cell in _cells(side, functools.partial(_level, factor=factor)):
                out.append(row_of(f"{kind}, {'below 3' if narrow else '3 and more'} px, {factor} {level}", cell))
    out += motion_rows(found)
    ms = [one.ms for one in found if one.source == "network"] or [one.ms for one in found]
    out.append(
        Row(
            "cost of a finding, one thread", f"{np.median(ms):.2f} ms", f"{MS_GOAL:g} ms", bool(np.median(ms) < MS_GOAL)
        )
    )
    return out


def motion_rows(found: Sequence[Reading]) -> list[Row]:
    """Not known and known: one row for each length of motion and angle to the crack, then for each length and grain."""
    out = []
    for source in ("motion", "motion known"):
        mine = [one for one in found if one.source == source]
        for px, some in _cells(mine, lambda one: one.look.motion_px):
            out += [row_of(f"{source} {px} px, {angle} deg to the crack", c) for angle, c in _cells(some, _angle)]
            out += [
                row_of(f"{source} {px} px, grain {grain}", c) for grain, c in _cells(some, lambda o: o.look.texture)
            ]
        moved = [one for one in mine if one.look.motion_px]
        out += [row_of(f"{source} 4 to 16 px", moved)] if moved else []
        across = [one for one in moved if one.look.motion_px >= 8 and _angle(one) in (60, 90)]
        out += [
            row_of(f"{source} 8 to 16 px, 60 and 90 deg, {width:g} px", c)
            for width, c in _cells(across, lambda one: one.drawn_px)
        ]
    return out


def _angle(one: Reading) -> object:
    return one.angle_deg


def _level(one: Reading, factor: str) -> object:
    return one.shape if factor == "shape" else getattr(one.look, factor)


def _cells(found: Sequence[Reading], key: Callable[[Reading], object]) -> Iterator[tuple[object, list[Reading]]]:
    levels: dict[object, list[Reading]] = {}
    for one in found:
        levels.setdefault(key(one), []).append(one)
    yield from sorted(levels.items(), key=lambda item: (item[0] is None, item[0]))


def row_of(name: str, cell: Sequence[Reading]) -> Row:
    """Errors and intervals of the widths that are stated; upper bounds of all."""
    stated = [one for one in cell if one.stated]
    sigma = np.array([one.sigma_px for one in stated], float)
    off, true = (np.array([getattr(one, name) for one in stated]) for name in ("off_px", "true_px"))
    below = float(np.mean([one.bound_px < one.true_px for one in cell]))
    typical = 0.1 if cell[0].clean else 0.25
    wide = np.mean([one.drawn_px for one in cell]) >= 3
    told, met = [], []
    if len(stated) >= FEW:
        median, bias, share = np.median(np.abs(off)), np.mean(off), np.mean(off / true)
        cover = float(np.mean(np.abs(off) <= ONE_SIDED * sigma))
        told = [f"{median:.3f}", f"{bias:+.3f} ({share:+.1%})", f"{cover:.0%}"]
        met = [median <= typical, bool(abs(share) <= 0.03 if wide else abs(bias) <= 0.2), 0.85 <= cover <= 0.95]
    else:
        told, met = ["-"] * 3, [True] * 3
    told.append(f"{below:.1%}")
    met.append(below <= 0.05)
    marked = [f"{text}{' ' if good else '*'}" for text, good in zip(told, met, strict=True)]
    sized = [f"{text:>{size}s}" for text, size in zip(marked, (9, 18, 8, 8), strict=True)]
    value = f"{len(cell):5d} {len(stated) / len(cell):6.0%}  {' '.join(sized)}"
    goal = f"{typical:g} px / {'3 %' if wide else '0.2 px'} / 85 to 95 % / 5 %"
    return Row(name, value, goal, all(met))


def table(found: Sequence[Row]) -> str:
    """The rows as text; * marks what misses its goal."""
    size = max(len(row.measure) for row in found)
    head = f"{'':{size}s}  {'n':>5s} {'stated':>6s}  {'median px':>9s} {'bias px':>18s} {'90 % in':>8s} {'bound <':>8s}"
    last = (
        f"{sum(row.met for row in found)} of {len(found)} rows meet all their goals; * marks a miss, - too few to tell"
    )
    return "\n".join([head, *(f"{row.measure:{size}s}  {row.value}" for row in found), last])
