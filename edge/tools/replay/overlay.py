"""The frame with its cracks drawn on: where people would rather look than read."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge.pipeline import Outcome

Picture = npt.NDArray[np.uint8]

# Okabe and Ito's palette (2008), distinguishable without red-green vision; BGR.
_LINE = (0, 94, 213)
_REGION = (66, 228, 240)
_PAPER = (255, 255, 255)


def draw(outcome: Outcome) -> Picture:
    """BGR (H, W, 3): reported region tinted, centrelines drawn, mean width written at each crack."""
    import cv2

    picture: Picture = np.asarray(cv2.cvtColor(outcome.frame.rgb, cv2.COLOR_RGB2BGR), np.uint8)
    if not outcome.traced.cracks:
        return picture
    region = outcome.traced.reported()
    picture[region] = (0.4 * picture[region] + 0.6 * np.array(_REGION)).astype(np.uint8)
    scale = max(0.4, outcome.frame.width_px / 1600)
    for crack, found in zip(outcome.traced.cracks, outcome.features, strict=True):
        path = np.round(crack.path_px * 8).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(picture, [path], False, _LINE, max(1, round(scale)), cv2.LINE_AA, shift=3)
        _write(picture, _label(found["properties"]), crack.path_px[len(crack.path_px) // 2], scale)
    return picture


def _label(properties: dict[str, Any]) -> str:
    size, width = properties["size"], properties["crack"]["width_px"]["mean"]
    if size is None:
        return f"{width:.1f} px"
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
