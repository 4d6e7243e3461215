"""The second look: where it looks, what it leaves alone, what it costs, and that a frame always gets the same mask.

The network here is one that answers each pixel by its red, so that what an enlarged window must say is known.
"""

from __future__ import annotations

import numpy as np
import pytest

from edge.frames import Frame
from edge.masks.litert import Options, open_segmenter
from edge.masks.preprocess import score_table
from edge.masks.second import LEAST_PX, SecondLook

INPUT = (96, 144)
"""Windows of 64 x 96 px."""
TABLE = score_table(1 / 16, 0)
DOUBTFUL, SURE = 128, 250
LEVEL = 153
"""A score of 0.6."""
EDGE = int(np.flatnonzero(TABLE >= LEVEL)[0])
"""The code where damage begins, a little above ``DOUBTFUL``."""


class Red:
    """Answers each pixel by its red, for every class; keeps what it was shown."""

    def __init__(self, classes: int = 1) -> None:
        self.shown: list[tuple[int, int]] = []
        self._codes = np.zeros((classes, *INPUT), np.uint8)

    def __call__(self, rgb: np.ndarray) -> list[np.ndarray]:
        self.shown.append(rgb.shape[:2])
        self._codes[:] = 0  # what lies beyond the picture must not be used
        self._codes[:, : rgb.shape[0], : rgb.shape[1]] = rgb[..., 0]
        return list(self._codes)


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    red = 128 + 60 * np.sin(x / 40) * np.cos(y / 50)
    return np.rint(np.stack([red, red * 0 + 3, red * 0 + 200], axis=2)).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(1, 30), (30, 1), (7, 5), (64, 96), (65, 97), (230, 310), (500, 61)])
def test_with_room_for_all_no_damage_becomes_damage_by_the_mean_of_both_answers(height: int, width: int) -> None:
    rgb, codes, red = smooth(height, width), np.full((height, width), DOUBTFUL, np.uint8), Red()
    looked = SecondLook(*INPUT, TABLE, [LEVEL], 1000).improve(rgb, [codes], red)
    if height * width < LEAST_PX:
        assert looked == 0
        return
    assert looked == len(red.shown) > 0
    assert all(high <= INPUT[0] and wide <= INPUT[1] for high, wide in red.shown)
    wanted = np.maximum(DOUBTFUL, (DOUBTFUL + rgb[..., 0].astype(float)) / 2)
    assert np.abs(codes - wanted).max() <= 2


def test_damage_stays_damage_and_is_as_sure_as_both_answers_say() -> None:
    first = np.where(np.arange(90) < 45, EDGE + 10, EDGE - 10).astype(np.uint8)[None].repeat(60, axis=0)
    for red, damaged, other in ((240, 0.85 * 240 + 0.15 * (EDGE + 10), (240 + EDGE - 10) / 2), (0, EDGE, EDGE - 10)):
        codes, rgb = first.copy(), np.full((60, 90, 3), red, np.uint8)
        SecondLook(*INPUT, TABLE, [LEVEL], 1).improve(rgb, [codes], Red())
        assert np.abs(codes[:, :45] - damaged).max() <= 1
        assert np.abs(codes[:, 45:] - other).max() <= 1
        assert (TABLE[codes[:, :45]] >= LEVEL).all()


def test_the_budget_goes_to_what_is_most_in_doubt_and_the_rest_stays_as_it_was() -> None:
    rgb = np.full((400, 400, 3), 200, np.uint8)
    codes = np.zeros((400, 400), np.uint8)
    codes[350:380, 20:50], codes[20:36, 350:380], codes[200:204, 200:204] = DOUBTFUL, DOUBTFUL, DOUBTFUL
    before = codes.copy()
    assert SecondLook(*INPUT, TABLE, [LEVEL], 1).improve(rgb, [codes], Red()) == 1
    assert (codes[360:370, 30:40] == 164).all(), "900 pixels in doubt come before 480"
    assert (codes[:300] == before[:300]).all()
    again = before.copy()
    assert SecondLook(*INPUT, TABLE, [LEVEL], 50).improve(rgb, [again], Red()) >= 2
    assert (again[24:32, 355:375] == 164).all()
    assert again[202, 202] == DOUBTFUL, "16 pixels are shorter than any crack that is traced"


def test_a_sure_frame_costs_nothing() -> None:
    for sure in (0, SURE):
        codes, red = np.full((300, 300), sure, np.uint8), Red()
        assert SecondLook(*INPUT, TABLE, [LEVEL], 50).improve(np.zeros((300, 300, 3), np.uint8), [codes], red) == 0
        assert red.shown == []
        assert (codes == sure).all()


def test_a_window_fades_into_what_was_not_looked_at_again() -> None:
    rgb, codes = np.full((64, 400, 3), 255, np.uint8), np.full((64, 400), 55, np.uint8)
    assert SecondLook(*INPUT, score_table(1 / 64, 0), [LEVEL], 1).improve(rgb, [codes], Red()) == 1
    steps = np.abs(np.diff(codes[30].astype(int)))
    assert codes.min() == 55
    assert codes.max() == 155
    assert steps.max() < 100 / 3, "a seam would be traced as the edge of a crack"


def test_areas_keep_their_first_answer() -> None:
    spalling, crack = np.full((2, 60, 90), DOUBTFUL, np.uint8)
    assert SecondLook(*INPUT, TABLE, [None, LEVEL], 9).improve(smooth(60, 90), [spalling, crack], Red(2)) == 1
    assert (spalling == DOUBTFUL).all()
    assert (crack != DOUBTFUL).any()
    assert SecondLook(*INPUT, TABLE, [None], 9).improve(smooth(60, 90), [spalling], Red()) == 0


@pytest.mark.parametrize(("height", "width"), [(40, 60), (150, 222)])
def test_a_segmenter_counts_its_second_looks_and_repeats_itself(fixtures, clock, height, width) -> None:
    usual = Options(unsigned="allow", bundle=fixtures / "pixel", threads=1, half_look="off")
    asked = Options(unsigned="allow", bundle=fixtures / "pixel", threads=1, second_look=2)
    rgb = smooth(height, width)
    frames = [Frame(seq=i, exposed_ns=0, exposure_us=None, rgb=rgb.copy()) for i in range(3)]
    with open_segmenter(usual, clock) as one, open_segmenter(asked, clock) as other:
        first, again, repeated = one.segment(frames[0]), other.segment(frames[1]), other.segment(frames[2])
    assert first.second_looks == 0
    assert again.second_looks == (1 if height == 40 else 2)
    np.testing.assert_array_equal(again.classes[0].score, repeated.classes[0].score)
    # A network that answers pixel by pixel says the same of an enlarged picture.
    assert np.abs(again.classes[0].score.astype(int) - first.classes[0].score).max() <= 6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"second_look": -1}, "second_look is 0"),
        ({"second_look": 4, "budget_ms": 80.0}, "leave out budget_ms"),
        ({"second_look": 4, "source": "lores"}, "source is main"),
    ],
)
def test_a_second_look_that_cannot_be_is_refused(options, words) -> None:
    with pytest.raises(ValueError, match=words):
        Options(**options)
