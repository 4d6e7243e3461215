"""Which pieces of a mask are taken, and how far their pixels lie from the outside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cracks.distance import Distances
from edge.cracks.pieces import MARGIN_PX, cut_out
from tests.cracks.oracles import EIGHT, count_pieces, distances


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 1.0))
def test_distance_is_the_euclidean_one_within_five_percent(seed: int, density: float) -> None:
    mask = np.random.default_rng(seed).random((12, 17)) < density
    mask[6, 8:] = False
    pieces = cut_out(mask, 1, 999, 0)
    if pieces is not None:
        y, x = np.nonzero(pieces.bits)
        assert Distances(pieces.bits).at(x, y) == pytest.approx(distances(pieces.bits)[y, x], rel=0.05)


@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.3), st.integers(1, 9))
def test_pieces_of_enough_pixels_are_taken_whole(seed: int, density: float, least: int) -> None:
    mask = np.random.default_rng(seed).random((20, 30)) < density
    pieces = cut_out(mask, least, 9999, 0)
    if pieces is None:
        assert not mask.any()
        return
    kept = np.zeros((20, 30), np.uint8)
    rows, columns = pieces.bits.shape
    kept[pieces.top : pieces.top + rows, pieces.left : pieces.left + columns] = pieces.bits
    assert not (kept & ~mask).any()
    assert len(np.unique(pieces.piece)) == count_pieces(kept, EIGHT)
    left = (mask & (kept == 0)).astype(np.uint8)
    assert count_pieces(left, EIGHT) + count_pieces(kept, EIGHT) == count_pieces(mask.astype(np.uint8), EIGHT)


def test_small_holes_are_filled_and_large_ones_stay() -> None:
    mask = np.zeros((200, 200), bool)
    mask[80:100, 20:180] = True
    mask[85:87, 30:33] = False  # 6 pixels
    mask[85:90, 60:64] = False  # 20
    mask[85:90, 100:105] = False  # 25
    pieces = cut_out(mask, 30, 10, 20)
    assert pieces is not None
    filled = pieces.bits.sum() - mask.sum()
    assert filled == 26
    assert (pieces.piece_at(np.flatnonzero(pieces.bits)) == 0).all()


def test_only_the_window_around_the_mask_is_looked_at() -> None:
    mask = np.zeros((300, 400), bool)
    mask[150:154, 100:160] = True
    pieces = cut_out(mask, 30, 10, 20)
    assert pieces is not None
    assert (pieces.left, pieces.top) == (100 - MARGIN_PX, 150 - MARGIN_PX)
    assert pieces.bits.shape == (4 + 2 * MARGIN_PX, 60 + 2 * MARGIN_PX)
