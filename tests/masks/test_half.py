"""The look at half size: which frames get one, what it may change, and that a frame always gets the same mask.

The network here answers each pixel by its red, so that what a shrunk picture must say is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from edge.frames import Frame
from edge.masks.half import MARGIN, SEEN_PX, HalfLook, Reason
from edge.masks.litert import Options, open_segmenter

INPUT, OVERLAP = (96, 144), 24
SCALE = 0.25
LESS = 8
"""MARGIN in codes of SCALE."""


class Red:
    """Its answer for each pixel, in every class, is the red of that pixel; it remembers the sizes of the pictures."""

    def __init__(self, classes: int = 1) -> None:
        self.shown: list[tuple[int, int]] = []
        self._codes = np.zeros((classes, *INPUT), np.uint8)

    def __call__(self, rgb: np.ndarray) -> list[np.ndarray]:
        self.shown.append(rgb.shape[:2])
        self._codes[:] = 0
        self._codes[:, : rgb.shape[0], : rgb.shape[1]] = rgb[..., 0]
        return list(self._codes)


def wall(height: int, width: int, sigma: float) -> np.ndarray:
    """Grains of three pixels, blurred by a Gaussian."""
    rng = np.random.default_rng(3)
    grain = cv2.resize(rng.random((height // 3 + 1, width // 3 + 1)), (width, height), interpolation=cv2.INTER_NEAREST)
    soft = cv2.GaussianBlur(80 + 90 * grain, (0, 0), sigma)
    return np.rint(soft).astype(np.uint8)[..., None].repeat(3, axis=2)


TABLE, LEVEL = np.arange(256, dtype=np.uint8), 120  # a score is its code


class Half:
    """A look at half size as a segmenter holds it."""

    def __init__(self, reason: Reason = "blurred", levels: Sequence[int | None] = (LEVEL,)) -> None:
        self._half = HalfLook(reason, TABLE, SCALE, levels)

    def improve(self, rgb: np.ndarray, codes: list[np.ndarray], look: Red) -> int:
        return self._half.improve(rgb, codes, look, INPUT, OVERLAP)


def test_a_sharp_frame_and_one_without_an_edge_keep_their_answer() -> None:
    assert LESS * SCALE == MARGIN
    for rgb in (wall(200, 300, 0.6), np.full((200, 300, 3), 90, np.uint8), wall(2, 3, 4.0)):
        codes, red = np.full(rgb.shape[:2], 100, np.uint8), Red()
        assert Half().improve(rgb, [codes], red) == 0
        assert red.shown == []
        assert (codes == 100).all()


@pytest.mark.parametrize(("height", "width", "runs"), [(180, 260, 1), (181, 263, 1), (400, 500, 6)])
def test_a_blurred_frame_takes_the_surer_answer_and_half_size_counts_less(height: int, width: int, runs: int) -> None:
    rgb, red = wall(height, width, 3.0), Red()
    codes = np.where(np.arange(width) < width // 2, 0, 255).astype(np.uint8)[None].repeat(height, axis=0)
    assert Half().improve(rgb, [codes], red) == len(red.shown) == runs
    assert all(high <= INPUT[0] and wide <= INPUT[1] for high, wide in red.shown)
    # A picture blurred by 3 px loses next to nothing when it is shrunk and enlarged.
    off = codes[:, : width // 2].astype(int) - (rgb[:, : width // 2, 0].astype(int) - LESS)
    assert np.abs(off[4:-4, 4:-4]).max() <= 6
    assert (codes[:, width // 2 :] == 255).all(), "what the first look sees is never taken away"


def test_only_lines_are_looked_at_again() -> None:
    areas, lines = np.zeros((2, 180, 260), np.uint8)
    one, none = (Half(levels=levels) for levels in ([None, LEVEL], [None]))
    assert one.improve(wall(180, 260, 3.0), [areas, lines], Red(2)) == 1
    assert not areas.any()
    assert lines.any()
    assert none.improve(wall(180, 260, 3.0), [areas], Red()) == 0


def test_where_a_wide_crack_is_seen_in_part_half_size_gives_the_rest_and_no_thin_line() -> None:
    """Bands of known widths on a sharp picture, of which the first look saw a disc or less."""
    rgb = np.full((180, 260, 3), 40, np.uint8)
    cv2.line(rgb, (0, 40), (259, 40), (200, 0, 0), 30)
    cv2.line(rgb, (0, 90), (259, 90), (200, 0, 0), 5)
    rgb[130:180, 246:] = (200, 0, 0)  # goes on beyond the corner
    codes, red, wide = np.zeros(rgb.shape[:2], np.uint8), Red(), Half("wide")
    for diameter, level, runs in ((SEEN_PX - 2, LEVEL, 0), (SEEN_PX + 2, LEVEL - 1, 0), (SEEN_PX + 2, LEVEL, 1)):
        codes[:] = 0
        cv2.circle(codes, (100, 40), diameter // 2, level, -1)
        assert wide.improve(rgb, [codes], red) == len(red.shown) == runs
    found = codes > 150
    truth = np.zeros_like(found)
    truth[25:56], truth[130:, 246:] = True, True
    assert (found ^ truth).sum() / truth.sum() < 0.06, "edges stay where they are, to half a pixel of half size"
    assert not found[80:100].any()
    assert codes[70, 130] == codes[100, 130] == 40 - LESS, "ground is as wide as anything, and as low as it is"
    first = np.full_like(codes, 255)
    assert wide.improve(rgb, [first], red) == 1
    assert (first == 255).all(), "what the first look sees is never taken away"


@pytest.mark.parametrize("size", [(40, 60), (150, 222)])
def test_a_segmenter_counts_it_and_repeats_itself(fixtures, clock, size: tuple[int, int]) -> None:
    usual = Options(unsigned="allow", bundle=fixtures / "pixel", threads=1, half_look="off")
    asked = Options(unsigned="allow", bundle=fixtures / "pixel", threads=1, half_look="blurred")
    frames = [
        Frame(seq=i, exposed_ns=0, exposure_us=None, rgb=wall(*size, sigma)) for i, sigma in enumerate((3.0, 3.0, 0.6))
    ]
    with open_segmenter(usual, clock) as one, open_segmenter(asked, clock) as other:
        plain, sharp = one.segment(frames[0]), one.segment(frames[2])
        first, again, kept = (other.segment(frame) for frame in frames)
    assert plain.second_looks == kept.second_looks == 0
    assert first.second_looks == again.second_looks >= 1
    np.testing.assert_array_equal(first.classes[0].score, again.classes[0].score)
    np.testing.assert_array_equal(kept.classes[0].score, sharp.classes[0].score)
    assert (first.classes[0].score >= plain.classes[0].score).all()


@pytest.mark.parametrize(
    ("options", "asked"),
    [({}, "wide"), ({"half_look": "off"}, "off"), ({"half_look": "blurred"}, "blurred"), ({"second_look": 4}, "off"),
     ({"budget_ms": 80.0}, "off"), ({"source": "lores"}, "off")],
)  # fmt: skip
def test_wide_cracks_are_looked_at_unless_something_else_is_asked(options, asked) -> None:
    assert Options(**options).asked_half_look == asked


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"half_look": "always"}, "half_look is off, blurred or wide"),
        ({"half_look": "blurred", "budget_ms": 80.0}, "leave out budget_ms and second_look"),
        ({"half_look": "blurred", "second_look": 4}, "leave out budget_ms and second_look"),
        ({"half_look": "blurred", "source": "lores"}, "source is main"),
        ({"half_look": "wide", "second_look": 4}, "leave out budget_ms and second_look"),
    ],
)
def test_what_cannot_be_is_refused(options, words) -> None:
    with pytest.raises(ValueError, match=words):
        Options(**options)
