"""Thinning keeps pieces and holes, and its lines can be walked pixel by pixel."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.morphology import skeletonize

from edge.cracks.skeleton import Canvas, Skeleton, thin
from tests.cracks.drawn import arc, drawn, ray, straight
from tests.cracks.oracles import EIGHT, count_pieces, guo_hall, pieces_and_holes, ring, set_pixels

Bits = npt.NDArray[np.uint8]


@st.composite
def masks(draw: st.DrawFn) -> Bits:
    """Noise of any density, blots (closed noise) and strokes."""
    height, width = draw(st.integers(1, 18)), draw(st.integers(1, 18))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask = (rng.random((height, width)) < draw(st.floats(0.05, 1.0))).astype(np.uint8)
    if draw(st.booleans()):
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)).reshape(height, width)
    if draw(st.booleans()):
        a, b = rng.integers(0, [width, height], (2, 2)).tolist()
        mask = cv2.line(np.zeros_like(mask), a, b, 1, int(rng.integers(1, 6)))
    return mask


@given(masks())
def test_pieces_and_holes_are_kept(mask: Bits) -> None:
    thinned = thin(mask)
    assert (thinned <= mask).all()
    assert pieces_and_holes(thinned) == pieces_and_holes(mask)


@given(masks())
def test_nothing_is_left_to_remove_but_ends(mask: Bits) -> None:
    thinned = np.pad(thin(mask), 1)
    for y, x in set_pixels(thinned):
        if sum(ring(thinned, y, x)) >= 2:
            without = thinned.copy()
            without[y, x] = 0
            assert pieces_and_holes(without) != pieces_and_holes(thinned)


@given(masks())
def test_a_line_is_what_guo_and_hall_leave_less_the_corners_of_stairs(mask: Bits) -> None:
    thinned, published = thin(mask), guo_hall(mask)
    assert (thinned <= published).all()
    assert pieces_and_holes(thinned) == pieces_and_holes(published)


@pytest.mark.parametrize("angle", [0, 22.5, 45, 70])
@pytest.mark.parametrize("width", [1.5, 4, 9])
def test_lies_where_skimage_has_it(angle: float, width: float) -> None:
    strokes = [straight((45.2, 44.7), angle, 70), ray((45.2, 44.7), angle + 100, 35)]
    mask = (drawn([(stroke, width) for stroke in strokes], 90) >= 0.5).astype(np.uint8)
    ours, theirs = thin(mask), skeletonize(mask > 0).astype(np.uint8)
    for end in (strokes[0][0], strokes[0][-1], strokes[1][-1]):  # there either may send a spur into a corner
        x, y = np.rint(end).astype(int)
        for image in (ours, theirs):
            cv2.circle(image, (int(x), int(y)), round(1.5 * width), 0, -1)
    for one, other in ((ours, theirs), (theirs, ours)):
        off = cv2.distanceTransform(1 - other, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[one > 0]
        assert np.median(off) <= 1.0
        assert off.max() <= max(1.5, width / 2)


@given(masks())
def test_every_pixel_is_on_one_line_or_in_a_junction(mask: Bits) -> None:
    skeleton = Skeleton(Canvas(thin(mask)))
    visits = np.zeros(len(skeleton.xy), int)
    for pixels, closed in skeleton.lines():
        inner = pixels[:-1] if closed else pixels
        visits[inner] += 1
        assert (np.abs(np.diff(skeleton.xy[pixels], axis=0)).max(axis=1) == 1).all() if len(pixels) > 1 else True
        assert not closed or pixels[0] == pixels[-1]
        assert (skeleton.degree[pixels[1:-1]] == 2).all()
    assert (visits[skeleton.degree <= 2] == 1).all()


def test_a_ring_is_one_closed_line() -> None:
    mask = (drawn([(arc((30, 30), 20, 0, 360), 5.0)], 61) >= 0.5).astype(np.uint8)
    [(pixels, closed)] = Skeleton(Canvas(thin(mask))).lines()
    assert closed
    assert 100 < len(pixels) < 140


def test_a_junction_is_one_cluster() -> None:
    mask = (drawn([(ray((30, 30), angle, 28), 4.0) for angle in (10, 130, 250)], 61) >= 0.5).astype(np.uint8)
    skeleton = Skeleton(Canvas(thin(mask)))
    assert len(np.unique(skeleton.cluster[skeleton.degree > 2])) == 1
    assert count_pieces(thin(mask), EIGHT) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (40, 40)])
def test_any_full_mask_leaves_one_piece(shape: tuple[int, int]) -> None:
    assert pieces_and_holes(thin(np.ones(shape, np.uint8))) == (1, 0)


def test_an_empty_mask_stays_empty() -> None:
    assert not thin(np.zeros((5, 7), np.uint8)).any()
    assert Skeleton(Canvas(np.zeros((5, 7), np.uint8))).lines() == []
