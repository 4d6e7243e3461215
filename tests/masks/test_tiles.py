from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.masks import tiles


@st.composite
def plans(draw, largest_px=90):
    tile_h, tile_w = draw(st.integers(4, 24)), draw(st.integers(4, 24))
    overlap = draw(st.integers(0, min(tile_h, tile_w) // 4))
    height, width = draw(st.integers(1, largest_px)), draw(st.integers(1, largest_px))
    return height, width, tile_h, tile_w, overlap


def window(span: tiles.Span, length: int) -> np.ndarray:
    """The weight a span gives each pixel of its axis, before the next span fades in, from the definition."""
    weight = np.zeros(length)
    fade = span.alone_px - span.from_px
    weight[span.alone_px : span.stop_px] = 1
    weight[span.from_px : span.alone_px] = (np.arange(fade) + 0.5) / max(fade, 1)
    return weight


def windows(spans: list[tiles.Span], length: int) -> list[np.ndarray]:
    """Each span's weights with the fade to its follower: what the one takes, the other gives."""
    weights = [window(span, length) for span in spans]
    for left, right in pairwise(range(len(spans))):
        fade = slice(spans[right].from_px, spans[right].alone_px)
        weights[left][fade] = 1 - weights[right][fade]
    return weights


def axes(plan: list[tiles.Tile]) -> tuple[list[tiles.Span], list[tiles.Span]]:
    rows = list(dict.fromkeys(tile.rows for tile in plan))
    columns = list(dict.fromkeys(tile.columns for tile in plan))
    assert [tiles.Tile(row, column) for row in rows for column in columns] == plan
    return rows, columns


@given(plans())
def test_weights_add_up_to_one_everywhere_and_only_over_pixels_the_tile_sees(sizes):
    height, width, tile_h, tile_w, overlap = sizes
    for spans, length, tile in zip(
        axes(tiles.plan(height, width, tile_h, tile_w, overlap)), (height, width), (tile_h, tile_w), strict=True
    ):
        for span, weight in zip(spans, windows(spans, length), strict=True):
            assert 0 <= span.start_px <= span.from_px <= span.alone_px <= span.stop_px
            assert span.stop_px <= span.start_px + span.size_px <= length
            assert span.size_px == min(tile, length)
            assert not weight[: span.start_px].any()
            assert not weight[span.start_px + span.size_px :].any()
            assert (weight >= 0).all()
        np.testing.assert_allclose(sum(windows(spans, length)), 1)


@given(plans())
def test_neighbours_overlap_as_asked_and_no_tile_is_wasted(sizes):
    height, _, tile, _, overlap = sizes
    rows, _ = axes(tiles.plan(height, height, tile, tile, overlap))
    for before, after in pairwise(rows):
        assert before.start_px + tile - after.start_px >= overlap
    fewer = len(rows) - 1
    assert fewer == 0 or fewer * (tile - overlap) + overlap < height


@given(plans(), st.integers(0, 2**32 - 1))
def test_tiles_cut_from_a_picture_give_the_picture_back_exactly(sizes, seed):
    height, width, tile_h, tile_w, overlap = sizes
    picture = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    mosaic = tiles.Mosaic(tiles.plan(height, width, tile_h, tile_w, overlap))
    out = np.full((height, width), 77, np.uint8)
    for tile in mosaic.tiles:
        codes = np.full((tile_h, tile_w), 13, np.uint8)  # what lies in the padding must not show
        seen = picture[tile.rows.start_px :, tile.columns.start_px :][:tile_h, :tile_w]
        codes[: seen.shape[0], : seen.shape[1]] = seen
        mosaic.add(tile, codes, out)
    np.testing.assert_array_equal(out, picture)


@given(plans(), st.integers(0, 2**32 - 1))
def test_tiles_that_disagree_are_mixed_by_the_separable_window(sizes, seed):
    height, width, tile_h, tile_w, overlap = sizes
    plan = tiles.plan(height, width, tile_h, tile_w, overlap)
    rows, columns = axes(plan)
    row_weights, column_weights = windows(rows, height), windows(columns, width)
    mosaic, out = tiles.Mosaic(plan), np.empty((height, width), np.uint8)
    expected = np.zeros((height, width))
    rng = np.random.default_rng(seed)
    for tile in plan:
        codes = rng.integers(0, 256, (tile_h, tile_w), dtype=np.uint8)
        mosaic.add(tile, codes, out)
        weight = np.outer(row_weights[rows.index(tile.rows)], column_weights[columns.index(tile.columns)])
        placed = np.zeros((height, width))
        placed[tile.rows.start_px :, tile.columns.start_px :][:tile_h, :tile_w] = codes[:height, :width]
        expected += weight * placed
    # Weights in 256ths (at most 1/256 of 255 off per fade, over two fades) and two roundings to a byte.
    assert np.abs(out - expected).max() <= 3


@pytest.mark.parametrize("constant", [0, 1, 127, 255])
def test_a_constant_stays_that_constant(constant):
    mosaic = tiles.Mosaic(tiles.plan(70, 50, 16, 16, 4))
    out = np.empty((70, 50), np.uint8)
    for tile in mosaic.tiles:
        mosaic.add(tile, np.full((16, 16), constant, np.uint8), out)
    assert (out == constant).all()


def test_the_seam_between_a_black_and_a_white_tile_rises_evenly():
    mosaic = tiles.Mosaic(tiles.plan(64, 112, 64, 64, 16))
    out = np.empty((64, 112), np.uint8)
    for tile, value in zip(mosaic.tiles, (0, 255), strict=True):
        mosaic.add(tile, np.full((64, 64), value, np.uint8), out)
    assert (out == out[30]).all()
    assert not out[:, : 48 + 4].any()  # the outer quarters of the overlap belong to one tile alone
    assert out[30, 52:60].tolist() == [round(255 * (2 * i + 1) / 16) for i in range(8)]
    assert (out[:, 64 - 4 :] == 255).all()


@pytest.mark.parametrize(
    ("height", "width", "count"),
    [(1, 1, 1), (512, 512, 1), (513, 512, 2), (513, 513, 4), (720, 1280, 6), (10, 3000, 7), (3000, 4000, 63)],
)
def test_how_many_tiles_a_frame_takes(height, width, count):
    assert len(tiles.plan(height, width, 512, 512, 64)) == count


@pytest.mark.parametrize("overlap", [-1, 17])
def test_an_overlap_above_a_quarter_of_the_tile_is_refused(overlap):
    with pytest.raises(ValueError, match="0 to 16"):
        tiles.plan(100, 100, 64, 64, overlap)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 30), st.integers(0, 30))
def test_padding_is_a_reflection_of_the_picture(height, width, below, right):
    picture = np.random.default_rng(height * 13 + width).integers(-128, 128, (height, width, 3)).astype(np.int8)
    array = np.full((height + below, width + right, 3), 55, np.int8)
    array[:height, :width] = picture
    tiles.fill_reflected(array, height, width)
    np.testing.assert_array_equal(array, np.pad(picture, ((0, below), (0, right), (0, 0)), mode="reflect"))
