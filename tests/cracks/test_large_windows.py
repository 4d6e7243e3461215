"""What tracing does on large pictures to save memory gives what the plain way over every pixel gives."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.cracks.distance import STEPS, Distances
from edge.cracks.light import Light
from edge.cracks.pieces import cut_out
from edge.cracks.runs import numbered
from edge.cracks.trace import TraceOptions, trace
from edge.frames import Tone
from tests.cracks.drawn import mask_of, to_light


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.05, 0.95), st.integers(0, 99))
@example(60, 60, 0.6, 1)
def test_pieces_are_numbered_as_a_labelled_picture_has_them(rows: int, columns: int, share: float, seed: int) -> None:
    mask = np.random.default_rng(seed).random((rows, columns)) < share
    pixels = np.flatnonzero(mask)
    piece = numbered(pixels, columns)
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    pairs = set(zip(piece.tolist(), labels.reshape(-1)[pixels].tolist(), strict=True))
    assert len(pairs) == count - 1 == len(set(piece.tolist()))
    assert list(dict.fromkeys(piece.tolist())) == list(range(count - 1)), "numbered in reading order"


def test_a_mask_of_very_many_pixels_is_cut_out_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.random.default_rng(2).random((90, 110)) < 0.3
    runs = cut_out(mask, 3, 9999, 20)
    monkeypatch.setattr("edge.cracks.pieces.MANY_PX", 0)
    picture = cut_out(mask, 3, 9999, 20)
    assert runs is not None
    assert picture is not None
    assert np.array_equal(runs.bits, picture.bits)
    pairs = set(zip(runs.piece.tolist(), picture.piece.tolist(), strict=True))
    assert len(pairs) == len(set(runs.piece.tolist())) == len(set(picture.piece.tolist())) > 5


def test_a_spiral_is_one_piece() -> None:
    angle = np.linspace(0, 40 * np.pi, 40_000)
    xy = np.rint(200 + angle * 1.5 * np.array([np.cos(angle), np.sin(angle)])).astype(int)
    mask = np.zeros((401, 401), np.bool_)
    mask[xy[1], xy[0]] = True
    assert set(numbered(np.flatnonzero(mask), 401).tolist()) == {0}


@pytest.mark.parametrize("tone", ["srgb", "linear"])
def test_light_read_in_blocks_is_the_light_of_the_picture(tone: Tone) -> None:
    numbers = np.random.default_rng(3)
    rgb = np.repeat(numbers.integers(0, 256, (301, 213, 1), np.uint8), 3, axis=2)  # grey, so that luma is the code
    x, y = (numbers.uniform(-9, size + 9, (60, 11)).astype(np.float32) for size in (213, 301))
    x[0], y[0] = 212, 300
    codes = rgb[..., 0].astype(np.float64)
    light = to_light(codes) if tone == "srgb" else codes / 255
    inside_x, inside_y = np.clip(x, 0, 212).astype(np.float64), np.clip(y, 0, 300).astype(np.float64)
    left, top = np.minimum(inside_x.astype(int), 211), np.minimum(inside_y.astype(int), 299)
    a, b = inside_x - left, inside_y - top
    wanted = (1 - b) * ((1 - a) * light[top, left] + a * light[top, left + 1])
    wanted += b * ((1 - a) * light[top + 1, left] + a * light[top + 1, left + 1])
    for whole_px in (0, 1_000_000):
        # OpenCV before 5 places readings to a 32nd of a pixel.
        off = np.abs(Light(rgb, tone, whole_px).sample(x, y) - wanted)
        assert off.max() <= 1 / 32
        assert np.median(off) < 0.01


def test_distances_in_blocks_are_those_of_one_pass() -> None:
    mask = np.zeros((1100, 300), np.uint8)
    cv2.line(mask, (10, 5), (280, 1090), 1, 9)
    cv2.line(mask, (290, 0), (0, 1099), 1, 40)
    y, x = np.nonzero(mask)
    assert Distances(mask, 0).at(x, y) == pytest.approx(Distances(mask).at(x, y), rel=1e-6)  # sums end differently


def test_a_mark_that_ends_beyond_the_rim_of_its_block_is_measured_whole() -> None:
    mask = np.zeros((1200, 500), np.uint8)
    cv2.circle(mask, (250, 600), 3 * STEPS[-1][1], 1, cv2.FILLED)
    y, x = np.nonzero(mask)
    found = Distances(mask, 0).at(x, y)
    assert found.max() == pytest.approx(3 * STEPS[-1][1], rel=0.05)
    assert found == pytest.approx(Distances(mask).at(x, y), rel=1e-6)


def test_what_lies_in_a_hole_that_is_filled_becomes_part_of_the_piece_around_it() -> None:
    mask = np.zeros((120, 160), np.bool_)
    mask[10:40, 10:100] = True
    mask[15:28, 20:33] = False
    mask[17:26, 22:31] = True  # an island in the hole, and a hole in that
    mask[20:22, 25:27] = False
    pieces = cut_out(mask, 4, 9, fill_holes_px=200)
    assert pieces is not None
    assert set(pieces.piece.tolist()) == set(pieces.filled_piece.tolist()) == {0}
    assert len(pieces.filled) == 13 * 13 - 9 * 9 + 4
    assert pieces.bits.sum() == 30 * 90


def diagonal(height: int, width: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint8]]:
    dark = np.zeros((height, width), np.uint8)
    cv2.line(dark, (40, 30), (width - 50, height - 60), 255, 5, cv2.LINE_AA)
    cv2.line(dark, (width - 30, 300), (60, height - 90), 255, 5, cv2.LINE_AA)
    rgb = np.repeat((170 - dark // 2)[..., None], 3, axis=2)
    return dark > 127, rgb


def test_a_large_still_is_traced_in_little_memory() -> None:
    mask, rgb = diagonal(3000, 4000)
    frame = mask_of(mask, rgb)
    trace(frame, TraceOptions())
    tracemalloc.start()
    cracks = trace(frame, TraceOptions()).cracks
    peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    assert [round(crack.length_px, -1) for crack in cracks] == [4880, 4710]
    # As pictures, labels, light and distances alone would be 48 MB each.
    assert peak_mb < 150
