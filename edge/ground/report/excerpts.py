"""The part of each photo that a page shows, small enough to go into it, and the finding's course on it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.ground.report.findings import Finding
from edge.ground.report.photos import AT_ONCE

# 500 pictures are 25 MB as JPEG and a third more as base64: below the 40 MB that a page may have.
_ALL_BYTES = 25_000_000
_MOST_BYTES = 160_000
_LONG_PX = 960
_GOOD, _LEAST = 80, 50
"""Quality of the JPEG, and what it is lowered to where there are very many."""
_SAVED = 0.55
"""Size at the lower quality by that at the good one: the median over 120 photos of concrete; 0.41 to 0.71 nine times in
ten, so that now and then a third try is needed."""
_LEAST_PX = 240
_MARGIN = 0.35
"""Round a crack, in parts of its own size."""
_AROUND = 0.3
"""Of the frame's longer side: what is around a short crack belongs to the picture."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A part of a photo in the page, and the centrelines in its pixels."""

    uri: str
    """``data:image/jpeg;base64,…``."""
    width_px: int
    height_px: int
    lines: Sequence[str]
    """``points`` of SVG polylines."""
    part: str | None
    """Which part of the photo it is, in words; None: the whole."""


def show(findings: Sequence[Finding], originals: Mapping[Path, str]) -> dict[str, Shown]:
    """By crack_id: the part of the photo around each crack, scaled down. A photo that does not open is said so."""
    by_name = {name: path for path, name in originals.items()}
    groups: dict[Path, list[Finding]] = {}
    for finding in findings:
        if finding.photo is not None:
            groups.setdefault(by_name[finding.photo], []).append(finding)
    each = max(1, sum(map(len, groups.values())))
    budget = min(_MOST_BYTES, _ALL_BYTES // each)
    shown: dict[str, Shown] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:  # OpenCV lets go of the interpreter
        for part in pool.map(lambda item: _shown(item[0], item[1], budget), groups.items()):
            shown.update(part)
    return shown


def _shown(path: Path, findings: Sequence[Finding], budget: int) -> dict[str, Shown]:
    picture = _opened(path, min(map(_reduction, findings)))
    if picture is None:
        for finding in findings:
            finding.photo_doubt = f"its photo {path.name} does not open as a picture"
        return {}
    return {finding.crack_id: _part(picture, finding, budget) for finding in findings}


def _reduction(finding: Finding) -> int:
    """1, 2, 4 or 8: the photo may be decoded so much smaller and what is shown of it loses nothing.

    A JPEG decoder does that in a fraction of the time (libjpeg's scaled DCT).
    """
    if finding.view is None or 0 in finding.view.size_px:
        return 1
    left, top, right, bottom = _window(_paths(finding, *finding.view.size_px), *finding.view.size_px)
    return next((by for by in (8, 4, 2) if max(right - left, bottom - top) >= by * _LONG_PX), 1)


def _opened(path: Path, reduction: int) -> npt.NDArray[np.uint8] | None:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError:
        return None
    if not data.size:
        return None
    # Upright, as EXIF's orientation says: so the frames were that the centrelines were found in.
    picture = cv2.imdecode(data, _FLAGS[reduction])
    return None if picture is None else np.asarray(picture, np.uint8)


_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def _part(picture: npt.NDArray[np.uint8], finding: Finding, budget: int) -> Shown:
    height, width = picture.shape[:2]
    paths = _paths(finding, width, height)
    left, top, right, bottom = _window(paths, width, height)
    part = picture[top:bottom, left:right]
    data, size = _small(part, budget)
    scale = size[0] / part.shape[1]
    lines = [" ".join(f"{(x - left) * scale:.1f},{(y - top) * scale:.1f}" for x, y in path) for path in paths]
    words = None
    if paths and finding.view is not None and (right - left, bottom - top) != (width, height):
        of = finding.view.size_px
        x0, x1, y0, y1 = (round(at * of[0] / width) for at in (left, right, top, bottom))
        words = f"pixels {x0} to {x1} across and {y0} to {y1} down of {of[0]} x {of[1]}"
    return Shown(
        uri="data:image/jpeg;base64," + base64.b64encode(data).decode("ascii"),
        width_px=size[0],
        height_px=size[1],
        lines=lines,
        part=words,
    )


def _small(part: npt.NDArray[np.uint8], budget: int) -> tuple[bytes, tuple[int, int]]:
    """JPEG of at most ``budget`` bytes with its width and height; larger only where it would be too small to see."""
    scale, quality = min(1.0, _LONG_PX / max(part.shape[:2])), _GOOD
    while True:
        size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
        small = part if scale == 1.0 else cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        over = len(data) / budget
        if over <= 1 or (max(size) <= _LEAST_PX and quality == _LEAST):
            return data, size
        if quality == _GOOD:
            # Each encoding costs as much as the decoding: what a lower quality will save is known beforehand.
            quality, over = _LEAST, over * _SAVED
        if over > 1:  # bytes go about with the pixels
            scale *= min(0.95, max(0.5, over**-0.5))


def _paths(finding: Finding, width: int, height: int) -> list[npt.NDArray[np.float64]]:
    """The centrelines in the photo's pixels; empty where the photo has other proportions than the frame had."""
    view = finding.view
    if view is None or not finding.photo_is_view or 0 in view.size_px:
        return []
    across, down = width / view.size_px[0], height / view.size_px[1]
    if abs(across / down - 1) > 0.01:
        finding.photo_doubt = "its photo has other proportions than the frame had, so the crack is not drawn on it"
        return []
    paths = []
    for points in view.paths_px:
        path = np.asarray(points, np.float64)
        if path.ndim == 2 and path.shape[1] == 2 and len(path) >= 2 and np.isfinite(path).all():
            paths.append((path + 0.5) * (across, down))
    return paths


def _window(paths: Sequence[npt.NDArray[np.float64]], width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the part that is shown: 4 to 3, around the crack, within the picture."""
    if not paths:
        return 0, 0, width, height
    points = np.vstack(paths)
    low, high = points.min(axis=0), points.max(axis=0)
    size = np.maximum((high - low) * (1 + 2 * _MARGIN), _AROUND * max(width, height) * np.array([1.0, 0.75]))
    across = max(size[0], size[1] * 4 / 3)
    wide, tall = min(float(width), across), min(float(height), across * 3 / 4)
    middle = (low + high) / 2
    left = min(max(0.0, middle[0] - wide / 2), width - wide)
    top = min(max(0.0, middle[1] - tall / 2), height - tall)
    return int(left), int(top), int(left + wide), int(top + tall)
