"""Lines, widths and intervals of drawn figures against the answer in git: what makes tracing faster changes none.

Where tracing is meant to answer otherwise, ``python -m tests.cracks.test_golden_traces`` writes the new answer, and the
change says why it is the better one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.cracks import Crack
from edge.cracks.trace import TraceOptions, trace
from tests.cracks.drawn import UInt8, arc, drawn, mask_of, picture, ray, straight

ANSWER = Path(__file__).with_name("golden_traces.json")

# Processors round the last bits of float32 differently; what the answers are rounded to is part of it.
SAME_PX = 0.003


def figures() -> dict[str, tuple[np.ndarray[Any, Any], UInt8]]:
    """Pictures, and the cover that their masks are made of: each way that tracing can go is taken by one."""
    cross = drawn([(straight((120, 120), 20, 190), 5.0), (straight((118, 122), 105, 150), 3.0)], 240)
    ring = drawn([(arc((120, 118), 70, 0, 360), 4.0)], 240)
    wave = np.column_stack((np.linspace(8, 230, 200), 120 + 25 * np.sin(np.linspace(0, 9, 200))))
    growing = drawn([(wave, np.linspace(1.2, 9.0, 200))], 240)
    wide = drawn([(straight((120, 122), 61, 300), 26.0), (ray((120, 122), -20, 90), 7.0)], 240)
    comb = drawn([(ray((20.0 + 3, 15.0 + 25 * k), 4, 190), 1.5 + k / 4) for k in range(8)], 240)
    slope = np.linspace(90, 200, 240)[None, :].repeat(240, axis=0)
    return {
        "cross, blurred and noisy": (cross, picture(cross, blur=0.9, noise=3)),
        "ring on a slope of light": (ring, picture(ring, surface=slope, blur=0.7, noise=1, seed=1)),
        "from hairline to wide, JPEG": (growing, picture(growing, blur=1.2, noise=4, jpeg=85, seed=2)),
        "wide, with a branch": (wide, picture(wide, blur=1.0, noise=2, seed=3)),
        "eight beside each other, pale": (comb, picture(comb, blur=0.8, noise=2, dark=110, seed=4)),
        "sharpened by firmware": (growing, _sharpened(picture(growing, blur=0.8, noise=1, seed=5))),
        "no valley to see": (cross, np.full((240, 240, 3), 128, np.uint8)),
    }


def _sharpened(rgb: UInt8) -> UInt8:
    codes = rgb.astype(np.float64)
    kernel = np.exp(-0.5 * (np.arange(-4, 5) / 1.0) ** 2)
    soft = codes
    for axis in (0, 1):
        soft = np.apply_along_axis(np.convolve, axis, soft, kernel / kernel.sum(), "same")
    out = codes.copy()
    inner = np.s_[8:-8, 8:-8]
    out[inner] = (codes + 1.2 * (codes - soft))[inner]
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def told(crack: Crack) -> dict[str, Any]:
    """What a crack says, short enough for a file in git."""
    some = np.linspace(0, len(crack.path_px) - 1, 12).round().astype(int)
    return {
        "points": len(crack.path_px),
        "path_px": crack.path_px[some].round(3).tolist(),
        "width_px": crack.width_px[some].round(3).tolist(),
        "mean_px": round(float(crack.width_px.mean()), 4),
        "length_px": round(crack.length_px, 3),
        "sigma_px": None if crack.width_sigma_px is None else round(crack.width_sigma_px, 4),
        "at_most_px": None if crack.width_at_most_px is None else round(crack.width_at_most_px, 3),
        "method": crack.width_method,
        "score": round(crack.score, 4),
        "component": crack.component,
    }


def answers() -> dict[str, Any]:
    """All figures, traced."""
    return {
        name: [told(crack) for crack in trace(mask_of(share >= 0.5, rgb), TraceOptions()).cracks]
        for name, (share, rgb) in figures().items()
    }


def test_every_line_width_and_interval_is_what_it_was() -> None:
    golden, found = json.loads(ANSWER.read_text(encoding="utf-8")), answers()
    assert found.keys() == golden.keys()
    for name, cracks in golden.items():
        assert len(found[name]) == len(cracks), name
        for one, was in zip(found[name], cracks, strict=True):
            for key, value in was.items():
                same = value if value is None or isinstance(value, str) else pytest.approx(np.array(value), abs=SAME_PX)
                assert one[key] == same, f"{name}: {key}"


def test_the_golden_figures_take_every_way_of_measuring() -> None:
    cracks = [crack for found in json.loads(ANSWER.read_text(encoding="utf-8")).values() for crack in found]
    assert {crack["method"] for crack in cracks} == {"profile", "mask"}
    assert any(crack["at_most_px"] is not None for crack in cracks)
    assert any(crack["at_most_px"] is None and crack["sigma_px"] is not None for crack in cracks)
    assert len(cracks) >= 15


if __name__ == "__main__":
    ANSWER.write_text(json.dumps(answers(), indent=None, separators=(",", ":")).replace("}],", "}],\n") + "\n")
