"""The frame with its damage drawn on: where people would rather look than read."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge.areas import DamagedArea
from edge.outcome import Outcome

Picture = npt.NDArray[np.uint8]

# Okabe and Ito's palette (2008), distinguishable without red-green vision; BGR.
_LINE = (0, 94, 213)
_REGION = (66, 228, 240)
_PAPER = (255, 255, 255)
_TEXT_LEAST = 0.9
"""Of the text's size: below it a decimal point is no longer seen, and 1.3 px reads 13 px."""


def draw(outcome: Outcome) -> Picture:
    """BGR (H, W, 3): reported region tinted, centrelines and outlines drawn, the size written at each damage."""
    import cv2

    picture: Picture = np.asarray(cv2.cvtColor(outcome.frame.rgb, cv2.COLOR_RGB2BGR), np.uint8)
    if not outcome.damage:
        return picture
    region = outcome.reported()
    picture[region] = (0.4 * picture[region] + 0.6 * np.array(_REGION)).astype(np.uint8)
    scale = max(0.4, outcome.frame.width_px / 1600)
    for damage, found in zip(outcome.damage, outcome.described, strict=True):
        is_area = isinstance(damage, DamagedArea)
        line = damage.outline_px if isinstance(damage, DamagedArea) else damage.path_px
        path = np.round(line * 8).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(picture, [path], is_area, _LINE, max(1, round(scale)), cv2.LINE_AA, shift=3)
        properties = found["properties"]
        label = _area_label(properties) if is_area else _label(properties)
        _write(picture, label, line[len(line) // 2], max(_TEXT_LEAST, scale))
    return picture


def _area_label(properties: dict[str, Any]) -> str:
    kind, area = properties["kind"], properties["area"]
    if area["area_cm2"] is None:
        return f"{kind} {area['area_px']} px"
    return f"{kind} {area['area_cm2']:.0f} +- {area['area_sigma_cm2']:.0f} cm2"


def _label(properties: dict[str, Any]) -> str:
    size, width_px = properties["size"], properties["crack"]["width_px"]
    if size is None:
        at_most_px = width_px["at_most"]
        return f"{width_px['mean']:.1f} px" if at_most_px is None else f"< {at_most_px:.2f} px"
    if size["width_mm"] is None:
        return f"< {size['width_at_most_mm']:.2f} mm"
    return f"{size['width_mm']:.2f} +- {size['width_sigma_mm']:.2f} mm"


def _write(picture: Picture, text: str, at: npt.NDArray[np.float32], scale: float) -> None:
    import cv2

    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * scale, 1)
    x = int(np.clip(at[0] + 6, 0, max(0, picture.shape[1] - wide)))
    y = int(np.clip(at[1] - 6, high, max(high, picture.shape[0] - 2)))
    for colour, thick in (((30, 30, 30), 3), (_PAPER, 1)):
        thickness = max(1, round(thick * scale))
        cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5 * scale, colour, thickness, cv2.LINE_AA)
