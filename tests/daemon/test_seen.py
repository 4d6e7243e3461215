"""The coverage on the wire: retained, seldom, never larger than it may be, and still true when it is made small."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from functools import partial

import jsonschema
import numpy as np
import pytest

from edge.daemon.seen import EVERY_S, SeenSoFar
from edge.detections import coverage as wire
from edge.detections.coverage import coverage_document, coverage_payload, schema
from edge.detections.wire import to_bytes
from edge.flightmap import FlightMap, Laid
from edge.frames import Frame, sharpness
from edge.masks import ClassMask, DamageClass, Mask
from edge.mqtt.memory import MemoryPublisher
from edge.mqtt.memory import Options as MqttOptions
from edge.navigation import nowhere
from edge.outcome import Flight
from edge.support.clock import ManualClock
from edge.surface import grid
from edge.surface.coverage import Coverage
from edge.surface.inventory import Inventory
from edge.surface.outlines import outlines
from edge.surface.place import Surveyor
from edge.surface.registration import Registered
from edge.surface.scale import ScaleOptions
from edge.surface.visibility import CLASSES
from tests.surface.wall import HEIGHT, WIDTH, placed, wall

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
KIND = DamageClass("crack", 0.5, "line")


def blank(frame: Frame) -> Mask:
    empty = np.zeros((HEIGHT, WIDTH), np.uint8)
    return Mask(frame, (ClassMask(frame, KIND, empty, empty > 0),), "none")


WHOLE = [np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], np.float64)]


def test_it_is_retained_and_told_at_most_every_half_minute_and_once_more_at_the_end() -> None:
    clock = ManualClock(NOON)
    publisher = MemoryPublisher(MqttOptions(), clock, "drone1", b"gone")
    flight_map = FlightMap(Flight.of("drone1", "flight"), None, Inventory(), clock, facing=True)
    seen = SeenSoFar("drone1", publisher, clock)
    picture = wall(2, (HEIGHT, WIDTH))
    view = Surveyor(ScaleOptions()).look(nowhere(0), WIDTH, HEIGHT)
    seen.tell(flight_map)
    for second in range(65):
        frame = Frame(seq=second, exposed_ns=clock.monotonic_ns(), exposure_us=None, rgb=picture)
        laid = Laid(placed(40.0 * second, 0), None, partial(sharpness.measure, picture, "srgb"))
        flight_map.judge(frame, blank(frame), view, laid)
        seen.tell(flight_map)
        clock.advance_to(clock.monotonic_ns() + 1_000_000_000)
    seen.tell(flight_map, now=True)
    seen.tell(flight_map, now=True)
    publisher.deliver()
    told = [one for one in publisher.arrived if one.topic == "spanhawk/drone1/coverage"]
    assert len(told) == 1 + int(64 // EVERY_S) + 1, "nothing before the first frame, nothing twice"
    assert {(one.qos, one.retained) for one in told} == {(1, True)}
    areas = [sum(f["properties"]["chart"]["area"] for f in json.loads(one.payload)["features"]) for one in told]
    assert areas == sorted(areas)
    assert areas[-1] > 4 * areas[0]
    for one in told:
        jsonschema.Draft202012Validator(schema()).validate(json.loads(one.payload))


def test_a_message_is_bounded_and_says_what_it_leaves_out() -> None:
    rng = np.random.default_rng(5)
    coverage = Coverage()
    for left, top in rng.uniform(0, 7_000, (60, 2)):  # scattered photographs of every class: no outline is simple
        coverage.add(placed(left, top), (HEIGHT, WIDTH), WHOLE, CLASSES[int(rng.integers(len(CLASSES)))])
    whole = coverage_document("drone1", "flight", NOON, coverage, Inventory())
    most = len(to_bytes(whole)) // 4
    small = coverage_payload("drone1", "flight", NOON, coverage, Inventory(), most)
    assert len(small) <= most
    document = json.loads(small)
    jsonschema.Draft202012Validator(schema()).validate(document)
    assert len(document["features"]) + document["left_out_features"] == len(CLASSES)
    tiny = json.loads(coverage_payload("drone1", "flight", NOON, coverage, Inventory(), 400))
    assert tiny["features"] == []
    assert tiny["left_out_features"] > 0


def test_many_charts_cost_an_outline_each_and_the_bridge_in_metres_is_told_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    coverage, charts = Coverage(), 300
    for number in range(20):  # 32 m of a wall, 1 mm a pixel: few square metres, among charts of 230,000 square pixels
        to_chart = np.array([[1e-3, 0, 0.5 * number], [0, -1e-3, 0], [0, 0, 1]])
        coverage.add(Registered(1, to_chart, "m", 1e-3, 0.3, "measured", None, 1.0), (HEIGHT, WIDTH), WHOLE, "0.3")
    for number in range(charts):
        alone = Registered(number + 2, np.eye(3), "px", 1.0, 0.0, "first", None, 1.0)
        coverage.add(alone, (HEIGHT, WIDTH), WHOLE, "unscaled")
    outlined, encoded = [], []
    monkeypatch.setattr(grid, "outlines", lambda inside: outlined.append(1) or outlines(inside))
    monkeypatch.setattr(wire, "to_bytes", lambda document: encoded.append(to_bytes(document)) or encoded[-1])
    most = 30_000
    payload = coverage_payload("drone1", "flight", NOON, coverage, Inventory(), most)
    document = json.loads(payload)
    first = document["features"][0]["properties"]
    assert (first["class"], first["chart"]["number"]) == ("0.3", 1)
    assert first["chart"]["area"] == pytest.approx((0.5 * 19 + 0.64) * 0.36, rel=0.05), "its cells are as they were"
    assert document["left_out_features"] == charts + 1 - len(document["features"]) > 100
    assert most - 1000 < len(payload) <= most
    assert len(outlined) < charts + 20, "a rectangle is not outlined again with larger cells"
    assert sum(map(len, encoded)) < 2.2 * most, "each feature once, and once all of them"
