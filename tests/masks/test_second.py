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
def test_with_room_for_all_every_pixel_is_the_mean_of_both_answers(height: int, width: int) -> None:
    rgb, codes, red = smooth(height, width), np.full((height, width), DOUBTFUL, np.uint8), Red()
    looked = SecondLook(*INPUT, TABLE, [True], 1000).improve(rgb, [codes], red)
    if height * width < LEAST_PX:
        assert looked == 0
        return
    assert looked == len(red.shown) > 0
    assert all(high <= INPUT[0] and wide <= INPUT[1] for high, wide in red.shown)
    assert np.abs(codes - (DOUBTFUL + rgb[..., 0].astype(float)) / 2).max() <= 2


def test_the_budget_goes_to_what_is_most_in_doubt_and_the_rest_stays_as_it_was() -> None:
    rgb = np.full((400, 400, 3), 40, np.uint8)
    codes = np.full((400, 400), SURE, np.uint8)
    codes[350:380, 20:50], codes[20:36, 350:380], codes[200:204, 200:204] = DOUBTFUL, DOUBTFUL, DOUBTFUL
    before = codes.copy()
    assert SecondLook(*INPUT, TABLE, [True], 1).improve(rgb, [codes], Red()) == 1
    assert (codes[360:370, 30:40] == 84).all(), "900 pixels in doubt come before 480"
    assert (codes[:300] == before[:300]).all()
    again = before.copy()
    assert SecondLook(*INPUT, TABLE, [True], 50).improve(rgb, [again], Red()) >= 2
    assert (again[24:32, 355:375] == 84).all()
    assert again[202, 202] == DOUBTFUL, "16 pixels are shorter than any crack that is traced"


def test_a_sure_frame_costs_nothing() -> None:
    for sure in (0, SURE):
        codes, red = np.full((300, 300), sure, np.uint8), Red()
        assert SecondLook(*INPUT, TABLE, [True], 50).improve(np.zeros((300, 300, 3), np.uint8), [codes], red) == 0
        assert red.shown == []
        assert (codes == sure).all()


def test_a_window_fades_into_what_was_not_looked_at_again() -> None:
    rgb, codes = np.zeros((64, 400, 3), np.uint8), np.full((64, 400), 200, np.uint8)
    assert SecondLook(*INPUT, score_table(1 / 64, 0), [True], 1).improve(rgb, [codes], Red()) == 1
    steps = np.abs(np.diff(codes[30].astype(int)))
    assert codes.min() == 100
    assert codes.max() == 200
    assert steps.max() < 100 / 3, "a seam would be traced as the edge of a crack"


def test_areas_keep_their_first_answer() -> None:
    spalling, crack = np.full((2, 60, 90), DOUBTFUL, np.uint8)
    assert SecondLook(*INPUT, TABLE, [False, True], 9).improve(smooth(60, 90), [spalling, crack], Red(2)) == 1
    assert (spalling == DOUBTFUL).all()
    assert (crack != DOUBTFUL).any()
    assert SecondLook(*INPUT, TABLE, [False], 9).improve(smooth(60, 90), [spalling], Red()) == 0


@pytest.mark.parametrize(("height", "width"), [(40, 60), (150, 222)])
def test_a_segmenter_counts_its_second_looks_and_repeats_itself(fixtures, clock, height, width) -> None:
    usual = Options(unsigned="allow", bundle=fixtures / "pixel", threads=1)
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
