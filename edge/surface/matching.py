"""How two small pictures of one surface lie beside each other: by blocks, by phase, by a template.

Corners and their flow were tried and left: on concrete they follow noise. Blocks of grain fit to 0.02 px where the
prediction is right within their reach; phase correlation finds the shift of a whole picture from nowhere; a template is
for strips of a few rows. What phase correlation finds is measured by blocks. Where few blocks agree, and for a
template, the normalised correlation of what both pictures then show decides.
"""

from __future__ import annotations

import math
from functools import cache

import cv2
import numpy as np

from edge.surface.blocks import by_blocks
from edge.surface.homography import Matrix, inverse
from edge.surface.pictures import MIN_CORRELATION, MIN_DETAIL, Detail, Picture, halved, vertex

PHASE_RESPONSE = 0.12
"""Peak of a phase correlation from which on blocks are looked for there. Of flights 1 to 3 each of 310 pictures that
blocks alone did not find had 0.24 and more and lay within 2 small pixels; 9 in 10 pairs of two flights have less than
0.22, and the others are left to the blocks."""
SECOND_PEAK = 0.85
"""Another place that fits nearly as well: joints and tie holes at a regular pitch, so that neither is believed."""


def by_phase(reference: Picture, look: Picture, guess: Matrix) -> Matrix | None:
    """A shift of the whole picture beside ``guess``, measured by blocks from there; None where they do not agree."""
    if reference.shape != look.shape:
        return None
    # At half the size: a fourth of the time, and blocks search the rest. Middles of pixels are not corners.
    half = np.array([[0.5, 0.0, -0.25], [0.0, 0.5, -0.25], [0.0, 0.0, 1.0]])
    field = halved(reference.detail)
    height, width = field.shape
    moved = cv2.warpPerspective(halved(look.detail), half @ guess @ inverse(half), (width, height))
    # OpenCV multiplies both pictures by the window in place; these two are nobody else's.
    (dx, dy), response = cv2.phaseCorrelate(moved, field, _window(width, height))
    if response < PHASE_RESPONSE:
        return None
    found = np.array([[1.0, 0.0, 2 * dx], [0.0, 1.0, 2 * dy], [0.0, 0.0, 1.0]]) @ guess
    return by_blocks(reference, look, found)


@cache
def _window(width: int, height: int) -> Detail:
    return np.asarray(cv2.createHanningWindow((width, height), cv2.CV_32F), np.float32)


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
    dx, dy = x - reach + vertex(fits[y], int(x)), y - reach + vertex(fits[:, x], int(y))
    found = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy], [0.0, 0.0, 1.0]]) @ guess
    return found if math.hypot(dx, dy) <= reach_px else None
