"""Stated widths of rendered flights with motion blur, read with the motion that the flight knows and without.

The synthetic camera smears each picture by its own path (edge/rendered), which the reading does not see: the motion is
what registration makes of the pictures, by ``edge.surface.motion``. Cracks are where the network of a bundle finds them
in the smeared pictures, the truth is the rendered bridge's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from benchmarks.mapping_width import Reading, Row, row_of
from benchmarks.width_scenes import Look
from edge.cracks.smear import Smear
from edge.cracks.trace import TraceOptions, trace
from edge.frames import synthetic
from edge.masks import Segmenter, litert
from edge.rendered.strokes import half_widths_px, project
from edge.support.clock import ManualClock, SystemClock
from edge.surface.motion import Motion
from edge.surface.registration import Registrar

SEEDS = (613, 614, 615, 616)
"""On 611 and 612 a fault of the reading was found, so they judge nothing any more."""
RANGE_M, SPEED_M_S, FPS = 0.5, 0.25, 5.0
SKIPPED_S = 2.0
"""The flight begins at rest."""
EXPOSURES_US = (500, 6_500, 9_500)
"""0.6, 8 and 12 px of motion."""
NEAR_PX = 4.0
SAME = 0.9
"""A crack counts where so much of its centreline lies that near to one true crack, whose width is then known."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Flown:
    """One traced crack of one frame beside its truth."""

    exposure_us: int
    smear_px: float
    """True, in the middle of the frame."""
    off_px: float
    """How far the smear that the flight knew was off, along its worse axis; NaN where it knew none."""
    across_px: float
    """True motion across the crack, mean over its points."""
    true_px: float
    width_px: tuple[float, float]
    """Without the motion, and with it."""
    sigma_px: tuple[float, float]
    at_most_px: tuple[float | None, float | None]

    def reading(self, number: int) -> Reading:
        """Without (0) or with the motion (1), as the other benchmarks of widths have it."""
        width, sigma, at_most = self.width_px[number], self.sigma_px[number], self.at_most_px[number]
        return Reading("flown", False, "rendered", Look(), self.true_px, self.true_px, width, sigma, at_most, 0.0)


def rows(found: Sequence[Flown]) -> list[Row]:
    """Without and with the motion: one row for each exposure, and how far the motion was off."""
    out = []
    for exposure_us in EXPOSURES_US:
        some = [one for one in found if one.exposure_us == exposure_us]
        smear = float(np.median([one.smear_px for one in some])) if some else math.nan
        for number, what in enumerate(("not known", "known")):
            cell = [one.reading(number) for one in some]
            if cell:
                out.append(row_of(f"flown, {smear:.1f} px of motion, {what}", cell))
    off = np.array([one.off_px for one in found])
    off = off[np.isfinite(off)]
    if off.size:
        within = float(np.quantile(off, 0.9))
        out.append(Row("flown, motion off, 90 %", f"{within:.2f} px", "0.5 px", within <= 0.5))
    return out


def measure(bundle: Path, seconds: float = 12.0, seeds: Sequence[int] = SEEDS) -> list[Flown]:
    """All cracks of all frames of one flight for each of ``seeds`` and exposures."""
    out: list[Flown] = []
    options = litert.Options(bundle=bundle, threads=1, unsigned="allow")
    with litert.open_segmenter(options, SystemClock()) as segmenter:
        for seed in seeds:
            for exposure_us in EXPOSURES_US:
                clock = ManualClock(datetime(2026, 1, 1, tzinfo=timezone.utc))
                flight = synthetic.Options(
                    seed=seed, fps=FPS, seconds=SKIPPED_S + seconds, live=False, range_m=RANGE_M,
                    speed_m_s=SPEED_M_S, exposure_us=exposure_us,
                )  # fmt: skip
                with synthetic.open_camera(flight, clock) as camera:
                    out += _fly(camera, exposure_us, round(SKIPPED_S * FPS), segmenter)
    return out


def _fly(camera: synthetic.SyntheticCamera, exposure_us: int, first: int, segmenter: Segmenter) -> Iterator[Flown]:
    registrar, motion = Registrar(), Motion()
    for number in range(first, camera.frame_count or 0):
        frame = camera.render(number)
        size = frame.height_px, frame.width_px
        smear = motion.smear(registrar.register(frame.rgb), frame.exposed_ns, frame.exposure_us, size)
        true = camera.track.smear_px(frame.exposed_ns, exposure_us, camera.lens)
        off = math.nan
        if smear is not None:
            middle = smear.way @ np.array([(size[1] - 1) / 2, (size[0] - 1) / 2, 1.0])
            off = float(np.abs(middle - true).max())
        mask = segmenter.segment(frame).classes[0]
        plain, moved = (trace(mask, TraceOptions(), way).cracks for way in (None, smear))
        homography = camera.surface_to_frame(frame)
        for before, after in zip(plain, moved, strict=True):
            if "mask" in (before.width_method, after.width_method):
                continue
            path = after.path_px.astype(np.float64)
            width = _true_width(camera, homography, path)
            if width is not None:
                tangent = np.gradient(path, axis=0)
                normal = np.column_stack([-tangent[:, 1], tangent[:, 0]]) / np.hypot(*tangent.T)[:, None]
                across = float(Smear.alike(true[0], true[1], 0.0).across(path, normal).mean())
                yield Flown(
                    exposure_us, math.hypot(*true), off, across, width,
                    (float(before.width_px.mean()), float(after.width_px.mean())),
                    (before.width_sigma_px or math.nan, after.width_sigma_px or math.nan),
                    (before.width_at_most_px, after.width_at_most_px),
                )  # fmt: skip


def _true_width(camera: synthetic.SyntheticCamera, homography: Floats, path: Floats) -> float | None:
    """Mean true width along ``path`` (N, 2), pixels; None where it follows no single crack."""
    for crack in camera.scene.cracks:
        line = project(homography, crack.path_mm)
        width = 2 * half_widths_px(homography, crack.path_mm, crack.width_mm)
        dense = np.arange(0, len(line) - 1, 0.1)
        at = np.arange(len(line))
        points = np.column_stack([np.interp(dense, at, line[:, k]) for k in (0, 1)])
        distance, nearest = cKDTree(points).query(path)
        if np.mean(distance < NEAR_PX + np.interp(dense, at, width)[nearest] / 2) >= SAME:
            return float(np.interp(dense[nearest], at, width).mean())
    return None
