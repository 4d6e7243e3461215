"""The small pictures that are registered, and whether what two of them show is alike."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.frames import RGB
from edge.surface.homography import Matrix, sane

Grey = npt.NDArray[np.uint8]
Detail = npt.NDArray[np.float32]

GREY_WIDTH_PX = 320
"""Width of the picture that is registered: corners that survive this shrinking are stains, joints and cracks."""
MIN_CORRELATION = 0.45
"""Normalised correlation of the overlap, after the fit, from which on a fit is believed."""
GRAIN_SIGMA_PX = 1.5
"""Grain is what differs from its surroundings within so many small pixels."""
MIN_GRAIN = 0.2
"""The same of the grain alone. Of rendered flights 1 to 4, 227 matches of one place have 0.26 and more, 98 in 100 of
them 0.44; four of other places, whose beams look alike, have 0.02 to 0.12."""
MIN_COMMON = 0.08
"""Two pictures share at least this part of their area."""
MIN_DETAIL = 1.0
"""Standard deviation of the detail, grey levels, below which a picture says nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """The small picture of a frame."""

    grey: Grey
    kept: Detail | None
    """``detail``, where it is kept; it takes four times the room of ``grey``."""

    @classmethod
    def of(cls, grey: Grey) -> Picture:
        """The picture with its detail."""
        return cls(grey, _detail(grey))

    def packed(self) -> Picture:
        """The same without its detail, which is made again whenever it is asked for."""
        return Picture(self.grey, None)

    @property
    def detail(self) -> Detail:
        """float32 (H, W): without slow shading, which would correlate any two pictures of one wall."""
        return _detail(self.grey) if self.kept is None else self.kept

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.grey.shape[0], self.grey.shape[1]


def small(rgb: RGB) -> tuple[Picture, float]:
    """The small picture that is registered, and its pixels per pixel of ``rgb``, uint8 (H, W, 3)."""
    height, width = rgb.shape[:2]
    shrink = min(1.0, GREY_WIDTH_PX / max(height, width))
    # Green is most of what grey is. Every other row and column first where that leaves enough: fewer bytes to average.
    step = 2 if shrink < 0.4 else 1
    size = (max(16, round(width * shrink)), max(16, round(height * shrink)))
    green = np.ascontiguousarray(rgb[::step, ::step, 1])
    grey = np.asarray(cv2.resize(green, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Picture.of(grey), size[0] / width


def same_grain(reference: Picture, look: Picture, to_reference: Matrix) -> bool:
    """Whether the finest texture of what both show agrees too: beams and joints look alike, their grain does not."""
    correlation, common = _correlation(_grain(reference), _grain(look), to_reference)
    return common >= MIN_COMMON and correlation >= MIN_GRAIN


def _grain(picture: Picture) -> Detail:
    detail = picture.detail
    return np.asarray(detail - cv2.GaussianBlur(detail, (0, 0), GRAIN_SIGMA_PX), np.float32)


def alike(reference: Picture, look: Picture, to_reference: Matrix) -> bool:
    """Whether what two pictures both show is alike: flow and phase correlation also find matches in plain grain."""
    if not sane(to_reference):
        return False
    # Every other pixel tells as much.
    half = np.diag([0.5, 0.5, 1.0])
    correlation, common = _correlation(halved(reference.detail), look.detail, half @ to_reference)
    return common >= MIN_COMMON and correlation >= MIN_CORRELATION


def halved(detail: Detail) -> Detail:
    """Detail (H, W) at half the size, (H // 2, W // 2)."""
    size = (detail.shape[1] // 2, detail.shape[0] // 2)
    return np.asarray(cv2.resize(detail, size, interpolation=cv2.INTER_AREA), np.float32)


def _correlation(field: Detail, look: Detail, to_field: Matrix) -> tuple[float, float]:
    """Normalised correlation of ``look`` with ``field`` (H, W) where both show something, and how large a share."""
    size = (field.shape[1], field.shape[0])
    placed = cv2.warpPerspective(look, to_field, size, borderMode=cv2.BORDER_REPLICATE)
    ones = np.full(look.shape, 255, np.uint8)
    covered = cv2.warpPerspective(ones, to_field, size, flags=cv2.INTER_NEAREST) == 255
    if not covered.any():
        return 0.0, 0.0
    x, y = placed[covered], field[covered]
    correlation = float(((x - x.mean()) * (y - y.mean())).mean() / (x.std() * y.std() + 1e-6))
    return correlation, float(covered.mean())


def vertex(values: npt.NDArray[np.float32], at: int) -> float:
    """Offset of the true peak from the highest sample, by the parabola through it and its neighbours."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, here, after = values[at - 1 : at + 2].tolist()
    return summit(before, here, after)


def summit(before: float, here: float, after: float) -> float:
    """The same from the highest sample and its neighbours."""
    bend = before - 2 * here + after
    return 0.0 if bend >= 0 else max(-0.5, min(0.5, 0.5 * (before - after) / bend))


def _detail(grey: Grey) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.subtract(grey, cv2.boxFilter(grey, cv2.CV_32F, (21, 21)), dtype=cv2.CV_32F), np.float32)
