"""What a flight publishes of its cracks: one revision never has two contents, wherever it is read."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import cv2
import numpy as np
import pytest

from edge import flightmap
from edge.flightmap import FlightMap, Published
from edge.frames import Frame, Moment, sharpness
from edge.masks import ClassMask, DamageClass, Mask
from edge.measurers import MEASURERS, Measured, Measures
from edge.navigation import Attitude, Fix, FixKind, NavState, nowhere
from edge.outcome import Flight, Picture
from edge.support.clock import ManualClock
from edge.surface import coverage, inventory, keyframes, resume
from edge.surface.inventory import Inventory
from edge.surface.place import Surveyor
from edge.surface.scale import ScaleOptions
from tests.surface.wall import HEIGHT, WIDTH, crack, seen_in, wall, window, zigzag
from tests.test_pipeline import START

SCALE = ScaleOptions(hfov_deg=60.0, surface="vertical", wall_normal_deg=270.0)
FIX = Fix(FixKind.RTK_FIXED, 51.05, 3.72, 11.0, 0.02, 0.03, 0, 55.0)
M_PER_PX = 3.0 * np.tan(np.radians(30)) / (WIDTH / 2)
M_PER_DEG = 111_257.3


@pytest.fixture(scope="module")
def concrete() -> np.ndarray:
    return wall(4)


def _flown(concrete: np.ndarray, seed: int) -> Iterator[tuple[int, float, list[np.ndarray], NavState]]:
    """To and fro before five cracks, each seen in part or not at all; the first frames have no pose."""
    rng = np.random.default_rng(seed)
    cracks = [zigzag((200.0 + 330 * i, 180 + 40 * (i % 3)), (1, 0.4 * (i - 2)), 70, seed=seed + i) for i in range(5)]
    for number, left in enumerate([*range(0, 1400, 60), *range(1400, 200, -90)]):
        paths = []
        for line in cracks:
            part = seen_in(line, left, 100.0)
            if part is not None and rng.random() < 0.85:
                first, last = sorted(rng.integers(0, len(part), 2))
                paths.append(part if last - first < 15 else part[first:last])
        south_m = left * M_PER_PX + rng.normal(0, 0.03)
        fix = replace(FIX, lat_deg=51.05 - south_m / M_PER_DEG)
        yield number, float(left), paths, NavState(0, fix, Attitude(0.0, 0.0, 90.0), 3.0) if number > 2 else nowhere(0)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_revision_has_one_content_on_the_wire_in_every_file_and_over_a_restart(
    concrete: np.ndarray, seed: int
) -> None:
    clock = ManualClock(START, synced=True)
    measures, surveyor = Measures(scale=SCALE), Surveyor(SCALE)
    measurer = MEASURERS["line"](measures)
    known: dict[tuple[str, int], object] = {}
    last: dict[str, int] = {}

    def read(document: dict[str, object], *, published: bool) -> None:
        properties = document["properties"]
        assert isinstance(properties, dict)
        name, revision = properties["crack_id"], properties["revision"]
        assert known.setdefault((name, revision), document) == document
        if published:
            assert revision > last.get(name, 0)
            last[name] = revision
        assert last[name] == revision, "a file has the last revision that was published"

    flight = Flight.of("drone1", "flight")
    flown = FlightMap(flight, "crack", Inventory(), clock, facing=False)
    letters = 0
    for number, left, paths, nav in _flown(concrete, seed):
        rgb = window(concrete, left, 100)
        frame = Frame(number, clock.monotonic_ns(), 500, rgb)
        found = Measured("crack", [crack(path, 0.9) for path in paths], {}, 0, lambda: np.zeros((1, 1), np.bool_))
        moment = Moment(START + timedelta(seconds=number), synced=True)
        view = surveyor.look(nav, WIDTH, HEIGHT)
        laid, picture = flown.lay(frame, view), Picture(lambda: None, wanted=False)
        recognised = flown.recognise(frame, found, measurer, moment, view, picture, laid)
        for state in recognised.revisions:
            read(json.loads(flown.letter(state).payload), published=True)
            letters += 1
        if number % 4 == 0:
            for document in flown.cracks():
                read(document, published=False)
        if number == 20:  # the daemon is started again
            again = resume.from_bytes(resume.to_bytes(flown.inventory))
            flight = replace(flight, flight_id="b", named_in="flight")
            flown = FlightMap(flight, "crack", again, clock, facing=False)
    for letter in flown.finish():
        read(json.loads(letter.payload), published=True)
    final = flown.cracks()
    for document in final:
        read(document, published=False)
    assert letters > 5
    places = {one["properties"]["place"]["frame"] for one in final if one["properties"]["merged_into"] is None}
    assert len(places) == 1
    assert None not in places
    assert not list(flown.finish()), "nothing is told twice"


def test_a_flight_whose_frames_have_nothing_in_common_takes_no_more_memory_when_it_is_four_times_as_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each frame brings a chart, a crack and a mark of its own; a short flight reaches bounds that are lowered."""
    for room, bound, value in (
        (inventory, "MOST_CHARTS", 12), (inventory, "KEPT_MARKS", 12), (keyframes, "KEPT_KEYFRAMES", 8),
        (coverage, "MAX_TILES", 12), (flightmap, "MOST_CRACKS", 16),
    ):  # fmt: skip
        monkeypatch.setattr(room, bound, value)
    clock = ManualClock(START, synced=True)
    surveyor, measurer = Surveyor(SCALE), MEASURERS["line"](Measures(scale=SCALE))
    flown = FlightMap(Flight.of("drone", "long"), "crack", Inventory(), clock, facing=False)
    plain = np.full((90, 160, 3), 120, np.uint8)  # nothing to register by
    nothing, kind = np.zeros((90, 160), np.uint8), DamageClass("crack", 0.5, "line")
    published = 0
    held = []
    tracemalloc.start()
    try:
        for number in range(120):
            lines = [
                crack(zigzag((10, 30), (1, 0), 35, seed=number), 0.95),
                crack(zigzag((20, 70), (1, 0), 10, seed=number), 0.3),
            ]
            frame = Frame(number, clock.monotonic_ns(), 500, plain)
            moment = Moment(START + timedelta(seconds=number), synced=True)
            view = surveyor.look(nowhere(0), 160, 90)
            found = Measured("crack", lines, {}, 0, lambda: np.zeros((1, 1), np.bool_))
            laid, picture = flown.lay(frame, view), Picture(lambda: None, wanted=False)
            recognised = flown.recognise(frame, found, measurer, moment, view, picture, laid)
            published += sum(flown.letter(state).topic.endswith("/cracks") for state in recognised.revisions)
            mask = Mask(frame, (ClassMask(frame, kind, nothing, nothing.astype(bool)),), "model")
            flown.judge(frame, mask, view, laid)
            if number in (29, 119):
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert published == 120, "each was told of"
    a_frame = (held[1] - held[0]) / 90
    assert a_frame < 600, f"{a_frame:.0f} bytes a frame"  # a line and what is known of it have more than 1,500
    flown.finish()
    assert 16 <= len(flown.cracks()) <= 17


def test_a_frame_that_fails_after_it_was_laid_does_not_keep_the_coverage_in_pixels(concrete: np.ndarray) -> None:
    """The first pose of a flight comes with a frame that nothing can be measured on."""
    clock, surveyor = ManualClock(START, synced=True), Surveyor(SCALE)
    flown = FlightMap(Flight.of("drone", "flight"), "crack", Inventory(), clock, facing=False)
    nothing, kind = np.zeros((HEIGHT, WIDTH), np.uint8), DamageClass("crack", 0.5, "line")
    for number, left in enumerate((300, 340, 380, 420, 460)):
        frame = Frame(number, clock.monotonic_ns(), 500, window(concrete, left, 100))
        fix = replace(FIX, lat_deg=51.05 - left * M_PER_PX / M_PER_DEG)
        nav = NavState(0, fix, Attitude(0.0, 0.0, 90.0), 3.0) if number > 1 else nowhere(0)
        view = surveyor.look(nav, WIDTH, HEIGHT)
        laid = flown.lay(frame, view)
        assert laid.placed is not None
        assert (laid.placed.rebased is not None) == (number == 2)
        if number != 2:
            mask = Mask(frame, (ClassMask(frame, kind, nothing, nothing.astype(bool)),), "model")
            flown.judge(frame, mask, view, laid)
    features = [one["properties"] for one in flown.coverage()["features"]]
    shown_m2 = (160 + WIDTH) * HEIGHT * M_PER_PX**2
    assert sum(one["area_m2"] for one in features) == pytest.approx(shown_m2, rel=0.1)
    assert sum(one["chart"]["area"] for one in features) == pytest.approx(shown_m2, rel=0.1), "in metres"


@pytest.mark.parametrize(("spoil", "state"), [
    (lambda rgb: rgb, "withdrawn"),
    (lambda rgb: cv2.GaussianBlur(rgb, (0, 0), 8.0), "confirmed"),
    (lambda rgb: (rgb * 0.12).astype(np.uint8), "confirmed"),
])  # fmt: skip
def test_frames_that_are_too_blurred_or_too_dark_to_show_a_crack_do_not_withdraw_it(
    concrete: np.ndarray, spoil: Callable[[np.ndarray], np.ndarray], state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crack is found in three frames, and in none of the next nine."""
    calls: list[int] = []
    measure = sharpness.measure
    monkeypatch.setattr(sharpness, "measure", lambda rgb, tone: calls.append(1) or measure(rgb, tone))
    measurer = MEASURERS["line"](Measures(scale=SCALE))
    clock, line = ManualClock(START, synced=True), zigzag((560, 220), (0, 1), 50, seed=1)
    flown = FlightMap(Flight.of("drone", "flight"), "crack", Inventory(), clock, facing=False)
    nothing, kind = np.zeros((HEIGHT, WIDTH), np.uint8), DamageClass("crack", 0.5, "line")
    for number in range(12):
        left, found = 200.0 + 40 * (number % 8), number < 3
        rgb = window(concrete, left, 100)
        frame = Frame(number, clock.monotonic_ns(), 500, rgb if found else spoil(rgb))
        part = seen_in(line, left, 100.0)
        assert part is not None
        measured = Measured("crack", [crack(part, 0.9)] if found else [], {}, 0, lambda: np.zeros((1, 1), np.bool_))
        moment, picture = Moment(START + timedelta(seconds=number), synced=True), Picture(lambda: None, wanted=False)
        view = Surveyor(SCALE).look(nowhere(0), WIDTH, HEIGHT)
        laid = flown.lay(frame, view)
        assert laid.placed is not None
        assert laid.placed.chart == 1
        flown.recognise(frame, measured, measurer, moment, view, picture, laid)
        flown.judge(frame, Mask(frame, (ClassMask(frame, kind, nothing, nothing.astype(bool)),), "model"), view, laid)
        assert len(calls) == number + 1, "measured once"
    (only,) = flown.inventory.all()
    assert (only.state, only.views) == (state, 3)
    assert (only.missed > 0) == (state == "withdrawn")


def test_of_too_many_cracks_the_oldest_are_left_out_and_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    kept = Published(most=100)
    for number in range(1, 301):
        kept.put(number, b'{"crack": %d}' % number, confirmed=number <= 60)
    kept.put(3, b'{"crack": "again"}', confirmed=True)
    left = [json.loads(payload)["crack"] for payload in kept]
    assert left[:4] == [1, 2, "again", 4], "what is confirmed stays longer than what is not"
    assert 100 <= len(left) <= 106
    assert left[-40:] == list(range(261, 301))
    assert kept.left_out + len(left) == 300
    assert caplog.text.count("more than 100 cracks") == 1
