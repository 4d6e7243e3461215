"""How two small pictures of one surface lie beside each other: by blocks, by phase, by a template.

Corners and their flow were tried and left: on concrete they follow noise. Blocks of grain fit to 0.02 px where the
prediction is right within their reach; phase correlation finds the shift of a whole picture from nowhere; a template is
for strips of a few rows. Each is checked by the normalised correlation of what both pictures then show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from edge.frames import RGB
from edge.surface.homography import Matrix, Points, frame_corners, project, sane

Grey = npt.NDArray[np.uint8]
Detail = npt.NDArray[np.float32]

GREY_WIDTH_PX = 320
"""Width of the picture that is registered: corners that survive this shrinking are stains, joints and cracks."""
INLIER_PX = 1.5
"""Of the small picture; at 1280 px it is 6 px of the frame."""
PHASE_RESPONSE = 0.12
"""Peak of a phase correlation from which on it is believed; pictures of nothing in common give 0.01 to 0.06."""
MIN_CORRELATION = 0.45
"""Normalised correlation of the overlap, after the fit, from which on a fit is believed."""
GRAIN_SIGMA_PX = 1.5
"""Grain is what differs from its surroundings within so many small pixels."""
MIN_GRAIN = 0.2
"""The same of the grain alone. Of rendered flights 1 to 4, 227 matches of one place have 0.26 and more, 98 in 100 of
them 0.44; four of other places, whose beams look alike, have 0.02 to 0.12."""
SECOND_PEAK = 0.85
"""Another place that fits nearly as well: joints and tie holes at a regular pitch, so that neither is believed."""
MIN_COMMON = 0.08
"""Two pictures share at least this part of their area."""
MIN_DETAIL = 1.0
"""Standard deviation of the detail, grey levels, below which a picture says nothing."""
BLOCK_REACH_PX = 8
"""Blocks are looked for this far around where the prediction has them, small pixels."""
BLOCK_RIDGE = 0.9
"""A block that fits nearly as well 4 pixels aside has texture in one direction only and says nothing."""
MIN_BLOCKS = 4
ENOUGH_BLOCKS = 8
"""So many blocks that agree, and most of those that were looked at, need no further check."""
HOPELESS = 0.2
"""Where less than this share of the first blocks is found, the others are not looked for."""


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


def by_blocks(reference: Picture, look: Picture, guess: Matrix) -> Matrix | None:
    """The frame in the reference by where a grid of its blocks fits best, at most BLOCK_REACH_PX beside ``guess``.

    Blocks are matched by normalised correlation: on concrete their grain is the texture, of which corners and their
    flow know nothing. A similarity is fitted to the blocks that agree, a shift where they are few.
    """
    if reference.shape != look.shape or not sane(guess):
        return None
    shared = _rectangle(guess, look.shape)
    if shared is None:
        return None
    (top_px, bottom_px), (left_px, right_px) = shared
    height, width = look.shape
    # A strip that lies slightly turned has no full row at its rim: lower blocks, some of which fit into it.
    down = min(max(16, height // 4), max(16, (bottom_px - top_px) * 3 // 5))
    across = min(max(16, width // 7), max(16, (right_px - left_px) * 3 // 5))
    back = np.linalg.inv(guess)
    tops, lefts = _starts(top_px, bottom_px, down), _starts(left_px, right_px, across)
    fields = _places(tops, lefts, (down, across), back, look.shape)
    # Only what blocks may be cut out of is moved, and what lies beyond the frame is left black: no block reaches it.
    placed = cv2.warpPerspective(
        look.detail, back @ np.array([[1.0, 0.0, left_px], [0.0, 1.0, top_px], [0.0, 0.0, 1.0]]),
        (right_px - left_px, bottom_px - top_px), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )  # fmt: skip
    field = reference.detail
    centres: list[complex] = []
    moves: list[complex] = []
    tried = 0
    for places in fields:
        tried += len(places)
        for top, left in places:
            y, x = top - top_px, left - left_px
            move = _best_move(field, placed[y : y + down, x : x + across], top, left)
            if move is not None:
                centres.append(complex(left + across / 2, top + down / 2))
                moves.append(move)
        # Where hardly any is found the guess is wrong, and more of them would not be found either.
        if tried >= ENOUGH_BLOCKS and len(moves) < HOPELESS * tried:
            return None
        # A few blocks say it all where most of them agree.
        if places is not fields[-1] and len(moves) < max(ENOUGH_BLOCKS, 0.7 * tried):
            continue
        fit = _motion_of(centres, moves, look.shape) if len(moves) >= MIN_BLOCKS else None
        if fit is None:
            continue
        turn, agreeing = fit
        found = turn @ guess
        if agreeing >= max(ENOUGH_BLOCKS, 0.6 * tried) and sane(found):
            return found
        if places is fields[-1] and _fits(reference, look, found):
            return found
    return None


def _motion_of(at: list[complex], by: list[complex], shape: tuple[int, int]) -> tuple[Matrix, int] | None:
    """What moves the points ``at`` (x + iy) ``by``: a similarity, where they are few a shift; else None.

    Also how many of them agree.

    A camera that sways moves its picture by a homography, but a chain of homographies bends the chart: measured over a
    rendered flight of 40 m, the perspective parts add up to metres, while a chain of similarities stays within
    decimetres. Where the pose is known, perspective comes from it.
    """
    matrix = np.eye(3)
    needed = max(MIN_BLOCKS, 0.5 * len(at))
    x, y = [point.real for point in at], [point.imag for point in at]
    spread = (max(x) - min(x)) / shape[1], (max(y) - min(y)) / shape[0]
    if len(at) >= 6 and (min(spread) > 0 or max(spread) > 0.5):
        if (fit := _similarity(at, by)) is not None:
            return fit, len(at)
        points, moves = np.array([at, by]).view(np.float64).reshape(2, -1, 2)
        found, inliers = cv2.estimateAffinePartial2D(
            points, points + moves, method=cv2.RANSAC, ransacReprojThreshold=2 * INLIER_PX, maxIters=100, confidence=0.99
        )
        if found is not None and inliers.sum() >= needed:
            matrix[:2] = found
            return matrix, int(inliers.sum())
    moves = np.array(by).view(np.float64).reshape(-1, 2)
    shift = np.median(moves, axis=0)
    agreeing = int((np.hypot(*(moves - shift).T) < INLIER_PX).sum())
    if agreeing < needed:
        return None
    matrix[:2, 2] = shift
    return matrix, agreeing


def _similarity(at: list[complex], by: list[complex]) -> Matrix | None:
    """The similarity by least squares over all points where each agrees with it, so that there is nothing to sort out.

    With points as complex numbers it is a factor and a shift. None: some point lies INLIER_PX or more from it.
    """
    middle, shift = sum(at) / len(at), sum(by) / len(by)
    off = [point - middle for point in at]
    size = sum(abs(point) ** 2 for point in off)
    turn = sum((move - shift) * point.conjugate() for point, move in zip(off, by, strict=True)) / size
    if any(abs(shift + turn * point - move) >= INLIER_PX for point, move in zip(off, by, strict=True)):
        return None
    whole, beyond = 1 + turn, shift - turn * middle
    return np.array([[whole.real, -whole.imag, beyond.real], [whole.imag, whole.real, beyond.imag], [0.0, 0.0, 1.0]])


def _rectangle(guess: Matrix, shape: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Rows and columns, each first and one past the last, in which blocks may lie; None where too little is shared."""
    height, width = shape
    corners = project(guess, frame_corners(shape)).astype(np.float32)
    _, common = cv2.intersectConvexConvex(corners, frame_corners(shape).astype(np.float32))
    if common is None:
        return None
    low, high = common.min(axis=(0, 1)).tolist(), common.max(axis=(0, 1)).tolist()
    reach = BLOCK_REACH_PX
    top, bottom = max(reach, math.ceil(low[1])), min(height - reach, math.floor(high[1]) + 1)
    left, right = max(reach, math.ceil(low[0])), min(width - reach, math.floor(high[0]) + 1)
    return None if min(bottom - top, right - left) < 16 else ((top, bottom), (left, right))


def _starts(first: int, last: int, size: int) -> list[int]:
    """Where blocks of ``size`` begin between two places, evenly, overlapping by about a quarter."""
    count = max(1, round((last - first - size) / (0.75 * size)) + 1)
    stride = (last - size - first) / max(1, count - 1)
    return [round(first + place * stride) for place in range(count)]


def _places(
    tops: list[int], lefts: list[int], size: tuple[int, int], back: Matrix, shape: tuple[int, int]
) -> tuple[list[tuple[int, int]], ...]:
    """Where blocks (top, left) lie that the frame fills: every other one of every other row, its black fields, all.

    Of the first ENOUGH_BLOCKS come alone, the outermost, which tell turn and size best.
    """
    y = np.array([(top, top + size[0] - 1) for top in tops], np.float64).reshape(-1, 1)
    x = np.array([(left, left + size[1] - 1) for left in lefts], np.float64).reshape(1, -1)
    (a, b, c), (d, e, f), (g, h, i) = back.tolist()
    w = g * x + (h * y + i)
    column, row = (a * x + (b * y + c)) / w, (d * x + (e * y + f)) / w
    last_x, last_y = shape[1] - 1, shape[0] - 1
    inside = (column >= 0) & (column <= last_x) & (row >= 0) & (row <= last_y)
    filled = inside.reshape(len(tops), 2, len(lefts), 2).all(axis=(1, 3)).tolist()
    fields: tuple[list[tuple[int, int]], ...] = [], [], []
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            if filled[i][j]:
                fields[2 if (i + j) % 2 else i % 2].append((top, left))
    y0, x0 = (tops[0] + tops[-1]) / 2, (lefts[0] + lefts[-1]) / 2
    first = sorted(fields[0], key=lambda place: -math.hypot(place[0] - y0, place[1] - x0))
    return first[:ENOUGH_BLOCKS], first[ENOUGH_BLOCKS:], fields[1], fields[2]


def _best_move(
    field: npt.NDArray[np.float32], block: npt.NDArray[np.float32], top: int, left: int
) -> complex | None:
    """How far (x + iy) from its place the block fits best; None where it is plain or fits badly."""
    if float(cv2.meanStdDev(block)[1][0, 0]) < MIN_DETAIL:
        return None
    reach = BLOCK_REACH_PX
    rows, columns = block.shape
    around = field[top - reach : top + rows + reach, left - reach : left + columns + reach]
    fits = cv2.matchTemplate(around, block, cv2.TM_CCOEFF_NORMED)
    _, peak, _, (x, y) = cv2.minMaxLoc(fits)
    if peak < MIN_CORRELATION or x in (0, 2 * reach) or y in (0, 2 * reach):
        return None  # at the rim of what was looked at the true place lies beyond it
    found = complex(x - reach + _vertex(fits[y], x), y - reach + _vertex(fits[:, x], y))
    fits[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4] = -1
    if cv2.minMaxLoc(fits)[1] > BLOCK_RIDGE * peak:
        return None  # a joint or the grain of boards: it fits as well anywhere along itself
    return found


def by_phase(reference: Picture, look: Picture, guess: Matrix) -> Matrix | None:
    """A shift of the whole picture beside ``guess``, verified by the correlation of what then overlaps."""
    if reference.shape != look.shape:
        return None
    height, width = look.shape
    moved = cv2.warpPerspective(look.detail, guess, (width, height))
    # OpenCV multiplies both pictures by the window in place: without a copy the keyframe would fade towards its rim.
    (dx, dy), response = cv2.phaseCorrelate(moved, reference.detail.copy(), _window(width, height))
    if response < PHASE_RESPONSE:
        return None
    found = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy], [0.0, 0.0, 1.0]]) @ guess
    return by_blocks(reference, look, found)


@cache
def _window(width: int, height: int) -> Detail:
    return np.asarray(cv2.createHanningWindow((width, height), cv2.CV_32F), np.float32)


def same_grain(reference: Picture, look: Picture, to_reference: Matrix) -> bool:
    """Whether the finest texture of what both show agrees too: beams and joints look alike, their grain does not."""
    correlation, common = _correlation(_grain(reference), _grain(look), to_reference)
    return common >= MIN_COMMON and correlation >= MIN_GRAIN


def _grain(picture: Picture) -> Detail:
    detail = picture.detail
    return np.asarray(detail - cv2.GaussianBlur(detail, (0, 0), GRAIN_SIGMA_PX), np.float32)


def _fits(reference: Picture, look: Picture, to_reference: Matrix) -> bool:
    """Whether what two pictures both show is alike: flow and phase correlation also find matches in plain grain."""
    if not sane(to_reference):
        return False
    # Every other pixel tells as much.
    half = np.diag([0.5, 0.5, 1.0])
    size = (reference.shape[1] // 2, reference.shape[0] // 2)
    field = np.asarray(cv2.resize(reference.detail, size, interpolation=cv2.INTER_AREA), np.float32)
    correlation, common = _correlation(field, look.detail, half @ to_reference)
    return common >= MIN_COMMON and correlation >= MIN_CORRELATION


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


def by_template(reference: Picture, look: Picture, guess: Matrix, reach_px: float) -> Matrix | None:
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
    fits = np.asarray(cv2.matchTemplate(field, template, cv2.TM_CCOEFF_NORMED), np.float32)
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
    before, here, after = values[at - 1 : at + 2].tolist()
    bend = before - 2 * here + after
    return 0.0 if bend >= 0 else max(-0.5, min(0.5, 0.5 * (before - after) / bend))


def _detail(grey: Grey) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.subtract(grey, cv2.boxFilter(grey, cv2.CV_32F, (21, 21)), dtype=cv2.CV_32F), np.float32)
