"""``spanhawk replay``: open the rooms, fly the recording, write the folder, deliver over MQTT where asked."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import math
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge import settings as configuration
from edge.flights.settings import settings_document
from edge.frames import Camera
from edge.masks import Segmenter
from edge.measurers import Measures
from edge.mqtt.address import parse_url
from edge.mqtt.topics import check_vehicle
from edge.navigation import Navigator
from edge.navigation.recorded import RecordedNavigator
from edge.outcome import Flight, Outcome
from edge.pipeline import Pipeline
from edge.support import backends
from edge.support.clock import Clock, ManualClock, SystemClock
from edge.support.errors import ConfigError, TryAgainError, UsageError
from edge.tools.replay.deliver import Delivering
from edge.tools.replay.earlier import check
from edge.tools.replay.fly import Tally, by_state, flight_name, fly, motion_said, said_of, summary
from edge.tools.replay.heard import Heard
from edge.tools.replay.mosaic import Mosaic
from edge.tools.replay.photos import PhotoNavigator
from edge.tools.replay.record import Recorder, drawn
from edge.tools.replay.source import Recording, find_recording, open_source

log = logging.getLogger(__name__)

# Of [masks]: what changes nothing in the masks, or is told apart by the model's own hash.
_NO_INGREDIENTS = ("threads", "bundle", "unsigned", "keys")

# Of [navigation]: what holds for a recorded flight as it does in the air.
_SHARED = ("mount", "limits", "system_id", "component_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the command line asked for."""

    source: Path
    out: Path
    nav: Path | None = None
    nav_offset_s: float = 0.0
    fps: float | None = None
    """Frames per second, before any time that the source itself gives; None: the source's own, else one image a
    second."""
    reduce: int = 1
    """Pictures are read at one so-many-th of their height and width: 1, 2, 4 or 8."""
    bundle: Path | None = None
    backend: str | None = None
    threads: int | None = None
    mqtt_url: str | None = None
    vehicle: str = "replay"
    masks: bool = False
    overlays: bool = False
    photos: bool = True
    """Keep the best view of each crack as a picture."""
    mosaic: bool = False
    config: Path | None = None
    """A daemon's configuration whose [masks], [cracks], [report], [scale], [place], [structure], [mqtt], camera mount
    and vehicle ids apply; None: the defaults."""

    def __post_init__(self) -> None:
        """Refuse what the command line cannot mean. Raises UsageError."""
        if not self.source.exists():
            raise UsageError(f"{self.source}: no such file or folder; give a folder of images, an image, or a video")
        if self.fps is not None and not 1e-6 <= self.fps <= 1e6:
            raise UsageError(f"--fps: got {self.fps}, needs a number from 0.000001 to 1000000")
        if self.nav is not None and not self.nav.is_file():
            raise UsageError(
                f"--nav {self.nav}: no such file; give a tlog, an NMEA log, CSV, a DJI .SRT or an AirData export"
            )
        if self.nav is None and self.nav_offset_s != 0:
            raise UsageError("--nav-offset moves the frames along a log; name the log with --nav")
        if not math.isfinite(self.nav_offset_s):
            raise UsageError(f"--nav-offset: got {self.nav_offset_s}, needs a number of seconds")
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"--threads: got {self.threads}, needs 1 or more")
        try:
            check_vehicle(self.vehicle)
        except ConfigError as error:
            raise UsageError(f"--{error}") from error


@dataclass(frozen=True, slots=True)
class Tables:
    """The parts of a daemon's configuration that a replay shares."""

    masks: dict[str, Any]
    navigation: dict[str, Any]
    mqtt: dict[str, Any]
    measures: Measures


def replay(job: Job) -> str:
    """Fly ``job``; returns one sentence on what came of it. Raises SpanhawkError."""
    tables = _tables(job)
    check(job.out, job.source, drawn(job.masks, job.overlays))  # before anything is opened, or written beside it
    recording = find_recording(job.source)
    clock = ManualClock(recording.recorded_at(), synced=False)
    with ExitStack() as stack:
        heard = stack.enter_context(Heard())
        camera = stack.enter_context(
            open_source(recording, job.fps, clock, timed=job.nav is not None, reduce=job.reduce)
        )
        photos = PhotoNavigator() if job.nav is None else None
        camera = camera if photos is None else photos.watch(camera)
        navigator = photos or stack.enter_context(open_navigator(job.nav, job.nav_offset_s, clock, tables.navigation))
        began_at = navigator.began_at if isinstance(navigator, RecordedNavigator) else None
        if began_at is not None:  # the log's own clock says more of the flight than the date of a file
            clock = ManualClock(began_at, synced=False)
        segmenter: Segmenter = stack.enter_context(
            backends.open_backend(
                "edge.masks", "open_segmenter", tables.masks, SystemClock(), where="masks", default="litert"
            )
        )
        flight = Flight.of(job.vehicle, _flight_id(job, recording, segmenter, tables))
        ground = stack.enter_context(Delivering(job.mqtt_url, job.out, flight, tables.mqtt))
        # Last: what an earlier replay left is only touched when this one can fly.
        recorder = stack.enter_context(Recorder(job.out, job.source, masks=job.masks, overlays=job.overlays))
        recorder.begin(clock, flight.flight_id, _as_flown(job, tables, segmenter))
        proof = recorder.proof() if job.photos else None
        pipeline = Pipeline(segmenter, navigator, ground.outbox, flight, tables.measures, clock, proof)
        mosaic = Mosaic() if job.mosaic else None
        tally = _fly(camera, pipeline, clock, recorder, mosaic)
        pipeline.finish()
        cracks, coverage = pipeline.map.cracks(), pipeline.map.coverage()
        recorder.cracks(cracks)
        recorder.coverage(coverage)
        recorder.mosaic(None if mosaic is None else mosaic.draw(cracks, coverage, pipeline.map.inventory.bends))
        told = ground.finish()
        if (trouble := navigator.health()) is not None:
            log.warning("%s", trouble)
        found = {**summary(tally, segmenter, flight, str(job.source)), "cracks": by_state(cracks)}
        more = {"not_read": _not_read(recording), "delivered": told.delivered, "warnings": heard.warnings()}
        recorder.summary({**found, **more})
    if tally.frames == 0:
        raise UsageError(f"{job.source}: {len(tally.skipped)} pictures, and none of them can be read")
    if told.trouble:
        raise TryAgainError(f"{_sentence(job, tally)}; {told.trouble}")
    return f"{_sentence(job, tally)}; {said_of(cracks)}"


def open_navigator(
    path: Path | None, offset_s: float, clock: Clock, configured: Mapping[str, Any] | None = None
) -> Navigator:
    """The navigator of a replay: the log at ``path``, or nowhere at all without one.

    ``configured`` is a daemon's [navigation] table: how the camera is mounted, whom to listen to and what is believed
    hold here too.
    """
    table: dict[str, Any] = {"backend": "fixed"}
    if path is not None:
        shared = {key: value for key, value in (configured or {}).items() if key in _SHARED}
        table = {"backend": "recorded", "path": str(path), "offset_s": offset_s, **shared}
    navigator: Navigator = backends.open_backend(
        "edge.navigation", "open_navigator", table, clock, where="navigation", default="fixed"
    )
    return navigator


def _tables(job: Job) -> Tables:
    """Configuration of the rooms, the command line's words over the file's. Raises ConfigError."""
    from edge.support import config

    if job.mqtt_url is not None:
        parse_url(job.mqtt_url)  # a slip of the pen is not found after a gigabyte of photos has been read
    table: dict[str, Any] = {}
    if job.config is not None:
        table = config.load(job.config)
        configuration.from_table(table, str(job.config))  # refuse what the daemon would refuse
    masks = dict(table.get("masks", {}))
    said = {"backend": job.backend, "bundle": None if job.bundle is None else str(job.bundle), "threads": job.threads}
    masks |= {key: value for key, value in said.items() if value is not None}
    if job.config is None and _asks_who_signed(masks):
        masks["unsigned"] = "allow"  # a look at one's own bundle on a workstation; with --config the drone's rule holds
    if masks.pop("budget_ms", None) is not None:
        # What a budget leaves out depends on the machine's speed; a replay gives the same detections each time.
        log.info("masks.budget_ms does not apply to a replay: every tile of every frame is looked at")
    return Tables(
        masks,
        dict(table.get("navigation", {})),
        dict(table.get("mqtt", {})),
        configuration.measures(table),
    )


def _asks_who_signed(masks: Mapping[str, Any]) -> bool:
    module = backends.find("edge.masks", masks.get("backend", "litert"), "open_segmenter", "masks.backend")
    return any(field.name == "unsigned" for field in dataclasses.fields(module.Options))


def _flight_id(job: Job, recording: Recording, segmenter: Segmenter, tables: Tables) -> str:
    nav = None if job.nav is None else hashlib.sha256(job.nav.read_bytes()).hexdigest()
    masks = sorted((key, value) for key, value in tables.masks.items() if key not in _NO_INGREDIENTS)
    mount = [(key, str(tables.navigation.get(key))) for key in _SHARED]
    ingredients = (
        segmenter.model,
        masks,
        *_ways(tables.measures, segmenter),
        nav,
        mount,
        job.nav_offset_s,
        job.fps,
        *([f"reduce {job.reduce}"] if job.reduce != 1 else []),
    )
    return flight_name(job.source.resolve().name, recording.content(), *ingredients)


def _ways(measures: Measures, segmenter: Segmenter) -> tuple[object, ...]:
    """What decides on the findings of this model, and nothing else: other tables leave the ids as they are."""
    areas = [measures.areas] if any(kind.measure == "area" for kind in segmenter.classes) else []
    return (measures.trace, measures.report, measures.scale, measures.place, measures.structure, *areas)


def _as_flown(job: Job, tables: Tables, segmenter: Segmenter) -> dict[str, Any]:
    """settings.json: what decided on the findings. The broker is left out: its address may hold a password."""
    command = {
        "source": str(job.source),
        "nav": None if job.nav is None else str(job.nav),
        "nav_offset_s": job.nav_offset_s,
        "fps": job.fps,
        "reduce": job.reduce,
        "config": None if job.config is None else str(job.config),
    }
    bundle = {"name": segmenter.model, "sha256": segmenter.sha256}
    return settings_document(command=command, measures=tables.measures, masks=tables.masks, bundle=bundle)


def _fly(camera: Camera, pipeline: Pipeline, clock: ManualClock, recorder: Recorder, mosaic: Mosaic | None) -> Tally:
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    # disable=None: a bar for a person at a terminal, none in a log file.
    with logging_redirect_tqdm(), tqdm(total=camera.frame_count, unit="frame", file=sys.stderr, disable=None) as bar:

        def see(outcome: Outcome) -> None:
            recorder.write(outcome, pipeline)
            if mosaic is not None:
                mosaic.see(outcome)
            bar.set_postfix(detections=pipeline.detections, refresh=False)
            bar.update()

        return fly(camera, pipeline, clock, see)


def _not_read(recording: Recording) -> dict[str, Any]:
    """Of summary.json: what lies beside the pictures and was not looked at."""
    return {"files": dict(recording.listing.other_kinds), "folders": list(recording.listing.folders)}


def _sentence(job: Job, tally: Tally) -> str:
    skipped = f", {len(tally.skipped)} unreadable and skipped" if tally.skipped else ""
    left_out = f"; {tally.left_out} pieces above the caps of [cracks] were not traced" if tally.left_out else ""
    return (
        f"{tally.frames} frames{skipped}: {tally.detections} detections in {tally.frames_with_cracks} frames, "
        f"{tally.wall_s:.1f} s; written to {job.out}{left_out}{motion_said(tally)}{_unplaced(tally)}"
    )


def _unplaced(tally: Tally) -> str:
    """Why places are missing, each reason once; nothing where none is."""
    if not tally.unplaced:
        return ""
    reasons = "; ".join(f"{reason} ({count})" for reason, count in tally.unplaced.most_common())
    return f"; {sum(tally.unplaced.values())} detections have no place on the surface: {reasons}"
