"""Coverage and frames on the wire: valid by their schemas, with and without a place."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import jsonschema
import numpy as np
import pytest

from edge.detections.coverage import MOST_NUMBERS, charts_of, coverage_document, coverage_payload, frame_record, schema
from edge.frames import Frame, Moment, sharpness
from edge.navigation import Attitude, Fix, FixKind, NavState, nowhere
from edge.surface.coverage import Coverage
from edge.surface.inventory import Inventory, Look
from edge.surface.place import Surveyor
from edge.surface.registration import Registered
from edge.surface.scale import ScaleOptions
from edge.surface.visibility import look
from tests.surface.wall import HEIGHT, WIDTH, wall, window

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
SIZE = (HEIGHT, WIDTH)
WHOLE = [np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], np.float64)]


def valid(document: dict[str, object], name: str) -> None:
    jsonschema.Draft202012Validator(schema(name)).validate(json.loads(json.dumps(document, allow_nan=False)))


def at(number: int, *, lost: bool) -> NavState:
    if lost:
        return nowhere(number)
    # North of a wall that faces north; each frame 0.1 m further east.
    fix = Fix(FixKind.RTK_FIXED, 51.0, 3.7 + 0.1 * number / 70_000, 10.0, 0.02, 0.03, 0, 54.0)
    return NavState(number, fix, Attitude(0.0, 0.0, 180.0), 1.0)


@pytest.mark.parametrize("lost", [False, True])
def test_documents_are_valid_and_say_where_only_when_it_is_known(lost: bool) -> None:
    surveyor, inventory, coverage = Surveyor(ScaleOptions(hfov_deg=60.0)), Inventory(), Coverage()
    picture = wall()
    for number in range(4):
        rgb = window(picture, 300 - 60 * number, 300)
        view = surveyor.look(at(number, lost=lost), WIDTH, HEIGHT)
        told = inventory.add(Look(number, None, NOON, rgb, (), (), view))
        seen = look(sharpness.measure(rgb, "srgb"), view, None, SIZE, facing=True)
        coverage.add(told.placed, SIZE, WHOLE, seen.kind)
        record = frame_record(Frame(number, number, None, rgb), at(number, lost=lost), Moment(NOON, synced=True), seen)
        valid(record, "frame-1")
        assert (record["footprint_m"] is None) == (record["footprint"] is None) == lost
        assert (record["narrowest_crack_mm"] is None) == lost
    document = coverage_document("drone", "flight", NOON, coverage, inventory)
    valid(document, "coverage-1")
    assert document["features"]
    for feature in document["features"]:
        assert (feature["geometry"] is None) == (feature["properties"]["place"]["polygons_m"] is None) == lost
    if not lost:
        total = sum(feature["properties"]["area_m2"] for feature in document["features"])
        wide = 2 * np.tan(np.radians(30))  # of the picture, at 1 m
        assert total == pytest.approx((wide + 0.3) * wide * HEIGHT / WIDTH, rel=0.15)
        ring = np.array(document["features"][0]["geometry"]["coordinates"][0][0])
        assert np.allclose(ring[:, :2], [3.7, 51.0], atol=1e-4)


def test_a_flight_of_nothing_is_a_valid_document() -> None:
    valid(coverage_document("drone", "flight", NOON, Coverage(), Inventory()), "coverage-1")


def test_a_flight_lies_where_all_its_posed_views_say_also_after_a_first_one_that_stood_alone() -> None:
    """One view with a pose, one of elsewhere without, then a flight with poses soon: charts 1 and 3 are in metres."""
    surveyor, inventory, coverage = Surveyor(ScaleOptions(hfov_deg=60.0)), Inventory(), Coverage()
    elsewhere, lost, concrete = wall(3), wall(2), wall()
    flown = [(elsewhere, 0), (lost, None), (concrete, None), *((concrete, 30 + number) for number in range(4))]
    for number, (picture, east) in enumerate(flown):
        nav = at(number, lost=True) if east is None else at(east, lost=False)
        left = 300 if east is None or east < 30 else 300 - 60 * (east - 30)
        rgb = window(picture, left, 300)
        told = inventory.add(Look(number, None, NOON, rgb, (), (), surveyor.look(nav, WIDTH, HEIGHT)))
        coverage.move(told.placed)
        coverage.add(told.placed, SIZE, WHOLE, "0.3" if east is not None else "unscaled")
    assert coverage.charts == (1, 2, 3)
    document = coverage_document("drone", "flight", NOON, coverage, inventory)
    valid(document, "coverage-1")
    metres = [one for one in document["features"] if one["properties"]["class"] == "0.3"]
    assert [one["properties"]["chart"]["number"] for one in metres] == [3], "the one with most frames"
    assert [one["properties"]["chart"]["numbers"] for one in metres] == [[3, 1]]
    named = ["numbers" in one["properties"]["chart"] for one in document["features"]]
    assert named == [True, True, False], "seen to 0.3 mm, seen while there was no scale, and lost"
    assert metres[0]["properties"]["area_m2"] == pytest.approx(2 * 1.155 * 0.65 + 0.3 * 0.65, rel=0.15)
    lefts = [np.array(polygon[0])[:, 0].min() for polygon in metres[0]["geometry"]["coordinates"]]
    rights = [np.array(polygon[0])[:, 0].max() for polygon in metres[0]["geometry"]["coordinates"]]
    # 0.1 m further east with each number, and half a picture's width to either side.
    degree_m = 70_000
    assert min(lefts) == pytest.approx(3.7 - 0.58 / degree_m, abs=0.05 / degree_m)
    assert max(rights) == pytest.approx(3.7 + (3.3 + 0.58) / degree_m, abs=0.05 / degree_m)


def test_of_very_many_charts_in_metres_those_of_most_frames_are_named() -> None:
    """Poses that come and go over one wall: a message keeps its room for what was seen."""
    coverage, inventory = Coverage(), Inventory()
    to_chart = np.diag([0.01, 0.01, 1.0])
    for chart in range(1, MOST_NUMBERS + 40):
        for _ in range(2 if chart == 200 else 1):
            coverage.add(Registered(chart, to_chart, "m", 0.01, 0.3, "measured", None, 1.0), SIZE, WHOLE, "0.3")
    document = json.loads(coverage_payload("drone", "flight", NOON, coverage, inventory, 65_536))
    valid(document, "coverage-1")
    (only,) = document["features"]
    numbers = only["properties"]["chart"]["numbers"]
    assert numbers == [200, *(chart for chart in range(1, MOST_NUMBERS + 1) if chart != 200)][:MOST_NUMBERS]
    assert charts_of(only["properties"]) == tuple(numbers)


@pytest.mark.parametrize(
    ("chart", "charts"),
    [
        ({"number": 3, "numbers": [3, 1]}, (3, 1)),
        ({"number": 3}, (3,)),
        ({"number": 3, "numbers": [1, "x", None, True, 1.5, 2]}, (3, 1, 2)),
        ({"numbers": 7}, ()),
        (None, ()),
        ([3], ()),
    ],
)
def test_charts_are_read_from_any_patch(chart: object, charts: tuple[int, ...]) -> None:
    assert charts_of({"chart": chart}) == charts
