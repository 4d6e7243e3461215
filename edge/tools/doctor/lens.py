"""The lens that is stated fits the pictures that the camera gives."""

from __future__ import annotations

from edge.surface import lens
from edge.tools.doctor import Bench, Result, fail, not_applicable, ok, warn


def card(bench: Bench) -> Result:
    """The card of [scale] lens against the camera's last frame."""
    scale = bench.settings.measures.scale
    if scale.stated_lens() is None:
        return warn("no lens is stated: sizes stay in pixels, places are the camera's", "state one: [scale] lens")
    if scale.lens is None:
        return ok(f"[scale] {scale.stated_lens()}, without distortion")
    found = lens.load(scale.lens)
    if bench.frame is None:
        return not_applicable(f"{found.name}: the camera gave no picture to compare with")
    size = (bench.frame.width_px, bench.frame.height_px)
    told = f"{found.name} for {found.width_px}x{found.height_px}, pictures are {size[0]}x{size[1]}"
    if not found.fits(*size):
        return fail(f"{told}: no size and no place would be given", "calibrate at this size: spanhawk calibrate")
    if found.error_px is None:
        return ok(f"{told}; from data sheets, good to {found.focal_uncertainty:.0%}")
    return ok(f"{told}; calibrated to {found.error_px:g} px")
