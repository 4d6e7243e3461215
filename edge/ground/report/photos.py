"""The pictures of a report: originals copied as they are, and a part of each, small enough to go into the page."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.ground.report.findings import Finding

# 500 pictures are 25 MB as JPEG and a third more as base64: below the 40 MB that a page may have.
_ALL_BYTES = 25_000_000
_MOST_BYTES = 160_000
_LONG_PX = 960
_GOOD, _LEAST = 80, 50
"""Quality of the JPEG, and what it is lowered to where there are very many."""
_SAVED = 0.55
"""Size at the lower quality by that at the good one: the median over 120 photos of concrete; 0.41 to 0.71 nine times in
ten, so that now and then a third try is needed."""
_AT_ONCE = min(4, os.cpu_count() or 1)
"""Photos at a time: more than four cost memory (a photo of 12 megapixels takes 36 MB) and wait for the disk."""
_LEAST_PX = 240
_MARGIN = 0.35
"""Round a crack, in parts of its own size."""
_AROUND = 0.3
"""Of the frame's longer side: what is around a short crack belongs to the picture."""
_PLAIN = re.compile(r"[\w.()-]{1,120}")


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


def locate(findings: Sequence[Finding], photos: Mapping[str, Path], kept: Sequence[Path]) -> dict[Path, str]:
    """Name each finding's photo in ``finding.photo``; returns the originals with their names in the report.

    ``kept``: pictures that are known by their SHA-256; ``photos``: by name and stem.
    """
    named: dict[Path, str] = {}
    taken: set[str] = set()
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # hashing lets go of the interpreter
        hashes = dict(zip(kept, pool.map(_sha256, kept), strict=True))
    by_sha = {sha256: path for path, sha256 in hashes.items() if sha256 is not None}
    for finding in findings:
        path, finding.photo_is_view = _of(finding, photos, by_sha)
        if path is None:
            if finding.view is not None and finding.view.file is not None:
                finding.photo_doubt = f"its photo {finding.view.file} is not in the flight folder"
            continue
        if path not in hashes:
            hashes[path] = _sha256(path)
        sha256 = hashes[path]
        if sha256 is None:
            finding.photo_doubt = f"its photo {path.name} cannot be read"
            continue
        finding.photo_sha256 = sha256
        wanted = None if finding.view is None else finding.view.sha256
        # The source of a replay, found by its frame's name, is another file than the evidence made of it.
        recorded = finding.view is not None and path.name == finding.view.file
        if finding.photo_is_view and recorded and wanted is not None and sha256 != wanted:
            finding.photo_doubt = f"its photo {path.name} is not the one that the flight recorded: it was changed"
        if path not in named:
            named[path] = _free(path, taken)
        finding.photo = named[path]
    return named


def copy(originals: Mapping[Path, str], folder: Path) -> None:
    """Copy the originals, byte for byte, so that their hashes still hold. Raises OSError."""
    if not originals:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda item: _copy(item[0], folder / item[1]), originals.items()))


def _copy(path: Path, to: Path) -> None:
    """Whole or not at all, by the kernel where it can (shutil.copyfile)."""
    part = to.with_name(f".{to.name}.part")
    try:
        shutil.copyfile(path, part)
        os.replace(part, to)
    finally:
        part.unlink(missing_ok=True)


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
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # OpenCV lets go of the interpreter
        for part in pool.map(lambda item: _shown(item[0], item[1], budget), groups.items()):
            shown.update(part)
    return shown


def _of(finding: Finding, photos: Mapping[str, Path], by_sha: Mapping[str, Path]) -> tuple[Path | None, bool]:
    """The photo of a finding, and whether it is that of its view: first the view's own, on which it can be drawn."""
    view, best = finding.view, finding.best
    whole = by_sha.get(str(best.get("evidence_sha256")))
    if view is not None:
        if whole is not None and view.frame_seq == best.get("frame_seq"):
            return whole, True
        names = [photos[name] for name in (view.file, view.frame_name) if name is not None and name in photos]
        own = by_sha.get(str(view.sha256)) or next(iter(names), None)
        if own is not None:
            return own, True
    name = best.get("frame_name")
    return whole or (photos.get(name) if isinstance(name, str) else None), False


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)
    except OSError:
        return None


def _digest(file: Any) -> str:
    found = hashlib.sha256()  # Python 3.10 has no file_digest
    while block := file.read(1 << 20):
        found.update(block)
    return found.hexdigest()


def _free(path: Path, taken: set[str]) -> str:
    """A name that no other photo of the report has and that every program takes; geo.txt has no way to write blanks."""
    plain = path.name.replace(" ", "_")
    plain = plain if _PLAIN.fullmatch(plain) else f"photo{path.suffix.lower()}"
    name, number = plain, 1
    while name.lower() in taken:
        number += 1
        name = f"{Path(plain).stem}-{number}{Path(plain).suffix}"
    taken.add(name.lower())
    return name


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
