"""``spanhawk run``: devices open in the order in which losing them hurts, frames move, the ground is informed.

Threads: capture (newest frame wins), inference (the main thread), navigation (its own reader), ground
(delivery, commands, status), network (the publisher's own). Each owns its object; only frames, states and letters
cross.
"""

from __future__ import annotations

import gc
import logging
import secrets
import signal
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from edge.daemon.badframes import BadFrames
from edge.daemon.control import Control, Switch
from edge.daemon.ground import Ground
from edge.daemon.meter import InHand, Meter, Noise
from edge.daemon.names import Names
from edge.daemon.notify import Systemd
from edge.daemon.opening import Opening
from edge.daemon.pilot import Pilot, pilot_of
from edge.daemon.record import FlightRecord
from edge.daemon.seen import SeenSoFar
from edge.daemon.snapshot import take_snapshot
from edge.daemon.status import FINEST_MM, Reporter, Sources
from edge.delivery import Delivery
from edge.detections import receipts
from edge.detections.wire import detection_id, mark_historical
from edge.frames import Frame
from edge.frames.newest import NewestFrame, opening_s
from edge.gallery.server import Gallery
from edge.gallery.shelf import Shelf
from edge.masks import Segmenter
from edge.mqtt import Publisher
from edge.mqtt.topics import replies_topic
from edge.navigation import Navigator
from edge.navigation.mavlink import MavlinkNavigator
from edge.outbox import LetterState, Outbox
from edge.outcome import Flight, Outcome
from edge.pipeline import Pipeline
from edge.settings import Settings, read
from edge.support.clock import Clock, SystemClock
from edge.support.errors import SpanhawkError, TryAgainError
from edge.support.waits import Waits, watch

log = logging.getLogger(__name__)

# How long the loop waits for a frame before it looks at the world again.
FRAME_WAIT_S = 0.5

# A disk may take so long for one write before systemd restarts us: cards that collect their garbage take half a minute.
MAX_DISK_WAIT_S = 120.0


def serve(path: Path) -> int:
    """Run with the configuration at ``path`` until SIGTERM or SIGINT; returns 0. Raises SpanhawkError."""
    stop = threading.Event()

    def ask_to_stop(number: int, _: FrameType | None) -> None:
        stop.set()  # nothing else: a handler that logs can run into the line being written

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    Service(read(path), SystemClock(), Systemd()).run(stop)
    log.info("stopped")
    return 0


class Service:
    """One run of the daemon, one flight."""

    def __init__(self, settings: Settings, clock: Clock, systemd: Systemd) -> None:
        self._settings = settings
        self._clock = clock
        self._systemd = systemd
        self._meter = Meter()
        outbox: Path | None = getattr(settings.outbox.options, "path", None)
        self._waits = Waits(untold=outbox)  # the outbox tells of its own disk
        self._in_hand = InHand(clock, lambda: self._waits.total_ns)
        self._noise = Noise()
        self._switch = Switch(flying=settings.flight.start_flying)
        self._flight = Flight.of(settings.vehicle, flight_id(clock))
        self._opening = Opening(settings, clock, self._flight.flight_id)
        self._newest: Outcome | None = None
        self._beat_ns = self._begun_ns = clock.monotonic_ns()
        self._bad_frames = BadFrames(clock)
        self._pilot: Pilot | None = None
        self._record: FlightRecord | None = None
        self._seen: SeenSoFar | None = None
        self._gallery: Gallery | None = None
        self._names = Names(None if outbox is None else outbox.with_suffix(".cracks"), settings.vehicle, clock)

    def run(self, stop: threading.Event) -> None:
        """Open everything, work until ``stop`` is set, close everything; what was recorded is kept."""
        watch(self._waits)
        with ExitStack() as stack:
            outbox: Outbox = stack.enter_context(self._opening.open("outbox", "open_outbox"))
            publisher = stack.enter_context(self._opening.publisher())
            try:
                navigator: Navigator = stack.enter_context(self._opening.open("navigation", "open_navigator"))
                segmenter: Segmenter = stack.enter_context(self._opening.open("masks", "open_segmenter"))
                self._record = FlightRecord(self._settings, self._flight, segmenter, self._clock)
                self._gallery = self._enter_gallery(stack)
            except SpanhawkError as error:
                self._opening.tell_why(publisher, error)
                raise
            pipeline = self._pipeline(segmenter, navigator, outbox, self._record, publisher)
            self._pilot = pilot_of(navigator, self._clock)
            camera = stack.enter_context(self._camera())
            self._seen = SeenSoFar(self._settings.vehicle, publisher, self._clock)
            ground = self._ground(publisher, outbox, pipeline, segmenter, navigator, camera)
            stack.enter_context(ground)
            self._systemd.ready(f"{self._flight.flight_id}: {segmenter.model} on {segmenter.runtime.accelerator}")
            self._fly(stop, camera, pipeline, ground)
            self._systemd.stopping()

    def _enter_gallery(self, stack: ExitStack) -> Gallery | None:
        """What serves the flights' pictures to the ground; None where the configuration wants none."""
        options, flight = self._settings.pictures, self._settings.flight
        if options.listen is None:
            return None
        shelf = Shelf(flight.folder_dir, flight.evidence_dir)
        return stack.enter_context(Gallery(options, shelf, self._clock, flying=lambda: self._switch.flying))

    def _camera(self) -> NewestFrame:
        open_s = opening_s(self._settings.camera.options)
        return NewestFrame(lambda: self._opening.open("camera", "open_camera"), self._clock, open_s=open_s)

    def _fly(self, stop: threading.Event, camera: NewestFrame, pipeline: Pipeline, ground: Ground) -> None:
        """The inference loop; a recording given as camera ends it."""
        # What is here now stays until the end; to search it for garbage takes some 15 ms, and may fall into a frame.
        gc.collect()
        gc.freeze()
        try:
            while not stop.is_set() and not camera.ended:
                frame = camera.take(FRAME_WAIT_S)
                if frame is None or not self._switch.flying:
                    pipeline.store_again()
                else:
                    self._process(frame, pipeline)
                    self._names.save(pipeline.map.inventory, self._flight.named_in or self._flight.flight_id)
                ground.check()
                self._hold_off_watchdog(camera, ground)
        finally:
            gc.unfreeze()
            pipeline.finish()
            if self._record is not None:
                self._record.finish(pipeline)
            self._names.save(pipeline.map.inventory, self._flight.named_in or self._flight.flight_id, now=True)
            if self._seen is not None:
                self._seen.tell(pipeline.map, now=True)
            if not pipeline.store_again():
                log.error("stopped with detections that a full disk did not take: %s", pipeline.storage_trouble)

    def _process(self, frame: Frame, pipeline: Pipeline) -> None:
        try:
            with self._in_hand:
                outcome = pipeline.process(frame)
            self._told(outcome, pipeline)
        except SpanhawkError:  # some are ValueErrors too, and mean the configuration, not the frame
            raise
        except Exception as error:  # noqa: BLE001 - whatever one picture does to OpenCV or us, the next is another
            self._bad_frames.see(frame, error)
            return
        self._bad_frames.well()

    def _told(self, outcome: Outcome, pipeline: Pipeline) -> None:
        """What a frame has shown, to all that follow the flight; its letters are on their way already."""
        self._newest = outcome
        self._noise.see(outcome.mask)
        self._meter.add(
            self._clock.monotonic_ns(),
            outcome.stage_ms,
            len(outcome.features),
            outcome.left_out,
            outcome.mask.looked_share,
            outcome.suppressed,
            outcome.mask.second_looks,
        )
        if self._record is not None:
            self._record.see(outcome, pipeline)
        if self._pilot is not None:
            self._pilot.see(outcome)
        if self._seen is not None:
            self._seen.tell(pipeline.map)

    def _hold_off_watchdog(self, camera: NewestFrame, ground: Ground) -> None:
        """Tell systemd we live, but only while frames move (or their absence is known) and the ground thread turns."""
        limit_s = self._systemd.watchdog_s
        now_ns = self._clock.monotonic_ns()
        if limit_s is None or now_ns - self._beat_ns < limit_s / 4 * 1e9:
            return
        last_ns = self._meter.read(now_ns).last_frame_ns
        moving = now_ns - (self._begun_ns if last_ns is None else last_ns) < (limit_s + camera.timeout_s) * 1e9
        if (moving or not self._switch.flying or camera.health() is not None) and ground.turning_within(limit_s):
            self._systemd.alive()
            self._beat_ns = now_ns

    def _pipeline(
        self,
        segmenter: Segmenter,
        navigator: Navigator,
        outbox: Outbox,
        record: FlightRecord,
        publisher: Publisher,
    ) -> Pipeline:
        earlier = self._names.read()
        if earlier is not None:
            self._flight = replace(self._flight, named_in=earlier.flight_id)
        inventory = None if earlier is None else earlier.inventory
        if inventory is not None:
            inventory.begin_pictures()
        measures, proof = self._settings.measures, record.proof()
        return Pipeline(
            segmenter, navigator, outbox, self._flight, measures, self._clock, proof, inventory, publisher.wake.set
        )

    def _ground(
        self,
        publisher: Publisher,
        outbox: Outbox,
        pipeline: Pipeline,
        segmenter: Segmenter,
        navigator: Navigator,
        camera: NewestFrame,
    ) -> Ground:
        vehicle = self._settings.vehicle
        read_receipt = partial(receipts.letter_ids, vehicle) if self._settings.confirm == "ground" else None
        delivery = Delivery(outbox, publisher, self._clock, late=mark_historical, receipts=read_receipt)
        complaints = (
            lambda: camera.health() if self._switch.flying else None,
            lambda: segmenter.degraded,
            self._in_hand.trouble,
            self._noise.trouble,
            navigator.health,
            outbox.health,
            self._waits.trouble,
            lambda: pipeline.storage_trouble,
            lambda: None if self._record is None else self._record.health(),
            lambda: None if self._gallery is None else self._gallery.health(),
            lambda: delivery.health() if _parked(outbox) else None,
            delivery.silence,
            lambda: publisher.shortcoming,
            self._bad_frames.trouble,
        )
        flight = self._settings.flight
        finest_mm = navigator.finest_mm if isinstance(navigator, MavlinkNavigator) else FINEST_MM
        sources = Sources(
            self._meter,
            lambda: camera.dropped,
            navigator,
            outbox,
            segmenter.runtime,
            flight,
            complaints,
            lambda: None if self._newest is None else self._newest.seen,
            finest_mm,
        )
        actions = {
            "start": self._switch.start,
            "stop": self._switch.stop,
            "snapshot": lambda: take_snapshot(self._newest, camera, flight, self._flight.flight_id, self._clock),
            "ping": lambda: {"flight_id": self._flight.flight_id, "flying": self._switch.flying},
            "flush": lambda: {"retried": delivery.retry()},
            "resend": lambda: {"retried": delivery.retry(confirmed=True)},
        }

        def resend(flight_id: str, seqs: Sequence[int]) -> Mapping[str, Any]:
            return {"retried": outbox.again([detection_id(vehicle, flight_id, seq) for seq in seqs])}

        return Ground(
            vehicle,
            publisher,
            delivery,
            Control(publisher, replies_topic(vehicle), actions, self._clock, resend=resend),
            Reporter(vehicle, self._flight.flight_id, sources, self._clock, confirm=self._settings.confirm),
            self._switch,
            self._systemd,
            self._clock,
            lambda: 0 < self._waits.now_s < MAX_DISK_WAIT_S,
        )


def _parked(outbox: Outbox) -> bool:
    try:
        return outbox.counts()[LetterState.PARKED] > 0
    except TryAgainError:  # the disk fails: outbox.health says so
        return False


def flight_id(clock: Clock) -> str:
    """A name no other flight has, even where the clock stands in 1970: the time and six random hex digits."""
    return f"{clock.utc():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
