"""``spanhawk calibrate``: photos of a chessboard or ChArUco board become a lens card, ``lens.toml``.

Zhang's method as OpenCV has it (``calibrateCameraExtended``), with its own judgement: photos that fit badly are left
out, and a result that the photos do not support (board never tilted, edges never covered) is refused or said.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.frames import RGB, Frame
from edge.frames.folder import Options, open_camera
from edge.support.clock import SystemClock
from edge.support.disk import write_whole
from edge.support.errors import UsageError
from edge.surface.lens import Lens, to_cameras_json, to_toml

log = logging.getLogger(__name__)

Points = npt.NDArray[np.float32]

_FEWEST = 6
_ADVISED = 10
# Boards are looked for in a picture no longer than this; corners are then refined in the full one.
_SEARCH_PX = 1600
_WORST_ERROR_PX = 2.0
_WORST_FOCAL = 0.01
# OpenCV's standard deviations take every corner's error for independent: paper waves and blur are shared by a photo.
_SHARED_ERRORS = 3.0
_FINEST_FOCAL = 0.001
_MARKER_SHARE = 0.75
# A board counts as tilted where its far side looks smaller by this; a distorted lens alone makes some per cent.
_TILTED = 0.08
_FEWEST_TILTED = 4
_GRID = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the command line asked for. Raises UsageError for what cannot be meant."""

    photos: Sequence[Path]
    board: str
    square_mm: float
    charuco: str | None = None
    name: str = "lens"
    out: Path = Path("lens.toml")
    overwrite: bool = False
    """Replace ``out`` and the cameras.json beside it."""

    def __post_init__(self) -> None:
        columns, rows = self.corners()
        if not (3 <= columns <= 50 and 3 <= rows <= 50):
            raise UsageError(f"--board {self.board}: needs 3 to 50 corners each way")
        if not 0 < self.square_mm < 10_000:
            raise UsageError(f"--square-mm {self.square_mm}: needs the side of one square, in millimetres")

    def corners(self) -> tuple[int, int]:
        """Columns and rows."""
        match = re.fullmatch(r"(\d{1,3})[xX](\d{1,3})", self.board)
        if match is None:
            raise UsageError(f"--board {self.board}: write the inner corners as COLUMNSxROWS, as 9x6")
        return int(match[1]), int(match[2])


@dataclass(frozen=True, slots=True)
class _Sighting:
    """The board in one photo."""

    name: str
    on_board: Points
    """float32 (N, 3): millimetres."""
    in_photo: Points
    """float32 (N, 2): pixels."""


def calibrate(job: Job) -> str:
    """Measure the lens, write ``job.out`` and ``cameras.json`` beside it; returns what to tell. Raises UsageError."""
    card = job.out.absolute()  # the daemon that is told of it runs elsewhere
    beside = card.with_name("cameras.json")
    try:
        there = [path for path in (card, beside) if path.exists()]
    except OSError as error:
        raise UsageError(f"--out {job.out}: cannot look there ({error.strerror}); name another file") from error
    if there and not job.overwrite:
        raise UsageError(f"{there[0]} is there already; name another file with --out, or replace it with --overwrite")
    seen, size = _look(job)
    if len(seen) < _FEWEST:
        raise UsageError(
            f"the board {job.board} was found in {len(seen)} photos, needs {_FEWEST} or more; "
            "check --board (inner corners, not squares), light and sharpness"
        )
    lens, kept, covered = _solve(job, seen, size)
    try:
        write_whole(card, to_toml(lens).encode())
        write_whole(beside, to_cameras_json(lens).encode())
    except OSError as error:
        raise UsageError(f"--out {job.out}: cannot write there ({error.strerror}); name another file") from error
    return _told(lens, len(kept), len(seen), covered, card, beside)


def _look(job: Job) -> tuple[list[_Sighting], tuple[int, int]]:
    """Where the board is in each photo, and their one size."""
    find = _charuco(job) if job.charuco is not None else _chessboard(job)
    seen: list[_Sighting] = []
    size: tuple[int, int] | None = None
    for frame in _frames(job.photos):
        here = (frame.width_px, frame.height_px)
        size = size or here
        if here != size:
            raise UsageError(
                f"{frame.name}: is {here[0]}x{here[1]} pixels, others are {size[0]}x{size[1]}; "
                "calibrate one camera at one size, held one way up"
            )
        sighting = find(frame)
        if sighting is None:
            log.warning("%s: no board found", frame.name)
        else:
            seen.append(sighting)
    if size is None:
        raise UsageError("none of the photos can be read")
    return seen, size


def _frames(paths: Sequence[Path]) -> Iterator[Frame]:
    for path in paths:
        with open_camera(Options(path=path), SystemClock()) as camera:
            yield from camera.frames()


def _grey(rgb: RGB) -> npt.NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def _chessboard(job: Job) -> Any:
    import cv2

    columns, rows = job.corners()
    on_board = np.zeros((columns * rows, 3), np.float32)
    on_board[:, :2] = np.mgrid[0:columns, 0:rows].T.reshape(-1, 2) * job.square_mm
    flags = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_ACCURACY

    def find(frame: Frame) -> _Sighting | None:
        grey = _grey(frame.rgb)
        share = min(1.0, _SEARCH_PX / max(grey.shape))
        small = grey if share == 1.0 else cv2.resize(grey, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        found, corners = cv2.findChessboardCornersSB(small, (columns, rows), flags=flags)
        if not found:
            return None
        # Pixels are counted from a centre, lengths from an edge.
        corners = ((np.asarray(corners, np.float32).reshape(-1, 2) + 0.5) / share - 0.5).astype(np.float32)
        if share != 1.0:
            until = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 40, 0.001)
            reach = max(2, round(2 / share))
            corners = cv2.cornerSubPix(grey, corners.reshape(-1, 1, 2), (reach, reach), (-1, -1), until).reshape(-1, 2)
        return _Sighting(frame.name or str(frame.seq), on_board, np.asarray(corners, np.float32))

    return find


def _charuco(job: Job) -> Any:
    import cv2

    number = getattr(cv2.aruco, job.charuco or "", None)
    if not isinstance(number, int) or not (job.charuco or "").startswith("DICT_"):
        raise UsageError(f"--charuco {job.charuco}: no such dictionary; known are OpenCV's, as DICT_4X4_50")
    markers = cv2.aruco.getPredefinedDictionary(number)
    board = cv2.aruco.CharucoBoard(job.corners(), job.square_mm, job.square_mm * _MARKER_SHARE, markers)
    detector = cv2.aruco.CharucoDetector(board)
    places = np.asarray(board.getChessboardCorners(), np.float32)

    def find(frame: Frame) -> _Sighting | None:
        corners, numbers, _, _ = detector.detectBoard(_grey(frame.rgb))
        if numbers is None or len(numbers) < 6:
            return None
        found = np.asarray(numbers).ravel()
        return _Sighting(frame.name or str(frame.seq), places[found], np.asarray(corners, np.float32).reshape(-1, 2))

    return find


def _solve(job: Job, seen: list[_Sighting], size: tuple[int, int]) -> tuple[Lens, list[_Sighting], float]:
    """The lens, the photos it rests on, and the share of the picture that they cover."""
    if sum(_converges(sighting) >= _TILTED for sighting in seen) < _FEWEST_TILTED:
        # Boards square to the camera fit any focal length, and the deviations that OpenCV states do not show it.
        raise UsageError(
            f"the board is tilted in fewer than {_FEWEST_TILTED} photos, so nothing fixes the focal length; tilt it by "
            "20 to 45 degrees to all sides and come close, so that it fills the picture"
        )
    kept = seen
    error, matrix, distortion, deviations, per_photo = _fit(kept, size)
    limit = max(3 * float(np.median(per_photo)), 0.5)
    good = [sighting for sighting, its in zip(kept, per_photo, strict=True) if its <= limit]
    if _FEWEST <= len(good) < len(kept):
        for sighting, its in zip(kept, per_photo, strict=True):
            if its > limit:
                log.warning("%s: left out, it misses by %.1f pixels", sighting.name, its)
        kept = good
        error, matrix, distortion, deviations, per_photo = _fit(kept, size)
    focal = max(_SHARED_ERRORS * float(deviations[0] / matrix[0, 0]), _FINEST_FOCAL)
    if error > _WORST_ERROR_PX:
        raise UsageError(
            f"the corners miss by {error:.1f} pixels, at most {_WORST_ERROR_PX:g} are taken; is the board flat, "
            "the focus the same in all photos, and the lens no fisheye?"
        )
    if focal > _WORST_FOCAL:
        raise UsageError(
            f"the photos fix the focal length to {focal:.1%} only, {_WORST_FOCAL:.0%} is needed; tilt the board by up "
            "to 45 degrees to all sides and come closer, so that it fills the picture"
        )
    lens = Lens(
        name=job.name,
        width_px=size[0],
        height_px=size[1],
        fx_px=round(float(matrix[0, 0]), 3),
        fy_px=round(float(matrix[1, 1]), 3),
        cx_px=round(float(matrix[0, 2]), 3),
        cy_px=round(float(matrix[1, 2]), 3),
        distortion=tuple(round(float(value), 8) for value in distortion.ravel()[:5]),  # type: ignore[arg-type]
        focal_uncertainty=round(focal, 5),
        error_px=round(float(error), 3),
        origin=f"calibrated on {len(kept)} photos of a {job.board} board with squares of {job.square_mm:g} mm",
    )
    return lens, kept, _covered(kept, size)


def _converges(sighting: _Sighting) -> float:
    """By what share the scale changes over the board: its perspective, which no lens parameter is needed for."""
    import cv2

    board = sighting.on_board[:, :2]
    shape: Any = cv2.findHomography(board, sighting.in_photo)[0]
    if shape is None:
        return 0.0
    nearness = (np.column_stack([board, np.ones(len(board))]) @ np.asarray(shape)[2]) ** -1.0
    return float(nearness.max() / nearness.min() - 1)


def _fit(seen: list[_Sighting], size: tuple[int, int]) -> tuple[float, Any, Any, Any, Any]:
    import cv2

    error, matrix, distortion, _, _, deviations, _, per_photo = cv2.calibrateCameraExtended(
        [sighting.on_board for sighting in seen],
        [sighting.in_photo.reshape(-1, 1, 2) for sighting in seen],
        size,
        np.eye(3),
        np.zeros(5),
    )
    return float(error), matrix, distortion, np.asarray(deviations).ravel(), np.asarray(per_photo).ravel()


def _covered(seen: list[_Sighting], size: tuple[int, int]) -> float:
    """Share of the cells of a grid over the picture in which a corner was seen."""
    corners = np.concatenate([sighting.in_photo for sighting in seen])
    cells = np.clip((corners / size * _GRID).astype(int), 0, _GRID - 1)
    return len(np.unique(cells, axis=0)) / _GRID**2


def _told(lens: Lens, kept: int, seen: int, covered: float, card: Path, beside: Path) -> str:
    wide = 2 * np.degrees(np.arctan(lens.width_px / 2 / lens.fx_px))
    lines = [
        f"{kept} of {seen} photos with a board, corners miss by {lens.error_px} px (root mean square)",
        f"focal length {lens.fx_px:.1f} px +- {lens.focal_uncertainty:.2%}, about {wide:.1f} degrees wide",
        f"principal point {lens.cx_px:.1f}, {lens.cy_px:.1f}",
        f"distortion {', '.join(f'{k:.5f}' for k in lens.distortion)}",
        f'written to {card} (use it: [scale] lens = "{card}") and {beside} (OpenDroneMap)',
    ]
    if kept < _ADVISED:
        lines.append(f"few photos: {_ADVISED} or more make it better")
    if covered < 1:
        lines.append(
            f"the board was seen in {covered:.0%} of the picture only: outside of that the distortion is a guess; "
            "add photos with the board in the corners"
        )
    return "\n".join(lines)
