"""The demo's picture and tables: the right thing in the right place and colour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.rendered.cracks import Float64
from edge.rendered.scene import Scene, build_scene
from edge.tools.demo.picture import _FALSE, _FOUND, _MISSED, Flown, draw
from edge.tools.demo.report import crack_table, seen_of_wall, sums
from edge.tools.demo.score import CrackScore, Score, View, Width
from edge.tools.demo.sheet import FOOT, HEAD, MARGIN, UInt8

WIDTH = 1000
PX_PER_MM = (WIDTH - 2 * MARGIN) / 2400


@pytest.fixture(scope="module")
def scene() -> Scene:
    return build_scene(5, width_mm=2400, height_mm=1200)


def near(picture: UInt8, place_mm: Float64, colour: tuple[int, int, int]) -> bool:
    """Whether the colour stands within a pixel of a place on the wall."""
    x, y = np.rint(place_mm * PX_PER_MM + (MARGIN, HEAD)).astype(int)
    around = picture[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).astype(int)
    return bool((np.abs(around - colour).max(axis=1) < 60).any())


@pytest.fixture(scope="module")
def flown(scene: Scene) -> Flown:
    """The left half was flown; the first crack was found up to its middle, nothing else; one false alarm."""
    cracks = tuple(
        CrackScore(crack, crack.path_mm[:, 0] < 1200, np.zeros(len(crack.path_mm), bool)) for crack in scene.cracks
    )
    first = cracks[0]
    first.found[: len(first.found) // 2] = True
    first.found &= first.seen
    first.widths.append(Width(100.0, 2.4, 2.2, 2.43, 0.3, None))
    cracks[1].widths.append(Width(100.0, 0.4, 0.5, None, None, 1.3))
    alarm = {"properties": {"frame_seq": 0, "crack": {"path_px": [[100, 100], [400, 100]]}}}
    view = View(np.eye(3), 1201, 1201)
    return Flown(
        score=Score(cracks, 3, (alarm,)),
        views=[view],
        track_mm=np.array([[300.0, 1000.0], [900.0, 1000.0], [900.0, 300.0]]),
        frame_to_surface={0: np.eye(3)},
        title="title",
        subtitle="subtitle",
    )


def test_cracks_and_alarms_have_their_colours_where_they_are(scene: Scene, flown: Flown) -> None:
    picture = draw(scene, flown, WIDTH)
    assert picture.shape == (HEAD + round(1200 * PX_PER_MM) + FOOT, WIDTH, 3)
    assert picture.dtype == np.uint8
    first = flown.score.cracks[0]
    found = np.flatnonzero(first.found)
    missed = np.flatnonzero(first.seen & ~first.found)
    assert np.mean([near(picture, first.truth.path_mm[i], _FOUND) for i in found[20:-20:10]]) > 0.8
    assert np.mean([near(picture, first.truth.path_mm[i], _MISSED) for i in missed[20:-20:10]]) > 0.8
    assert all(near(picture, np.array([x, 100.0]), _FALSE) for x in (150, 250, 350))


def test_what_nobody_flew_over_is_pale(scene: Scene, flown: Flown) -> None:
    picture = draw(scene, flown, WIDTH)
    wall = picture[HEAD:-FOOT, MARGIN:-MARGIN]
    flown_over, not_flown = wall[:, : wall.shape[1] // 2 - 20], wall[:, wall.shape[1] // 2 + 20 :]
    assert np.median(not_flown) > np.median(flown_over) + 20
    unseen = [near(picture, p, _MISSED) for c in scene.cracks for p in c.path_mm[::20] if p[0] > 1250]
    assert not any(unseen), "a crack in no frame is not a miss"


def test_what_detections_come_to_is_summed_up(flown: Flown) -> None:
    lines = sums(flown.score, {"weak": 2})
    seen = [crack for crack in flown.score.cracks if crack.seen.any()]
    assert any(f"of {len(seen)} cracks and branches found" in line for line in lines)
    assert "1 of 3 detections follow no crack" in lines
    assert "2 more traced and not reported (2 weak)" in lines
    assert "2 of 2 widths and bounds hold within two of their own standard uncertainties" in lines


def crack(number: int, width_mm: float | None, at_most_mm: float | None = None, state: str = "confirmed") -> Any:
    interval = {"value": width_mm, "sigma": 0.1, "low": (width_mm or 0) - 0.2, "high": (width_mm or 0) + 0.2}
    properties = {
        "number": number, "state": state, "views": 3, "length_mm": {"value": 1234.0}, "best": {"frame_seq": 7},
        "width_mm": None if width_mm is None else interval, "width_at_most_mm": at_most_mm,
    }  # fmt: skip
    return {"properties": properties}


def test_the_table_has_each_confirmed_crack_once_widest_first() -> None:
    lines = crack_table([crack(1, None, 0.6), crack(2, 1.5), crack(3, 2.5, state="withdrawn")]).splitlines()
    assert len({len(line) for line in lines}) == 1, "columns line up"
    assert [line.split()[0] for line in lines[1:]] == ["C2", "C1"]
    assert lines[1].split() == ["C2", "1.23", "1.50", "1.30", "to", "1.70", "3", "7"]
    assert "< 0.6" in lines[2]


def test_what_was_not_seen_stands_first() -> None:
    parts = [{"properties": {"class": kind, "area_m2": area}} for kind, area in (("0.5", 4.0), ("blurred", 1.0))]
    lines = seen_of_wall({"features": parts}, 10.0).splitlines()
    assert lines[0] == "not seen: 50 % of 10.0 m2; seen too badly to say: 10 %"
    assert lines[1].endswith("40 % from 0.5 mm")
    assert "nothing" in seen_of_wall({"features": []}, 10.0)


def test_a_flight_that_found_nothing_is_summed_up_too() -> None:
    text = "\n".join(sums(Score((), 0, ()), {"weak": 0}))
    assert "0 of 0 cracks and branches found, nothing was seen" in text
    assert "0 more traced and not reported\n" in text + "\n"
