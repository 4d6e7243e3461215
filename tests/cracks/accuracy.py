"""Print what tracing costs and how far its widths and lengths are off: ``python -m tests.cracks.accuracy``.

Truth is drawn (tests/cracks/drawn.py). Milliseconds are processor time of this process, the smallest of some runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np

from edge.cracks.trace import TraceOptions, trace
from edge.masks import Mask
from tests.cracks.drawn import Floats, bar, mask_of, picture

ANGLES = (0, 11, 22.5, 37, 45, 68, 90, 130)
WIDTHS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 17.0)
PICTURES: dict[str, dict[str, float | int]] = {
    "clean": {},
    "blur 0.7, noise 2": {"blur": 0.7, "noise": 2},
    "blur 1.5, noise 5, JPEG 85": {"blur": 1.5, "noise": 5, "jpeg": 85},
    "the same, black crack (grey 15)": {"blur": 1.5, "noise": 5, "jpeg": 85, "dark": 15},
    "the same, pale crack (grey 90)": {"blur": 1.5, "noise": 5, "jpeg": 85, "dark": 90},
}


def errors(how: dict[str, float | int], width: float) -> Floats:
    """Mean width less truth, its stated uncertainty, and length over truth, for each angle: (A, 3)."""
    rows = []
    for seed, angle in enumerate(ANGLES):
        share = bar(width, angle)
        mask = np.maximum(share, bar(2.5, angle) if width < 2.5 else 0) >= 0.5
        crack = trace(mask_of(mask, picture(share, seed=seed, **how)), TraceOptions()).cracks[0]  # type: ignore[arg-type]
        rows.append((crack.width_px.mean() - width, crack.width_sigma_px or np.nan, crack.length_px / 150))
    return np.array(rows)


def table() -> None:
    """Errors by kind of picture and width."""
    print(f"{len(ANGLES)} angles each; width error in px: mean, median of its size, stated sigma; largest length error")
    for name, how in PICTURES.items():
        print(name)
        for width in WIDTHS:
            off, sigma, ratio = errors(how, width).T
            typical, length = np.median(np.abs(off)), np.abs(ratio - 1).max()
            print(f"  {width:4.1f} px  {off.mean():+.3f}  {typical:.3f}  {np.mean(sigma):.3f}  {length:.2%}")


def scene(height: int, width: int, cracks: int) -> Mask:
    """Wandering cracks 6 px wide across a noisy picture."""
    rng = np.random.default_rng(0)
    mask = np.zeros((height, width), np.uint8)
    for k in range(cracks):
        x = np.linspace(0.05, 0.5, 60) * width
        y = height * (k + 0.5) / cracks + np.cumsum(rng.normal(0, 2.0, 60))
        line = np.rint(np.column_stack((x, np.clip(y, 4, height - 5))) * 16).astype(np.int32)
        cv2.polylines(mask, [line], False, 1, 6, cv2.LINE_8, 4)
    return mask_of(mask > 0, picture(cv2.GaussianBlur(mask.astype(np.float64), (0, 0), 0.8), noise=4))


def milliseconds(work: Callable[[], object], runs: int) -> float:
    """Smallest processor time of some runs."""
    times = []
    for _ in range(runs + 1):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * min(times[1:])


def speed() -> None:
    """Cost by size of frame and kind of mask."""
    options = TraceOptions()
    for height, width in ((720, 1280), (3000, 4000)):
        random = np.random.default_rng(0).random((height, width))
        masks = {f"{n} cracks": scene(height, width, n) for n in (1, 10)}
        masks = {"empty": mask_of(random > 2), **masks}
        masks |= {f"noise {share:.0%}": mask_of(random < share) for share in (0.05, 0.3, 0.42, 1.0)}
        for name, mask in masks.items():
            ms = milliseconds(lambda mask=mask: trace(mask, options), 1 if "noise" in name else 15)  # type: ignore[misc]
            total = sum(crack.length_px for crack in trace(mask, options).cracks)
            print(f"{width}x{height} {name:10s} {ms:8.2f} ms  ({total:.0f} px of crack)")


if __name__ == "__main__":
    cv2.setNumThreads(1)
    table()
    speed()
