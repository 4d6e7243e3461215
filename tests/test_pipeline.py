from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Literal

import jsonschema
import numpy as np
import pytest

from edge.cracks import Crack
from edge.cracks.plausible import ReportOptions, reported_mask
from edge.detections.cracks import schema as crack_schema
from edge.detections.wire import schema
from edge.frames import Frame
from edge.masks import ClassMask, DamageClass, Mask, Segmenter, dark, preprocess
from edge.measurers import Measures
from edge.navigation import fixed
from edge.outbox import Letter, Outbox, memory
from edge.outcome import Flight, Proof
from edge.pipeline import Pipeline
from edge.support.clock import ManualClock
from edge.support.errors import TryAgainError
from edge.surface.scale import ScaleOptions
from tests.cracks.drawn import to_light, to_srgb
from tests.pictures import PATH_PX, concrete, frame
from tests.surface.wall import wall, window

START = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
PLACE = fixed.Options(
    lat_deg=51.0543, lon_deg=3.7174, alt_amsl_m=8.0, alt_ellipsoid_m=51.6,
    roll_deg=0.0, pitch_deg=0.0, yaw_deg=90.0, range_m=2.0,
)  # fmt: skip


class FullDisk:
    """Passes everything on to a real outbox, except while ``full``."""

    def __init__(self, inner: Outbox) -> None:
        self.inner = inner
        self.full = False

    def put(self, letters: Sequence[Letter]) -> None:
        if self.full:
            raise TryAgainError("/outbox.db: the disk is full; make room")
        self.inner.put(letters)


def pipeline(
    outbox: object,
    clock: ManualClock,
    evidence_dir: Path | None = None,
    report: ReportOptions | None = None,
    segmenter: Segmenter | None = None,
) -> Pipeline:
    return Pipeline(
        segmenter or dark.open_segmenter(dark.Options(), clock),
        fixed.open_navigator(PLACE, clock),
        outbox,  # type: ignore[arg-type]
        Flight("drone1", "flight", "spanhawk/drone1/detections"),
        Measures(scale=ScaleOptions(hfov_deg=60), report=report or ReportOptions()),
        clock,
        None if evidence_dir is None else Proof(evidence_dir),
    )


def drawn_width_px() -> float:
    """Oracle: all the darkness of the crack, spread over its length (OpenCV's pen is not as thick as it says)."""
    grey = concrete()[..., 0].astype(float)
    length = float(np.linalg.norm(np.diff(PATH_PX, axis=0), axis=1).sum())
    ends = np.pi / 4 * 7  # round caps
    return float(np.clip((180 - grey) / 140, 0, 1)[grey < 160].sum() / (length + ends))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START, monotonic_ns=5_000_000_000)


@pytest.fixture
def outbox(clock: ManualClock) -> Outbox:
    return memory.open_outbox(memory.Options(), clock)


def test_a_frame_whose_time_nobody_knows_has_no_place(clock: ManualClock, outbox: Outbox) -> None:
    outcome = pipeline(outbox, clock).process(replace(frame(seq=3, exposed_ns=4_000_000_000), time_known=False))
    assert outcome.features
    assert all(document["geometry"] is None for document in outcome.features)
    assert (outcome.nav.fix, outcome.nav.attitude, outcome.nav.range_m) == (None, None, None)


def test_the_width_of_a_crack_in_motion_is_read_with_the_motion_that_the_frames_tell(
    clock: ManualClock, outbox: Outbox
) -> None:
    """600 px a second to the right and 20 ms of exposure: a crack of 8 px is seen over 20 px, dark over 12."""
    surface = np.asarray(128 + (wall(7, (500, 1400)) - 128.0) / 4, np.uint8)
    surface[:, 696:704] = 15
    flight = Flight.of("drone1", "flight")
    eyes = dark.open_segmenter(dark.Options(surround_px=61, full_contrast=40), clock)
    flown = Pipeline(eyes, fixed.open_navigator(fixed.Options(), clock), outbox, flight, Measures(), clock)
    widths = []
    for number, left in enumerate((240.0, 300.0, 360.0)):
        shifts = np.arange(12) - 5.5
        light = np.mean([to_light(window(surface, left + way, 60)) for way in shifts], axis=0)
        clock.advance_to(clock.monotonic_ns() + 100_000_000)
        shown = np.rint(to_srgb(light)).astype(np.uint8)
        outcome = flown.process(Frame(number, clock.monotonic_ns(), 20_000, shown))
        assert outcome.seen.smear_px == (None if number == 0 else pytest.approx(12.0, abs=0.5))
        (crack,) = [one for one in outcome.damage if isinstance(one, Crack) and one.length_px > 300]
        widths.append(float(crack.width_px.mean()))
    assert widths[0] == pytest.approx(12.0, abs=0.5), "the first frame cannot know"
    assert widths[2] == pytest.approx(8.0, abs=0.8)


def test_a_cracked_frame_becomes_letters_on_disk(clock: ManualClock, outbox: Outbox) -> None:
    outcome = pipeline(outbox, clock).process(frame(seq=3, exposed_ns=4_000_000_000))
    assert len(outcome.features) >= 1
    stored = outbox.list(10)
    assert [json.loads(one.letter.payload) for one in stored] == list(outcome.features)
    document = outcome.features[0]
    jsonschema.Draft202012Validator(schema()).validate(document)
    properties = document["properties"]
    # The lens looks east: 2 m ahead, at 51 degrees north, are 2.85e-5 degrees of longitude.
    assert properties["place"]["method"] == "surface"
    lon_deg, lat_deg, height_m = document["geometry"]["coordinates"]
    assert lon_deg == pytest.approx(3.7174 + 2.852e-5, abs=2e-7)
    assert (lat_deg, height_m) == (pytest.approx(51.0543, abs=5e-6), pytest.approx(51.6, abs=1.0))
    assert properties["seen_at"] == "2026-06-01T11:59:59.000Z", "the exposure was a second ago"
    assert properties["clock_synced"] is True
    assert properties["frame_seq"] == 3
    width_px = drawn_width_px()
    assert properties["crack"]["width_px"]["mean"] == pytest.approx(width_px, abs=0.3)
    # 2 m behind a 60 degree lens of 320 px: 7.2 mm a pixel.
    assert properties["size"]["width_mm"] == pytest.approx(width_px * 7.217, rel=0.05)
    assert set(outcome.stage_ms) == {"segment", "trace", "locate", "encode", "store", "judge"}


def test_a_clean_frame_makes_nothing(clock: ManualClock, outbox: Outbox) -> None:
    outcome = pipeline(outbox, clock).process(frame(cracked=False))
    assert outcome.features == ()
    assert outbox.list(10) == []
    assert not outcome.reported().any()


class Faint:
    """Gives every crack of a real segmenter the lowest score that still counts."""

    def __init__(self, inner: Segmenter) -> None:
        self.inner, self.sha256, self.classes = inner, inner.sha256, inner.classes
        self.level = preprocess.threshold_code(inner.classes[0].threshold)

    def segment(self, frame: Frame) -> Mask:
        mask = self.inner.segment(frame)
        (found,) = mask.classes
        return replace(mask, classes=(replace(found, score=np.minimum(found.score, self.level)),))


@pytest.mark.parametrize(("sure_length_px", "reported"), [(220.0, True), (1e6, False)])
def test_only_what_is_reported_becomes_letters(
    clock: ManualClock, outbox: Outbox, sure_length_px: float, reported: bool
) -> None:
    report = ReportOptions(sure_length_px=sure_length_px)
    segmenter = Faint(dark.open_segmenter(dark.Options(), clock))
    line = pipeline(outbox, clock, report=report, segmenter=segmenter)  # type: ignore[arg-type]
    outcome = line.process(frame())
    expected = reported_mask(outcome.mask.classes[0].score, frame().rgb, segmenter.level, report)
    assert expected.any() == reported
    assert np.array_equal(outcome.reported(), expected)
    assert len(outbox.list(10)) == len(outcome.features) == len(outcome.damage) == int(reported)
    assert outcome.suppressed == {"weak": int(not reported)}


def test_seq_has_no_gaps_and_dropped_frames_are_counted(clock: ManualClock, outbox: Outbox) -> None:
    line = pipeline(outbox, clock)
    outcomes = [line.process(frame(seq)) for seq in (0, 1, 5, 6)]
    assert [one.dropped_before for one in outcomes] == [0, 0, 3, 0]
    seqs = [found["properties"]["seq"] for one in outcomes for found in one.features]
    assert seqs == list(range(1, len(seqs) + 1))
    assert line.detections == len(seqs)


def test_the_same_frames_give_the_same_bytes(clock: ManualClock) -> None:
    def fly() -> list[bytes]:
        box = memory.open_outbox(memory.Options(), clock)
        line = pipeline(box, ManualClock(START))
        for seq in range(3):
            line.process(frame(seq))
        return [one.letter.payload for one in box.list(100)]

    assert fly() == fly()


def test_a_full_disk_loses_nothing_and_says_so(
    clock: ManualClock, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FullDisk(outbox)
    line = pipeline(disk, clock)
    line.process(frame(0))
    disk.full = True
    made = [found["id"] for seq in (1, 2) for found in line.process(frame(seq)).features]
    assert line.storage_trouble is not None
    assert "the disk is full" in line.storage_trouble
    assert f"{len(made)} detections wait in memory" in line.storage_trouble
    assert len(caplog.records) == 1, "said once, not for every frame"
    assert not line.store_again()
    disk.full = False
    assert line.store_again()
    assert line.storage_trouble is None
    stored = [json.loads(one.letter.payload)["properties"]["seq"] for one in outbox.list(100)]
    assert stored == list(range(1, line.detections + 1))


def test_a_disk_with_a_little_room_takes_what_fits(clock: ManualClock) -> None:
    """What waited in memory goes down frame by frame, oldest first, not all or nothing."""
    small = memory.open_outbox(memory.Options(capacity=2), clock)
    disk = FullDisk(small)
    disk.full = True
    line = pipeline(disk, clock)
    for seq in range(4):
        line.process(frame(seq))
    disk.full = False
    assert not line.store_again()
    assert [json.loads(one.letter.payload)["properties"]["frame_seq"] for one in small.list(9)] == [0, 1]
    assert line.storage_trouble is not None


def test_evidence_leaves_room_for_detections(clock: ManualClock, outbox: Outbox, tmp_path: Path) -> None:
    line = pipeline(outbox, clock)
    line._proof = Proof(tmp_path / "e", 10**18)
    assert line.process(frame()).features[0]["properties"]["evidence"] is None
    assert "are for detections" in str(line.storage_trouble)
    assert not (tmp_path / "e").exists()


def test_evidence_is_written_before_the_letter_and_a_full_disk_does_not_stop_detections(
    clock: ManualClock, outbox: Outbox, tmp_path: Path
) -> None:
    kept = pipeline(outbox, clock, tmp_path / "evidence").process(frame(7)).features[0]["properties"]["evidence"]
    assert (tmp_path / "evidence" / kept["file"]).exists()
    (tmp_path / "file").write_text("not a folder")
    line = pipeline(outbox, clock, tmp_path / "file" / "evidence")
    assert line.process(frame(8)).features[0]["properties"]["evidence"] is None
    assert line.storage_trouble is not None
    assert line.storage_trouble.startswith("no evidence is kept")


def test_pictures_own_time_and_satellites_time(clock: ManualClock, outbox: Outbox) -> None:
    from dataclasses import replace

    taken = START - timedelta(days=3)
    line = pipeline(outbox, clock)
    properties = line.process(replace(frame(), taken_at=taken)).features[0]["properties"]
    assert properties["seen_at"] == "2026-05-29T12:00:00.000Z"
    assert properties["clock_synced"] is False, "a camera's own clock is disciplined by nothing"


class TwoKinds:
    """Finds the cracks of a real segmenter, and a square of a class whose name says nothing."""

    model, sha256, degraded = "two", None, None
    classes = (DamageClass("crack", 0.5, "line"), DamageClass("xyz", 0.5, "area"))

    def __init__(self, inner: Segmenter) -> None:
        self.inner = inner

    def segment(self, frame: Frame) -> Mask:
        (cracks,) = self.inner.segment(frame).classes
        square = np.zeros(cracks.damage.shape, bool)
        square[20:60, 30:80] = True
        other = ClassMask(frame, self.classes[1], np.where(square, 204, 0).astype(np.uint8), square)
        return Mask(frame, (cracks, other), "two")


def test_a_class_is_measured_as_its_card_says_whatever_it_is_called(clock: ManualClock, outbox: Outbox) -> None:
    segmenter = TwoKinds(dark.open_segmenter(dark.Options(), clock))
    outcome = pipeline(outbox, clock, segmenter=segmenter).process(frame())  # type: ignore[arg-type]
    properties = [one["properties"] for one in outcome.features]
    assert [one["seq"] for one in properties] == list(range(1, len(properties) + 1))
    *cracks, area = properties
    assert cracks
    assert all(one["kind"] == "crack" and one["area"] is None for one in cracks)
    assert (area["kind"], area["crack"], area["area"]["area_px"]) == ("xyz", None, 2000)
    mm_per_px = 2000 / (320 / 2 / np.tan(np.radians(30)))
    assert area["area"]["area_cm2"] == pytest.approx(2000 * mm_per_px**2 / 100, rel=1e-3)
    assert outcome.reported()[40, 50]
    assert outcome.suppressed == {"weak": 0, "small": 0}
    for one in outcome.features:
        jsonschema.Draft202012Validator(schema()).validate(one)


def test_a_frame_that_cannot_be_encoded_leaves_no_gap_in_seq(
    clock: ManualClock, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = pipeline(outbox, clock)
    line.process(frame(0))
    made = line.detections

    def broken(document: object) -> bytes:
        raise ValueError("Out of range float values are not JSON compliant")

    with monkeypatch.context() as patched:
        patched.setattr("edge.pipeline.to_bytes", broken)
        with pytest.raises(ValueError, match="not JSON compliant"):
            line.process(frame(1))
    assert line.detections == made
    assert line.process(frame(2)).features[0]["properties"]["seq"] == made + 1


def test_many_views_of_one_crack_are_told_of_as_one_and_detections_name_it(clock: ManualClock, outbox: Outbox) -> None:
    flown = Pipeline(
        dark.open_segmenter(dark.Options(), clock),
        fixed.open_navigator(PLACE, clock),
        outbox,
        Flight.of("drone1", "flight"),
        Measures(scale=ScaleOptions(hfov_deg=60)),
        clock,
    )
    outcomes = [flown.process(frame(seq=seq, exposed_ns=4_000_000_000)) for seq in range(4)]
    flown.finish()
    stored = [one.letter for one in outbox.list(100)]
    told = [json.loads(letter.payload) for letter in stored if letter.topic == "spanhawk/drone1/cracks"]
    for document in told:
        jsonschema.Draft202012Validator(crack_schema()).validate(document)
    (crack,) = flown.map.cracks()
    assert {document["id"] for document in told} == {crack["id"]}
    assert len({letter.id for letter in stored}) == len(stored)
    assert [document["properties"]["revision"] for document in told] == list(range(1, len(told) + 1))
    named = {document["properties"]["crack_id"] for outcome in outcomes for document in outcome.features}
    assert named == {crack["id"]}
    assert [json.loads(payload) for payload in outcomes[0].payloads] == list(outcomes[0].features)
    assert crack["geometry"]["type"] == "LineString"
    lon_deg, lat_deg = np.mean(np.array(crack["geometry"]["coordinates"])[:, :2], axis=0)
    # The lens looks east: 2 m ahead, at 51 degrees north, are 2.85e-5 degrees of longitude.
    assert lon_deg == pytest.approx(3.7174 + 2.852e-5, abs=5e-7)
    assert lat_deg == pytest.approx(51.0543, abs=1e-5)


@pytest.mark.parametrize(("detections", "sends"), [("all", [1, 1, 1, 1]), ("new", None), ("none", [0, 0, 0, 0])])
def test_detections_of_cracks_are_thinned_and_their_numbers_have_no_gaps(
    clock: ManualClock, outbox: Outbox, detections: Literal["all", "new", "none"], sends: list[int] | None
) -> None:
    flown = Pipeline(
        dark.open_segmenter(dark.Options(), clock),
        fixed.open_navigator(PLACE, clock),
        outbox,
        Flight.of("drone1", "flight"),
        Measures(scale=ScaleOptions(hfov_deg=60), report=ReportOptions(detections=detections)),
        clock,
    )
    outcomes = [flown.process(frame(seq=seq, exposed_ns=4_000_000_000)) for seq in range(4)]
    flown.finish()
    assert [len(outcome.damage) for outcome in outcomes] == [1, 1, 1, 1]
    if sends is None:
        sends = [len(outcome.revisions) for outcome in outcomes]
        assert 1 <= sum(sends) < 4
    assert [len(outcome.features) for outcome in outcomes] == sends
    letters = [one.letter for one in outbox.list(100)]
    documents = [json.loads(one.payload) for one in letters if one.topic == "spanhawk/drone1/detections"]
    assert [document["properties"]["seq"] for document in documents] == list(range(1, sum(sends) + 1))
    assert any(letter.topic == "spanhawk/drone1/cracks" for letter in letters)
