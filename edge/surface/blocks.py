"""How two small pictures of one surface lie beside each other, by where blocks of the one are found in the other."""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge.surface.homography import Matrix, in_common, inverse, put, sane
from edge.surface.pictures import MIN_CORRELATION, MIN_DETAIL, Detail, Picture, alike, summit

INLIER_PX = 1.5
"""Of the small picture; at 1280 px it is 6 px of the frame."""
BLOCK_REACH_PX = 8
"""Blocks are looked for this far around where the prediction has them, small pixels."""
BLOCK_RIDGE = 0.9
"""A block that fits nearly as well 4 pixels aside has texture in one direction only and says nothing."""
MIN_BLOCKS = 4
ENOUGH_BLOCKS = 6
"""So many blocks that agree, and most of those that were looked at, need no further check."""
FIRST_BLOCKS = 8
"""So many are looked at before the others."""
RIM_PX = 0.5
"""A block may reach so far beyond the frame, small pixels. Without that the rim of frames that lie slightly turned is
lost, and so are earlier passes that share no more than a rim: two of four flights got worse places by that."""
AS_IT_IS = 0.02
"""A block is moved before it is looked for only where turn and size differ by more than this: at its corners that is
half a small pixel, and 1,000 pairs of pictures were as near to the truth with that as without."""
HOPELESS = 0.2
"""Where less than this share of the first blocks is found, the others are not looked for;"""
NONE_OF = 4
"""and where none of the first four is, which lie in the corners of what is shared, not the rest of the first either: of
1,300 pairs of pictures none was lost by that."""


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
    back: Matrix = inverse(guess)
    tops, lefts = _starts(top_px, bottom_px, down), _starts(left_px, right_px, across)
    fields = _places(tops, lefts, (down, across), back, look.shape)
    cut = _Cut(look.detail, guess, back, (down, across))
    field = reference.detail
    centres: list[complex] = []
    moves: list[complex] = []
    tried = 0
    for places in fields:
        tried += len(places)
        for count, (top, left) in enumerate(places):
            if count == NONE_OF and not moves and tried >= FIRST_BLOCKS:
                return None
            block, off = cut(top, left)
            move = _best_move(field, block, top, left)
            if move is not None:
                centres.append(complex(left + (across - 1) / 2, top + (down - 1) / 2) + off)
                moves.append(move - off)
        # Where hardly any is found the guess is wrong, and more of them would not be found either.
        if tried >= FIRST_BLOCKS and len(moves) < HOPELESS * tried:
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
        if places is fields[-1] and alike(reference, look, found):
            return found
    return None


class _Cut:
    """Cuts blocks out of a frame where the guess has places of the reference."""

    def __init__(self, detail: Detail, guess: Matrix, back: Matrix, size: tuple[int, int]) -> None:
        self._detail, self._size, self._back = detail, size, back
        self._there, self._here = guess.tolist(), back.tolist()
        self._as_it_is = _bend(self._here, detail.shape) <= AS_IT_IS

    def __call__(self, top: int, left: int) -> tuple[Detail, complex]:
        """The block of the frame, (rows, columns), and how far (x + iy) from the place the guess has its middle."""
        rows, columns = self._size
        if not self._as_it_is:
            corner = np.array([[1.0, 0.0, left], [0.0, 1.0, top], [0.0, 0.0, 1.0]])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            # What lies beyond the frame is 0, the mean of detail.
            moved = cv2.warpPerspective(self._detail, self._back @ corner, (columns, rows), flags=flags)
            return np.asarray(moved, np.float32), 0j
        half_x, half_y = (columns - 1) / 2, (rows - 1) / 2
        x, y = put(self._here, left + half_x, top + half_y)
        column = min(max(round(x - half_x), 0), self._detail.shape[1] - columns)
        row = min(max(round(y - half_y), 0), self._detail.shape[0] - rows)
        x, y = put(self._there, column + half_x, row + half_y)
        return self._detail[row : row + rows, column : column + columns], complex(x - left - half_x, y - top - half_y)


def _bend(rows: list[list[float]], shape: tuple[int, ...]) -> float:
    """By how much a step of one pixel comes to differ, at most about, by turn, size and perspective."""
    (a, b, _), (d, e, _), (g, h, i) = rows
    perspective = abs(g) * shape[1] + abs(h) * shape[0]
    return (max(abs(a - i) + abs(b), abs(d) + abs(e - i)) + perspective) / abs(i)


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
            points,
            points + moves,
            method=cv2.RANSAC,
            ransacReprojThreshold=2 * INLIER_PX,
            maxIters=100,
            confidence=0.99,
        )
        if found is not None and inliers.sum() >= needed:
            matrix[:2] = found
            return matrix, int(inliers.sum())
    moves = np.array(by).view(np.float64).reshape(-1, 2)
    ordered = np.sort(moves, axis=0)
    shift = (ordered[(len(at) - 1) // 2] + ordered[len(at) // 2]) / 2  # np.median takes long for so few
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
    area, common = in_common(guess, shape)
    if area <= 0:
        return None
    low, high = common.min(axis=(0, 1)).tolist(), common.max(axis=(0, 1)).tolist()
    reach = BLOCK_REACH_PX
    top, bottom = max(reach, math.ceil(low[1] - RIM_PX)), min(height - reach, math.floor(high[1] + RIM_PX) + 1)
    left, right = max(reach, math.ceil(low[0] - RIM_PX)), min(width - reach, math.floor(high[0] + RIM_PX) + 1)
    return None if min(bottom - top, right - left) < 16 else ((top, bottom), (left, right))


def _starts(first: int, last: int, size: int) -> list[int]:
    """Where blocks of ``size`` begin between two places, evenly, overlapping by about a quarter."""
    count = max(1, round((last - first - size) / (0.75 * size)) + 1)
    stride = (last - size - first) / max(1, count - 1)
    return [round(first + place * stride) for place in range(count)]


def _places(
    tops: list[int], lefts: list[int], size: tuple[int, int], back: Matrix, shape: tuple[int, int]
) -> tuple[list[tuple[int, int]], ...]:
    """Where blocks (top, left) lie that the frame fills, in four lists to be looked at one after the other.

    As the fields of a chessboard: first the black ones of every other row, of these FIRST_BLOCKS alone, the outermost,
    which tell turn and size best, then the others of them; then the black ones of the other rows; then the white ones.
    """
    y = np.array([(*tops, *(top + size[0] - 1 for top in tops))], np.float64).T
    x = np.array([(*lefts, *(left + size[1] - 1 for left in lefts))], np.float64)
    (a, b, c), (d, e, f), (g, h, i) = back.tolist()
    w = g * x + (h * y + i)
    column, row = (a * x + (b * y + c)) / w, (d * x + (e * y + f)) / w
    last_x, last_y = shape[1] - 1 + RIM_PX, shape[0] - 1 + RIM_PX
    inside = (column >= -RIM_PX) & (column <= last_x) & (row >= -RIM_PX) & (row <= last_y)
    upper, lower = inside[: len(tops)], inside[len(tops) :]
    n = len(lefts)
    filled = (upper[:, :n] & upper[:, n:] & lower[:, :n] & lower[:, n:]).tolist()
    fields: tuple[list[tuple[int, int]], ...] = [], [], []
    for j, (top, row_filled) in enumerate(zip(tops, filled, strict=True)):
        for k, (left, full) in enumerate(zip(lefts, row_filled, strict=True)):
            if full:
                fields[2 if (j + k) % 2 else j % 2].append((top, left))
    y0, x0 = (tops[0] + tops[-1]) / 2, (lefts[0] + lefts[-1]) / 2
    first = sorted(fields[0], key=lambda place: -math.hypot(place[0] - y0, place[1] - x0))
    return first[:FIRST_BLOCKS], first[FIRST_BLOCKS:], fields[1], fields[2]


def _best_move(field: Detail, block: Detail, top: int, left: int) -> complex | None:
    """How far (x + iy) from its place the block fits best; None where it is plain or fits badly."""
    if float(cv2.meanStdDev(block)[1][0, 0]) < MIN_DETAIL:
        return None
    reach = BLOCK_REACH_PX
    rows, columns = block.shape
    around = field[top - reach : top + rows + reach, left - reach : left + columns + reach]
    fits: Detail = np.asarray(cv2.matchTemplate(around, block, cv2.TM_CCOEFF_NORMED), np.float32)
    _, peak, _, (x, y) = cv2.minMaxLoc(fits)
    if peak < MIN_CORRELATION or x in (0, 2 * reach) or y in (0, 2 * reach):
        return None  # at the rim of what was looked at the true place lies beyond it
    above, row, below = fits[y - 1 : y + 2, x - 1 : x + 2].tolist()
    found = complex(x - reach + summit(*row), y - reach + summit(above[1], row[1], below[1]))
    fits[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4] = -1
    if cv2.minMaxLoc(fits)[1] > BLOCK_RIDGE * peak:
        return None  # a joint or the grain of boards: it fits as well anywhere along itself
    return found
