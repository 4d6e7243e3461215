"""The demo flight: a rendered bridge through the rooms that fly, an outbox on disk, a broker, and a listener."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.cracks import Crack
from edge.flights.settings import settings_document
from edge.frames import synthetic
from edge.frames.synthetic import SyntheticCamera
from edge.masks import Segmenter
from edge.measurers import Measures
from edge.mqtt.topics import detections_topic
from edge.navigation import Navigator
from edge.outcome import Flight, Outcome
from edge.pipeline import Pipeline
from edge.rendered.nav import Site, nav_rows, write_nav_csv
from edge.support import backends
from edge.support.clock import ManualClock, SystemClock, stopwatch_ns
from edge.support.errors import TryAgainError, UsageError
from edge.surface.scale import ScaleOptions
from edge.tools.demo import picture
from edge.tools.demo.broker import Broker, Kind, open_broker
from edge.tools.demo.report import crack_table, seen_of_wall, sums
from edge.tools.demo.score import Score, View, score
from edge.tools.demo.witness import Witness
from edge.tools.replay.deliver import Delivering
from edge.tools.replay.earlier import check
from edge.tools.replay.fly import Tally, by_state, flight_name, fly, said_of, summary
from edge.tools.replay.mosaic import Mosaic
from edge.tools.replay.overlay import draw
from edge.tools.replay.record import Recorder, full, save_jpeg, save_png
from edge.tools.replay.run import open_navigator

log = logging.getLogger(__name__)

VEHICLE = "demo"
FPS = 4.0
"""At 1 m/s past the wall consecutive frames overlap by two thirds."""
SITE = Site()
# A laser rangefinder, a calibrated lens, and a wall whose heading the pilot entered.
SCALE = ScaleOptions(
    focal_length_mm=synthetic.FOCAL_MM,
    sensor_width_mm=synthetic.SENSOR_WIDTH_MM,
    lens_uncertainty=0.005,
    range_uncertainty_m=0.01,
    surface="vertical",
    wall_normal_deg=(SITE.heading_deg + 180) % 360,
    tilt_uncertainty_deg=0.5,
)
_ARRIVAL_S = 5.0
_SHEET = (2, 2)
_THUMB_PX = (960, 540)

Thumb = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What to fly."""

    out: Path
    seconds: float
    fps: float = FPS
    seed: int = 1
    masks: Mapping[str, Any] = field(default_factory=dict)
    """The ``[masks]`` table: backend, bundle, …; empty: the bundle that ships, on the processor."""
    broker: Kind | None = None
    """None: mosquitto when installed, else amqtt."""

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= 3600:
            raise UsageError(f"--seconds: got {self.seconds:g}; give the length of the flight, above 0, at most 3600")


@dataclass(slots=True)
class _Log:
    """What is kept of the frames while flying."""

    begun_ns: int
    frames: int
    """How many will be flown."""
    views: dict[int, View] = field(default_factory=dict)
    features: list[dict[str, Any]] = field(default_factory=list)
    thumbs: dict[int, tuple[float, Thumb]] = field(default_factory=dict)
    """By part of the flight: crack length in the frame that shows most of it, and that frame."""
    mosaic: Mosaic = field(default_factory=Mosaic)
    first_ms: float | None = None
    """Real time from the first frame to the first detection."""


def fly_demo(job: Job) -> str:
    """Fly ``job``, write its folder, and return what there is to say. Raises SpanhawkError."""
    check(job.out, None, ())  # before anything is opened, or written beside it
    wall_clock = SystemClock()
    clock = ManualClock(wall_clock.utc(), synced=wall_clock.synced())
    with ExitStack() as stack:
        recorder = stack.enter_context(Recorder(job.out, None, masks=False, overlays=False))
        broker = stack.enter_context(open_broker(kind=job.broker))
        witness = stack.enter_context(Witness(broker.url, detections_topic(VEHICLE)))
        segmenter: Segmenter = stack.enter_context(
            backends.open_backend(
                "edge.masks", "open_segmenter", job.masks, wall_clock, where="masks", default="litert"
            )
        )
        log.info("building the bridge")
        camera = stack.enter_context(_camera(job, clock))
        navigator = stack.enter_context(_navigator(job, camera, clock))
        name = flight_name("demo", segmenter.model, job.seed, job.seconds, job.fps)
        flight = Flight.of(VEHICLE, name)
        ground = stack.enter_context(Delivering(broker.url, job.out, flight, _mqtt(broker), afresh=True))
        measures = Measures(scale=SCALE)
        flown = {"seed": job.seed, "seconds": job.seconds, "fps": job.fps}
        recorder.begin(clock, name, settings_document(command=flown, measures=measures, masks=job.masks))
        pipeline = Pipeline(segmenter, navigator, ground.outbox, flight, measures, clock, recorder.proof())
        kept = _Log(stopwatch_ns(), camera.frame_count or 0)
        tally = _fly(camera, pipeline, clock, recorder, kept)
        pipeline.finish()
        cracks, coverage = pipeline.map.cracks(), pipeline.map.coverage()
        recorder.cracks(cracks)
        recorder.coverage(coverage)
        recorder.mosaic(kept.mosaic.draw(cracks, coverage, pipeline.map.inventory.bends))
        told = ground.finish()
        received = _received(witness, 0 if told.trouble else tally.detections)
        judged = score(kept.features, camera.scene.cracks, kept.views)
        recorder.summary(
            {
                **summary(tally, segmenter, flight, f"synthetic, seed {job.seed}"),
                "delivered": told.delivered,
                "received": received,
                "first_detection_ms": kept.first_ms,
                "cracks": by_state(cracks),
                "truth": _truth(judged),
            }
        )
        _pictures(job, camera, kept, judged, received)
    if told.trouble:
        raise TryAgainError(told.trouble)
    delivery = f"{told.delivered} letters acknowledged by {broker.kind}, {received} detections received"
    wall_m2 = camera.scene.width_mm * camera.scene.height_mm / 1e6
    return _report(job, judged, tally, kept, _Told(cracks, coverage, wall_m2), delivery)


def _camera(job: Job, clock: ManualClock) -> SyntheticCamera:
    options = synthetic.Options(seed=job.seed, fps=job.fps, seconds=job.seconds, live=False)
    return synthetic.open_camera(options, clock)


def _navigator(job: Job, camera: SyntheticCamera, clock: ManualClock) -> Navigator:
    """The flight's log, written as an autopilot would have and read back as any replay's."""
    path = job.out / "nav.csv"
    try:
        write_nav_csv(path, nav_rows(camera.track, job.seconds, seed=job.seed, site=SITE))
    except OSError as error:
        raise full(job.out, error) from error
    return open_navigator(path, 0.0, clock)


def _mqtt(broker: Broker) -> dict[str, Any]:
    return {"protocol": "3.1.1" if broker.kind == "amqtt" else "5"}


def _fly(camera: SyntheticCamera, pipeline: Pipeline, clock: ManualClock, recorder: Recorder, kept: _Log) -> Tally:
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    # disable=None: a bar for a person at a terminal, none in a log file.
    with logging_redirect_tqdm(), tqdm(total=camera.frame_count, unit="frame", file=sys.stderr, disable=None) as bar:

        def see(outcome: Outcome) -> None:
            recorder.write(outcome, pipeline)
            kept.mosaic.see(outcome)
            _keep(camera, outcome, kept)
            bar.set_postfix(detections=pipeline.detections, refresh=False)
            bar.update()

        return fly(camera, pipeline, clock, see)


def _keep(camera: SyntheticCamera, outcome: Outcome, kept: _Log) -> None:
    frame = outcome.frame
    kept.views[frame.seq] = View(camera.surface_to_frame(frame), frame.width_px, frame.height_px)
    # The truth of a rendered bridge is its cracks: damage of another kind is flown and written, not judged.
    kept.features.extend(one for one in outcome.features if one["properties"]["crack"] is not None)
    if outcome.features and kept.first_ms is None:
        kept.first_ms = round((stopwatch_ns() - kept.begun_ns) / 1e6, 1)
        log.info("first detection after %.1f s", kept.first_ms / 1000)
    part = frame.seq * _SHEET[0] * _SHEET[1] // max(1, kept.frames)
    length_px = sum(damage.length_px for damage in outcome.damage if isinstance(damage, Crack))
    if part not in kept.thumbs or length_px > kept.thumbs[part][0]:
        small = cv2.resize(draw(outcome), _THUMB_PX, interpolation=cv2.INTER_AREA)
        kept.thumbs[part] = length_px, np.asarray(small, np.uint8)


def _received(witness: Witness, expected: int) -> int:
    """How many different detections the listener has; waits a little for the last ones."""
    clock, never = SystemClock(), threading.Event()
    deadline_ns = clock.monotonic_ns() + round(_ARRIVAL_S * 1e9)
    while True:
        count = len({json.loads(payload)["id"] for _, payload in witness.heard})
        if count >= expected or clock.monotonic_ns() >= deadline_ns:
            return count
        clock.wait(never, 0.05)


def _truth(judged: Score) -> list[dict[str, Any]]:
    """The score for summary.json, crack by crack."""
    return [
        {
            "crack": one.truth.id,
            "branch_of": one.truth.parent,
            "seen_mm": round(one.seen_mm, 1),
            "found_share": round(one.found_share, 4),
            "true_width_mm": round(one.true_width_mm, 3),
            "measured_width_mm": None if one.measured_mm is None else round(one.measured_mm[0], 3),
            "stated_width_mm": None if one.stated_mm is None else round(one.stated_mm[0], 3),
            "width_at_most_mm": None if one.at_most_mm is None else round(one.at_most_mm, 3),
            "detections": one.detections,
        }
        for one in judged.seen
    ]


def _pictures(job: Job, camera: SyntheticCamera, kept: _Log, judged: Score, received: int) -> None:
    found = sum(one.is_found for one in judged.seen)
    step_ns = 50_000_000
    last_ns = round((kept.frames - 1) / job.fps * 1e9)
    poses = [camera.track.pose_at(camera.track.start_ns + at) for at in range(0, last_ns + 1, step_ns)]
    flown = picture.Flown(
        score=judged,
        views=list(kept.views.values()),
        track_mm=np.array([[pose.x_mm, pose.y_mm] for pose in poses]),
        frame_to_surface={
            seq: np.asarray(np.linalg.inv(view.surface_to_frame), np.float64) for seq, view in kept.views.items()
        },
        title=f"spanhawk demo: {found} of {len(judged.seen)} cracks and branches found",
        subtitle=f"{job.seconds:g} s before a rendered girder: {kept.frames} frames, {received} detections over MQTT",
    )
    try:
        save_png(job.out / "bridge.png", np.ascontiguousarray(picture.draw(camera.scene, flown)[..., ::-1]))
        save_jpeg(job.out / "frames.jpg", _contact_sheet(kept))
    except OSError as error:
        raise full(job.out, error) from error


def _contact_sheet(kept: _Log) -> Thumb:
    """The frames that show most, in order of flight; BGR."""
    blank = np.full((_THUMB_PX[1], _THUMB_PX[0], 3), 250, np.uint8)
    parts = [kept.thumbs[part][1] if part in kept.thumbs else blank for part in range(_SHEET[0] * _SHEET[1])]
    rows = [np.hstack(parts[row * _SHEET[0] : (row + 1) * _SHEET[0]]) for row in range(_SHEET[1])]
    return np.asarray(np.vstack(rows), np.uint8)


@dataclass(frozen=True, slots=True)
class _Told:
    """What the flight told."""

    cracks: Sequence[Mapping[str, Any]]
    coverage: Mapping[str, Any]
    wall_m2: float


def _report(job: Job, judged: Score, tally: Tally, kept: _Log, told: _Told, delivery: str) -> str:
    first = "nothing detected" if kept.first_ms is None else f"first detection after {kept.first_ms / 1000:.1f} s"
    return "\n".join(
        [
            seen_of_wall(told.coverage, told.wall_m2),
            "",
            crack_table(told.cracks),
            said_of(told.cracks),
            "",
            "beside what is there:",
            *sums(judged, tally.suppressed),
            f"{tally.frames} frames in {tally.wall_s:.1f} s, {first}",
            f"over MQTT: {tally.detections} detections written down, {delivery}",
            f"look at {job.out / 'mosaic.png'} (cracks, coverage) and {job.out / 'bridge.png'} (found and missed)",
        ]
    )
