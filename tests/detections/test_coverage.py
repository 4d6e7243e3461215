"""Coverage and frames on the wire: valid by their schemas, with and without a place."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import jsonschema
import numpy as np
import pytest

from edge.detections.coverage import coverage_document, frame_record, schema
from edge.frames import Frame, Moment, sharpness
from edge.navigation import Attitude, Fix, FixKind, NavState, nowhere
from edge.surface.coverage import Coverage
from edge.surface.inventory import Inventory, Look
from edge.surface.place import Surveyor
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
