"""Where each frame lies beside the others: frames registered to keyframes of a common chart, on a small grey picture.

A chart is a flat local map: pixels of its first frame where no pose is known, metres along and up the surface where
poses are. Corners of the newest keyframe are followed into the frame by pyramidal Lucas-Kanade flow, starting from the
predicted motion, and a similarity is fitted to them by RANSAC. Concrete has little texture, so a fit counts only where
enough corners agree, where they are spread out, and where it lies within the prediction's own uncertainty; else phase
correlation of the whole picture is asked, and else the prediction stands. Where there is no prediction either, the
frame is a view of nothing in common with the others, and begins a chart of its own.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from edge.frames import RGB

Matrix = npt.NDArray[np.float64]
Grey = npt.NDArray[np.uint8]

Points2 = npt.NDArray[np.float64]

Method = Literal["first", "measured", "predicted"]

GREY_WIDTH_PX = 320
"""Width of the picture that is registered: corners that survive this shrinking are stains, joints and cracks."""
MAX_CORNERS = 120
MIN_INLIERS = 12
"""Fewer corners that agree are chance on a wall of even grain."""
MIN_INLIER_SHARE = 0.35
INLIER_PX = 1.5
"""Of the small picture; at 1280 px it is 6 px of the frame."""
MIN_SPREAD = 0.12
"""Agreeing corners span at least this share of the picture's diagonal: a cluster says nothing about scale."""
KEY_OVERLAP = 0.6
"""A frame that shares less than this of its keyframe's area becomes the next keyframe."""
MAX_SCALE_STEP = 1.35
"""Between a keyframe and a frame the distance to the surface does not change by more than this."""
PHASE_RESPONSE = 0.12
"""Peak of a phase correlation from which on it is believed; pictures of nothing in common give 0.01 to 0.06."""
MIN_CORRELATION = 0.45
"""Normalised correlation of the overlap, after the fit, from which on a fit is believed."""
SECOND_PEAK = 0.85
"""Another place that fits nearly as well: joints and tie holes at a regular pitch, so that neither is believed."""
MIN_COMMON = 0.08
"""Two pictures share at least this part of their area."""
MIN_DETAIL = 1.0
"""Standard deviation of the detail, grey levels, below which a picture says nothing."""
KEPT_KEYFRAMES = 400
"""Keyframes of earlier passes that are kept for recognition, about 12 MB; the oldest go first."""
BLOCK_REACH_PX = 8
"""Blocks are looked for this far around where the prediction has them, small pixels."""
MIN_BLOCKS = 4
RECENT = 4
"""So many of the newest keyframes are neighbours in the chain, which know nothing that the chain does not."""
PIXEL_DRIFT = 0.8
"""Standard uncertainty that one more link of the chain of keyframes adds, in pixels of the small picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Where the pose says that a frame lies."""

    to_chart: Matrix
    """float64 (3, 3): homography from frame pixels to metres along and up the surface."""
    sigma_m: float
    """Standard uncertainty of that place along each axis, metres."""


@dataclass(frozen=True, slots=True, eq=False)
class Registered:
    """Where a frame lies."""

    chart: int
    """Frames of the same chart share coordinates; a chart's number is never used again."""
    to_chart: Matrix
    """float64 (3, 3): homography from frame pixels to chart units."""
    unit: Literal["px", "m"]
    """``px``: pixels of the chart's first frame; ``m``: metres along and up the surface."""
    unit_per_px: float
    """Chart units per pixel at the middle of this frame."""
    sigma_px: float
    """Standard uncertainty of the place beside what the chart already holds here, pixels of this frame."""
    method: Method
    moved: float
    """How far the view moved since the last one that counted as another view, in frame widths; 1.0 for the first."""


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """The small picture of a frame."""

    grey: Grey
    detail: npt.NDArray[np.float32]
    """Without slow shading, which would correlate any two pictures of one wall."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.grey.shape[0], self.grey.shape[1]


@dataclass(slots=True, eq=False)
class _Key:
    look: _Look
    to_chart: Matrix
    """From pixels of the small picture."""
    chart: int
    number: int
    sigma_px: float
    predicted: Matrix | None = None
    """Where the pose had it, metres; None without one."""


class Registrar:
    """Registers the frames of one flight, in order; used by one thread. Memory is bounded by KEPT_KEYFRAMES."""

    def __init__(self) -> None:
        self._keys: deque[_Key] = deque(maxlen=KEPT_KEYFRAMES)
        self._current: _Key | None = None
        self._before: _Key | None = None  # the last frame, where it is not a keyframe
        self._resumable: _Key | None = None
        self._motion = np.eye(3)  # from the last frame to the one before it, small pixels
        self._last: Matrix | None = None  # the last frame in its keyframe, small pixels
        self._counted: tuple[int, Matrix] | None = None
        self._charts = 0
        self._frames = 0
        self._unit: Literal["px", "m"] = "px"

    @property
    def keyframes(self) -> int:
        """How many keyframes are kept."""
        return len(self._keys)

    def register(self, rgb: RGB, prediction: Prediction | None = None) -> Registered:
        """Register the next frame, uint8 (H, W, 3); ``prediction`` None: no pose or no surface is known."""
        small, shrink = _small(rgb)
        look = _Look(small, _detail(small))
        up = np.diag([1 / shrink, 1 / shrink, 1.0])
        predicted = None if prediction is None else prediction.to_chart @ up
        self._frames += 1
        found, method, sigma = self._place(look, predicted, prediction, shrink)
        chart = found.chart if isinstance(found, _Key) else found[0]
        to_chart = found.to_chart if isinstance(found, _Key) else found[1]
        return self._answer(chart, to_chart @ np.linalg.inv(up), rgb.shape, method, sigma / shrink)

    def _place(
        self, look: _Look, predicted: Matrix | None, prediction: Prediction | None, shrink: float
    ) -> tuple[_Key | tuple[int, Matrix], Method, float]:
        for key, resumed in ((self._current, False), (self._before, False), (self._resumable, True)):
            if key is None:
                continue
            to_key = self._follow(key, look, predicted, prediction, resumed=resumed)
            if to_key is None:
                continue
            if resumed:
                self._resumable = None
            if key is not self._current:
                self._current, self._last = key, None if resumed else np.eye(3)
                if not resumed:
                    self._keys.append(key)
            to_chart = key.to_chart @ to_key
            self._motion = np.eye(3) if self._last is None else np.linalg.inv(self._last) @ to_key
            self._last = to_key
            self._before = _Key(
                look, to_chart, key.chart, self._frames, math.hypot(key.sigma_px, PIXEL_DRIFT), predicted
            )
            if _overlap(to_key, look.shape) < KEY_OVERLAP:
                sigma = math.hypot(key.sigma_px, PIXEL_DRIFT)
                if predicted is not None and prediction is not None and self._unit == "m":
                    to_chart, sigma = _pulled(to_chart, sigma, predicted, prediction, look.shape)
                to_chart = self._new_key(look, to_chart, key.chart, sigma, predicted).to_chart
            return (key.chart, to_chart), "measured", PIXEL_DRIFT
        if predicted is not None and self._current is not None and self._unit == "m":
            scale = _scale_at(predicted, look.shape)
            sigma = prediction.sigma_m / scale if prediction is not None else PIXEL_DRIFT
            key = self._new_key(look, predicted, self._current.chart, sigma, predicted)
            return (key.chart, key.to_chart), "predicted", key.sigma_px
        return self._new_chart(look, predicted, shrink), "first", 0.0

    def _new_chart(self, look: _Look, predicted: Matrix | None, shrink: float) -> _Key:
        self._resumable = self._current
        self._charts += 1
        self._unit = "px" if predicted is None else "m"
        self._counted = None
        start = np.diag([1 / shrink, 1 / shrink, 1.0]) if predicted is None else predicted
        return self._new_key(look, start, self._charts, 0.0, predicted)

    def _new_key(
        self, look: _Look, to_chart: Matrix, chart: int, sigma_px: float, predicted: Matrix | None
    ) -> _Key:
        recognised = self._recognise(look, to_chart, chart, sigma_px)
        if recognised is not None:
            to_chart, sigma_px = recognised
        key = _Key(look, to_chart, chart, self._frames, sigma_px, predicted)
        self._keys.append(key)
        self._current, self._last, self._before = key, np.eye(3), None
        return key

    def _recognise(self, look: _Look, to_chart: Matrix, chart: int, sigma_px: float) -> tuple[Matrix, float] | None:
        """Where an earlier pass saw this place: its chart place and uncertainty; None where none is recognised.

        Only keyframes that may overlap within three standard uncertainties are asked, and at most two of them.
        """
        reach = 3 * sigma_px + 4
        asked = 0
        earlier = [key for key in list(self._keys)[:-RECENT] if key.chart == chart]
        for key in sorted(earlier, key=lambda one: _shift(one.to_chart, to_chart, look.shape)):
            if asked == 3:
                break
            guess = np.linalg.inv(key.to_chart) @ to_chart
            if _overlap(guess, look.shape) < 0.1 and reach < 0.5 * look.shape[1]:
                continue
            asked += 1
            to_key = _by_blocks(key.look, look, guess)
            if to_key is None:
                to_key = _by_template(key.look, look, guess, max(reach, 8.0))
                finer = None if to_key is None else _by_blocks(key.look, look, to_key)
                to_key = to_key if finer is None else finer
            if to_key is not None:
                return key.to_chart @ to_key, math.hypot(key.sigma_px, PIXEL_DRIFT)
        return None

    def _follow(
        self, key: _Key, look: _Look, predicted: Matrix | None, prediction: Prediction | None, *, resumed: bool
    ) -> Matrix | None:
        """The frame in its keyframe, small pixels; None where neither flow nor phase correlation can tell."""
        posed = predicted is not None and self._unit == "m" and not resumed
        tries = [np.eye(3)]
        if self._last is not None and not resumed:
            last = self._last if key is self._current else np.eye(3)
            tries = [last @ self._motion, last]
        if posed and predicted is not None and key.predicted is not None:
            # Turn, scale and perspective from the poses, which know them better; the shift from the pictures first.
            by_pose = np.linalg.inv(key.predicted) @ predicted
            tries = [*(_centred(by_pose, one, look.shape) for one in tries[:1]), by_pose, *tries[1:]]
        for start in tries:
            found = _by_blocks(key.look, look, start)
            if found is None and not _too_far(start, look.shape):
                found = _by_phase(key.look, look, start)
            if found is None:
                continue
            if posed and prediction is not None and len(tries) > 1:
                allowed = 3 * prediction.sigma_m / _scale_at(key.to_chart, look.shape) + 3 * key.sigma_px + 6
                if _shift(found, tries[1], look.shape) > allowed:
                    continue
            return found
        return None

    def _answer(
        self, chart: int, to_chart: Matrix, shape: tuple[int, ...], method: Method, sigma_px: float
    ) -> Registered:
        to_chart = to_chart / to_chart[2, 2]
        moved = 1.0
        if self._counted is not None and self._counted[0] == chart:
            back = np.linalg.inv(self._counted[1]) @ to_chart
            moved = _shift(back, np.eye(3), shape) / shape[1]
        if moved >= VIEW_SHIFT:
            self._counted = (chart, to_chart)
        return Registered(chart, to_chart, self._unit, _scale_at(to_chart, shape), sigma_px, method, moved)


VIEW_SHIFT = 0.04
"""A frame that moved by less than this share of its width since the last view shows nothing new: a hover is one look."""


def project(matrix: Matrix, points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Points (N, 2) through a homography (3, 3)."""
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(mapped[:, :2] / mapped[:, 2:], np.float64)


def _small(rgb: RGB) -> tuple[Grey, float]:
    """The grey picture that is registered, and small pixels per pixel."""
    height, width = rgb.shape[:2]
    shrink = min(1.0, GREY_WIDTH_PX / max(height, width))
    # Every other row and column first where that leaves enough: half the bytes for the area filter.
    step = 2 if shrink < 0.4 else 1
    size = (max(16, round(width * shrink)), max(16, round(height * shrink)))
    small = cv2.resize(rgb[::step, ::step], size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8), size[0] / width


def _by_blocks(reference: _Look, look: _Look, guess: Matrix) -> Matrix | None:
    """The frame in the reference by where a grid of its blocks fits best, at most BLOCK_REACH_PX beside ``guess``.

    Blocks are matched by normalised correlation: on concrete their grain is the texture, of which corners and their
    flow know nothing. A similarity is fitted to the blocks that agree, a shift where they are few.
    """
    if reference.shape != look.shape or not _sane(guess):
        return None
    height, width = look.shape
    placed = cv2.warpPerspective(look.detail, guess, (width, height), borderMode=cv2.BORDER_REPLICATE)
    ones = np.full(look.shape, 255, np.uint8)
    covered = cv2.warpPerspective(ones, guess, (width, height), flags=cv2.INTER_NEAREST)
    shared = _rectangle(covered)
    if shared is None:
        return None
    (top_px, bottom_px), (left_px, right_px) = shared
    # A strip that lies slightly turned has no full row at its rim: lower blocks, some of which fit into it.
    down = min(max(16, height // 4), max(16, (bottom_px - top_px) * 3 // 5))
    across = min(max(16, width // 7), max(16, (right_px - left_px) * 3 // 5))
    centres, moves = [], []
    for top in _starts(top_px, bottom_px, down):
        for left in _starts(left_px, right_px, across):
            block = np.s_[top : top + down, left : left + across]
            if covered[block].min() == 0:
                continue
            move = _best_move(reference.detail, placed[block], top, left)
            if move is not None:
                centres.append((left + across / 2, top + down / 2))
                moves.append(move)
    if len(moves) < MIN_BLOCKS:
        return None
    at, by = np.array(centres), np.array(moves)
    turn = _motion_of(at, by, look.shape)
    if turn is None:
        return None
    found = turn @ guess
    return found if _fits(reference, look, found) else None


def _motion_of(at: Points2, by: Points2, shape: tuple[int, int]) -> Matrix | None:
    """What moves the points ``at`` (N, 2) ``by`` (N, 2): a similarity, or a shift where they are few; None where they differ.

    A camera that sways moves its picture by a homography, but a chain of homographies bends the chart: measured over a
    rendered flight of 40 m, the perspective parts add up to metres, while a chain of similarities stays within
    decimetres. Where the pose is known, perspective comes from it.
    """
    matrix = np.eye(3)
    needed = max(MIN_BLOCKS, 0.5 * len(at))
    spread = np.ptp(at, axis=0) / np.array(shape[::-1])
    if len(at) >= 6 and (spread.min() > 0 or spread.max() > 0.5):
        fit, inliers = cv2.estimateAffinePartial2D(
            at, at + by, method=cv2.RANSAC, ransacReprojThreshold=2 * INLIER_PX, maxIters=100, confidence=0.99
        )
        if fit is not None and inliers.sum() >= needed:
            matrix[:2] = fit
            return matrix
    shift = np.median(by, axis=0)
    if (np.hypot(*(by - shift).T) < INLIER_PX).sum() < needed:
        return None
    matrix[:2, 2] = shift
    return matrix


def _rectangle(covered: npt.NDArray[np.uint8]) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Rows and columns, each first and one past the last, in which blocks may lie; None where too little is shared."""
    height, width = covered.shape
    rows, columns = np.flatnonzero(covered.max(axis=1)), np.flatnonzero(covered.max(axis=0))
    if not rows.size:
        return None
    reach = BLOCK_REACH_PX
    top, bottom = max(reach, int(rows[0])), min(height - reach, int(rows[-1]) + 1)
    left, right = max(reach, int(columns[0])), min(width - reach, int(columns[-1]) + 1)
    return None if min(bottom - top, right - left) < 16 else ((top, bottom), (left, right))


def _starts(first: int, last: int, size: int) -> list[int]:
    """Where blocks of ``size`` begin between two places, evenly, overlapping by about a quarter."""
    count = max(1, round((last - first - size) / (0.75 * size)) + 1)
    return [round(at) for at in np.linspace(first, last - size, count)]


def _best_move(field: npt.NDArray[np.float32], block: npt.NDArray[np.float32], top: int, left: int) -> Points2 | None:
    """How far (x, y) from its place the block fits best; None where it is plain or fits badly."""
    if float(block.std()) < MIN_DETAIL:
        return None
    reach = BLOCK_REACH_PX
    rows, columns = block.shape
    fits = cv2.matchTemplate(
        field[top - reach : top + rows + reach, left - reach : left + columns + reach], block, cv2.TM_CCOEFF_NORMED
    )
    _, peak, _, (x, y) = cv2.minMaxLoc(fits)
    if peak < MIN_CORRELATION:
        return None
    return np.array([x - reach + _vertex(fits[y], x), y - reach + _vertex(fits[:, x], y)])


def _by_phase(reference: _Look, look: _Look, guess: Matrix) -> Matrix | None:
    """A shift of the whole picture beside ``guess``, verified by the correlation of what then overlaps."""
    if reference.shape != look.shape:
        return None
    height, width = look.shape
    moved = cv2.warpPerspective(look.detail, guess, (width, height))
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    (dx, dy), response = cv2.phaseCorrelate(moved, reference.detail, window)
    if response < PHASE_RESPONSE:
        return None
    found = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy], [0.0, 0.0, 1.0]]) @ guess
    return _by_blocks(reference, look, found)


def _fits(reference: _Look, look: _Look, to_reference: Matrix) -> bool:
    """Whether what two pictures both show is alike: flow and phase correlation also find matches in plain grain."""
    if not _sane(to_reference):
        return False
    height, width = reference.shape
    # Every other pixel tells as much.
    half = np.diag([0.5, 0.5, 1.0])
    size = (width // 2, height // 2)
    placed = cv2.warpPerspective(look.detail, half @ to_reference, size, borderMode=cv2.BORDER_REPLICATE)
    ones = np.full(look.shape, 255, np.uint8)
    covered = cv2.warpPerspective(ones, half @ to_reference, size, flags=cv2.INTER_NEAREST) == 255
    if covered.mean() < MIN_COMMON:
        return False
    x, y = placed[covered], cv2.resize(reference.detail, size, interpolation=cv2.INTER_AREA)[covered]
    correlation = float(((x - x.mean()) * (y - y.mean())).mean() / (x.std() * y.std() + 1e-6))
    return correlation >= MIN_CORRELATION


def _by_template(reference: _Look, look: _Look, guess: Matrix, reach_px: float) -> Matrix | None:
    """A shift of at most ``reach_px`` beside ``guess``: the best place of what both pictures show, one in the other.

    A strip of a tenth of the picture is enough, which flow and phase correlation are not content with; the price is
    that scale and turn are believed to be the guess's. None where the peak is low or another place fits as well.
    """
    height, width = look.shape
    reach = math.ceil(reach_px) + 1
    placed = cv2.warpPerspective(look.detail, guess, (width, height))
    covered = cv2.warpPerspective(np.full_like(look.grey, 255), guess, (width, height)) == 255
    rows, columns = np.flatnonzero(covered.mean(axis=1) > 0.6), np.flatnonzero(covered.mean(axis=0) > 0.0)
    if rows.size < 12 or columns.size < 12:
        rows = np.flatnonzero(covered.any(axis=1))
        if rows.size < 12 or columns.size < 12:
            return None
    inside = covered[rows[0] : rows[-1] + 1]
    columns = np.flatnonzero(inside.all(axis=0))
    if columns.size < 12:
        return None
    top, bottom = max(reach, int(rows[0])), min(height - reach, int(rows[-1]) + 1)
    left, right = max(reach, int(columns[0])), min(width - reach, int(columns[-1]) + 1)
    if bottom - top < 12 or right - left < 12 or (bottom - top) * (right - left) < 0.04 * height * width:
        return None
    template = placed[top:bottom, left:right]
    if float(template.std()) < MIN_DETAIL:
        return None
    field = reference.detail[top - reach : bottom + reach, left - reach : right + reach]
    fits = cv2.matchTemplate(field, template, cv2.TM_CCOEFF_NORMED)
    y, x = np.unravel_index(int(fits.argmax()), fits.shape)
    peak = float(fits[y, x])
    others = fits.copy()
    others[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5] = -1
    if peak < MIN_CORRELATION or float(others.max()) > SECOND_PEAK * peak:
        return None
    dx, dy = x - reach + _vertex(fits[y], int(x)), y - reach + _vertex(fits[:, x], int(y))
    found = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy], [0.0, 0.0, 1.0]]) @ guess
    return found if math.hypot(dx, dy) <= reach_px else None


def _vertex(values: npt.NDArray[np.float32], at: int) -> float:
    """Offset of the true peak from the highest sample, by the parabola through it and its neighbours."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, here, after = (float(value) for value in values[at - 1 : at + 2])
    bend = before - 2 * here + after
    return 0.0 if bend >= 0 else max(-0.5, min(0.5, 0.5 * (before - after) / bend))


def _detail(grey: Grey) -> npt.NDArray[np.float32]:
    picture = grey.astype(np.float32)
    return np.asarray(picture - cv2.blur(picture, (21, 21)), np.float32)


def _sane(matrix: Matrix) -> bool:
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:2, :2]))))
    return bool(np.isfinite(matrix).all()) and 1 / MAX_SCALE_STEP < scale < MAX_SCALE_STEP


def _frame_corners(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    height, width = shape[:2]
    return np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float64)


def _overlap(to_key: Matrix, shape: tuple[int, ...]) -> float:
    """Share of the keyframe that the frame shows."""
    height, width = shape[:2]
    corners = project(to_key, _frame_corners(shape)).astype(np.float32)
    area, _ = cv2.intersectConvexConvex(corners, _frame_corners(shape).astype(np.float32))
    return float(area) / max(1.0, (width - 1) * (height - 1))


def _too_far(to_key: Matrix, shape: tuple[int, ...]) -> bool:
    return _overlap(to_key, shape) < 0.3


def _shift(a: Matrix, b: Matrix, shape: tuple[int, ...]) -> float:
    """How far the middle of a frame lies apart under two placements, in their units."""
    middle = np.array([[shape[1] / 2, shape[0] / 2]])
    return float(np.hypot(*(project(a, middle) - project(b, middle))[0]))


def _scale_at(matrix: Matrix, shape: tuple[int, ...]) -> float:
    """Units per pixel at the middle of the frame."""
    middle = np.array([shape[1] / 2, shape[0] / 2])
    x, right, down = project(matrix, np.array([middle, middle + [1, 0], middle + [0, 1]]))
    across = np.linalg.det(np.array([right - x, down - x]))
    return math.sqrt(abs(float(across))) or 1e-9


def _centred(matrix: Matrix, other: Matrix, shape: tuple[int, ...]) -> Matrix:
    """``matrix`` shifted so that it puts the middle of a frame where ``other`` does."""
    middle = np.array([[shape[1] / 2, shape[0] / 2]])
    shift = np.eye(3)
    shift[:2, 2] = (project(other, middle) - project(matrix, middle))[0]
    return shift @ matrix


def _pulled(
    measured: Matrix, chain_sigma_px: float, predicted: Matrix, prediction: Prediction, shape: tuple[int, ...]
) -> tuple[Matrix, float]:
    """The measured place drawn towards the pose's, as a Kalman filter weighs the chain's drift against the pose.

    Returns it with its standard uncertainty, in pixels of the small picture of ``shape``.
    """
    scale = _scale_at(measured, shape)
    chain, pose = chain_sigma_px * scale, prediction.sigma_m
    gain = chain**2 / (chain**2 + pose**2)
    middle = np.array([[shape[1] / 2, shape[0] / 2]])
    dx, dy = (project(predicted, middle) - project(measured, middle))[0] * gain
    pull = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy], [0.0, 0.0, 1.0]])
    return pull @ measured, math.sqrt(1 - gain) * chain_sigma_px
