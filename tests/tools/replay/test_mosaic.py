"""mosaic.png of flights whose frames lie on several charts: each has its picture, and what has none is counted."""

from __future__ import annotations

import copy
import logging
from typing import Any

import numpy as np
import pytest

from edge.tools.replay import mosaic as room
from edge.tools.replay.canvas import CRACK, MARGIN, PAPER
from tests import lost_pose


def _bands(picture: np.ndarray) -> list[np.ndarray]:
    """The parts of a mosaic that are a chart: between rows of bare paper, and higher than a line of words."""
    bare = (picture == PAPER).all(axis=(1, 2))
    ends = np.flatnonzero(np.diff(np.concatenate([[True], bare, [True]])))
    return [picture[top:bottom] for top, bottom in zip(ends[::2], ends[1::2], strict=True) if bottom - top > 100]


def _unnamed(flown: lost_pose.Flown) -> list[dict[str, Any]]:
    """The cracks as if nothing had confirmed them: drawn as a line without a name."""
    cracks = copy.deepcopy(flown.cracks)
    for one in cracks:
        one["properties"]["state"] = "tentative"
    return cracks


def _red(band: np.ndarray) -> np.ndarray:
    return np.asarray((np.abs(band.astype(int) - CRACK) < 12).all(axis=2))


def _line(band: np.ndarray) -> np.ndarray:
    """The left and the right end of a chart's crack, in pixels of the frames: they are drawn at three quarters."""
    y, x = np.nonzero(_red(band))
    ends = np.array([[x.min(), y[x.argmin()]], [x.max(), y[x.argmax()]]])
    return (ends - [MARGIN, 0]) / 0.75 + [0, lost_pose.TOP]


def _lines(picture: np.ndarray | None) -> list[np.ndarray]:
    assert picture is not None
    return [_line(band) for band in _bands(picture) if _red(band).any()]


def _close(found: list[np.ndarray]) -> bool:
    """Whether these are the lines of both stretches, in any order, but for the cells around the pictures."""
    found = sorted(found, key=lambda line: float(line[0, 1]))
    return len(found) == 2 and bool(np.allclose(found, lost_pose.LINES, atol=14))


def test_both_faces_of_a_pier_are_drawn_with_their_cracks_as_the_camera_saw_them() -> None:
    flown = lost_pose.fly("pier")
    assert sorted(set(flown.charts)) == [1, 2, 3]
    picture = flown.mosaic.draw(_unnamed(flown), flown.coverage)
    assert picture is not None
    assert len(_bands(picture)) == 3
    assert _close(_lines(picture))


def test_a_chart_of_few_frames_is_drawn_where_it_has_a_crack(monkeypatch: pytest.MonkeyPatch) -> None:
    flown = lost_pose.fly("soffit")
    monkeypatch.setattr(room, "_CHARTS", 1)
    picture = flown.mosaic.draw(_unnamed(flown), flown.coverage)
    assert picture is not None
    assert len(_bands(picture)) == 2
    assert _close(_lines(picture))


def test_what_a_mosaic_does_not_show_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    flown = lost_pose.fly("soffit")
    whole = flown.mosaic.draw(flown.cracks, flown.coverage)
    assert "does not show" not in caplog.text
    monkeypatch.setattr(room, "_CHARTS", 1)
    monkeypatch.setattr(room, "_WITH_CRACKS", 0)
    with caplog.at_level(logging.WARNING):
        one = flown.mosaic.draw(flown.cracks, flown.coverage)
    frames = len([*lost_pose.FIRST, *lost_pose.LOST])
    assert f"the mosaic does not show 1 crack and 2 more charts of {frames} frames" in caplog.text
    assert whole is not None
    assert one is not None
    assert len(_bands(one)) == 1
    assert (one[-room._FOOT :] != whole[-room._FOOT :, : one.shape[1]]).any(), "the legend has a line more"


def test_coverage_that_names_one_chart_only_is_drawn_under_that_one() -> None:
    """As flights of earlier versions have it."""
    flown = lost_pose.fly("soffit")
    coverage = copy.deepcopy(flown.coverage)
    for feature in coverage["features"]:
        feature["properties"]["chart"].pop("numbers", None)
    picture = flown.mosaic.draw(flown.cracks, coverage)
    assert picture is not None
    assert len(_bands(picture)) == 2
