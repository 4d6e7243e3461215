"""Walls of flights whose frames lie on several charts in metres, which their coverage outlines together."""

from __future__ import annotations

import copy
import itertools
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.ground.report import bands, drawings, walls
from edge.ground.report.coverage import outlines
from edge.ground.report.findings import Finding, gather
from edge.ground.report.flight import Flight, Json
from edge.ground.report.sheets import Sheet
from edge.ground.report.walls import Wall
from tests import lost_pose
from tests.ground.report import made
from tests.ground.report.reading import Page, copied, page, told


def _flight(flown: lost_pose.Flown, coverage: list[Json]) -> Flight:
    return Flight("lost", "lost", "drone", {}, flown.cracks, {}, coverage, {}, [], {}, [], "nowhere", 0)


def _walls(flight: Flight) -> tuple[list[Finding], list[Wall], list[tuple[int, int]]]:
    """Findings, walls, and how many lines and patches the elevation of each wall has."""
    found, _, known = gather(flight, bands.load(None), {})
    sheets = [drawings.elevation(one, at, found, outlines(flight.coverage), 0.3) for at, one in enumerate(known)]
    return found, known, [(0, 0) if one is None else (len(one.lines), len(one.areas)) for one in sheets]


def test_cracks_of_all_charts_of_a_soffit_lie_on_it_with_its_coverage() -> None:
    """Each is one straight line, which leaves the turn of a plane through it open: only the coverage knows it."""
    flown = lost_pose.fly("soffit")
    patches = flown.coverage["features"]
    found, (face,), drawn = _walls(_flight(flown, patches))
    assert {one.chart for one in found} == {1, 3}
    assert face.level
    assert {one.wall for one in found} == {0}
    rings = sum(len(one["properties"]["place"]["polygons_m"] or ()) for one in patches)
    assert drawn == [(2, rings)], "both cracks and all that was looked at"
    assert rings > 1


def test_either_face_of_a_pier_is_a_wall_with_its_own_crack_and_coverage() -> None:
    """The faces share the charts' coordinates: what is seen of one is not seen of the other, and lies elsewhere."""
    flown = lost_pose.fly("pier")
    patches = flown.coverage["features"]
    found, known, drawn = _walls(_flight(flown, patches))
    assert [one.chart for one in sorted(found, key=lambda one: one.wall or 0)] == [1, 3]
    assert [lines for lines, _ in drawn] == [1, 1]
    depths = [abs(float(one.origin_m @ np.cross(one.along, one.up))) for one in known]
    assert depths == pytest.approx([lost_pose.RANGE_M, lost_pose.RANGE_M + lost_pose.THICK_M], abs=0.03)
    areas: Counter[int] = Counter()
    for one in patches:
        areas[one["properties"]["chart"]["number"]] += one["properties"]["area_m2"] or 0.0
    assert [areas[1], areas[3]] == pytest.approx(lost_pose.FACE_M2, rel=0.08)
    assert all(rings > 0 for _, rings in drawn), "each is shaded"


def test_a_flight_that_names_one_chart_of_all_is_read_as_before() -> None:
    flown = lost_pose.fly("soffit")
    patches = copy.deepcopy(flown.coverage["features"])
    for one in patches:
        one["properties"]["chart"].pop("numbers", None)
    found, known, drawn = _walls(_flight(flown, patches))
    assert sorted(lines for lines, _ in drawn) == [1, 1]
    assert sorted(one.level for one in known) == [False, True]
    assert {known[one.wall or 0].level for one in found if one.chart == 3} == {True}, "the one that is named"


def test_a_chart_whose_cracks_lie_off_what_was_outlined_with_it_is_a_wall_of_its_own() -> None:
    """Outlines of charts in metres are laid where all their views together say; a wall behind another is not there."""
    ring = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [4.0, 0.0, 2.0], [0.0, 0.0, 2.0]])
    near = np.array([[1.0, 0.0, 0.5], [1.3, 0.0, 1.5], [2.0, 0.0, 1.6]])
    paths = [near, near + np.array([0.0, 5.0, 0.0]), near + np.array([1.0, 0.1, 0.0])]
    found, of = walls.find(paths, [made.FRAME] * 3, [1, 2, 3], [None] * 3, [(made.FRAME, (1, 2, 3), ring)])
    assert of == [0, 1, 0]
    assert [one.holds(ring) for one in found] == [True, False]
    assert found[1].origin_m[1] == pytest.approx(5.0)


def test_a_chart_that_runs_around_a_column_is_drawn_from_its_sides() -> None:
    """Upright cracks, 1 m long each, on a column of 3 m radius, on one chart: none becomes a point seen from above."""
    turns = (0, 135, 45, 90, 5, 50, 95, 140)
    paths = []
    for turn in turns:
        x, y = 3 * np.cos(np.radians(turn)), 3 * np.sin(np.radians(turn))
        paths.append(np.array([[x, y, 1.0], [x, y, 1.6], [x, y, 2.0]]))
    found, of = walls.find(paths, [made.FRAME] * 8, [1] * 8, [None] * 8)
    assert 2 <= len(found) <= 4
    for number, path in zip(of, paths, strict=True):
        assert number is not None
        assert found[number].holds(path)
        assert np.ptp(found[number].flat(path)[:, 1]) == pytest.approx(1.0, abs=0.01)
    for number in range(len(found)):
        mine = sorted(turn for turn, at in zip(turns, of, strict=True) if at == number)
        assert mine[-1] - mine[0] <= 95, "neighbours, not what faces another way"


def test_what_no_drawing_shows_is_counted_on_the_page(tmp_path: Path) -> None:
    """Pictures without a pose: what they show of the soffit has no place, and one crack has none either."""
    flown = lost_pose.fly("soffit")
    folder = tmp_path / "flight"
    folder.mkdir()
    placeless = copy.deepcopy(flown.cracks[0])
    placeless["properties"] |= {"crack_id": made.name(9), "chart": None, "place": None}
    placeless["geometry"] = None
    for name, features in (("cracks", [*flown.cracks, placeless]), ("coverage", flown.coverage["features"])):
        (folder / f"{name}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (folder / "summary.json").write_text(json.dumps({"flight_id": "lost", "vehicle": "drone"}))
    told(folder, tmp_path / "out")
    text = Page(page(tmp_path / "out")).text
    assert "is not known: 1 finding and 1 outline of what was looked at." in text
    whole = [one for one in flown.coverage["features"] if one["geometry"] is not None]
    for name, features in (("cracks", flown.cracks), ("coverage", whole)):
        (folder / f"{name}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    told(folder, tmp_path / "whole")
    assert "Drawn nowhere" not in Page(page(tmp_path / "whole")).text


def test_a_picture_that_was_joined_to_no_other_has_no_drawing_beside_its_photo(flight: Path, tmp_path: Path) -> None:
    """A folder of 98 pictures had 83 drawings before the first finding, nearly each of them one photo's cracks."""
    flown = copied(flight, tmp_path)
    document = json.loads((flown / "cracks.geojson").read_text())
    for number, one in enumerate(document["features"], 1):
        chart = {1: 1, 2: 2, 3: 2, 4: 3}.get(number, 4)
        one["geometry"] = None
        one["properties"] |= {"place": None, "views": 1, "chart": {**one["properties"]["chart"], "number": chart}}
    for at, frame_seq in ((1, 7), (2, 7), (4, 8), (5, 9)):  # chart 2 is one picture, chart 4 is two
        document["features"][at]["properties"]["best"]["frame_seq"] = frame_seq
    document["features"][3]["properties"]["views"] = 2  # so chart 3 is two pictures as well
    (flown / "cracks.geojson").write_text(json.dumps(document))
    told(flown, tmp_path / "out")
    seen = Page(page(tmp_path / "out"))
    assert [part for part in range(1, 5) if f"Joined pictures, part {part}." in seen.text] == [3, 4]
    assert "3 findings on photos that were joined to no other: see each photo." in seen.text
    assert "Drawn nowhere" not in seen.text
    sizes = [attrs["viewbox"] or "" for tag, attrs in seen.elements if attrs.get("class") == "sheet"]
    # Two stand side by side, each 448 px wide at most and 44 % of an A4 page: figures of 15 units are read on both.
    assert [float(size.split()[2]) <= 500 for size in sizes] == [False, True, True], "the map has the whole width"


def test_numbers_of_neighbours_do_not_run_into_one_another() -> None:
    """Figures of DejaVu Sans Bold (Debian) are 1425/2048 of their 15 px wide: 31 and 83 were read as 3183."""
    sheet = Sheet([[0.0, 0.0], [200.0, 1.0]], "Wall 1", "m")
    for at in range(200):
        finding: Any = SimpleNamespace(number=1000 + at, crack_id=str(at), band=None, is_area=False)
        sheet.line(finding, [[at, 0.0], [at, 1.0]])
    boxes = [(*line.label, len(str(line.number)) * 15 * 1425 / 2048) for line in sheet.done().lines if line.label]
    assert len(boxes) > 20
    for one, other in itertools.combinations(boxes, 2):
        if abs(one[1] - other[1]) < 12:
            (left, _, wide), (right, _, _) = sorted((one, other))
            assert right - (left + wide) > 4
