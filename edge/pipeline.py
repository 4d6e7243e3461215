"""Frames in, letters out: segment, measure, locate, size, encode, write down.

Knows the rooms' protocols and no device, no thread, no sleep: the daemon, a replay and the demo all fly this.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from edge import evidence
from edge.detections import Detection
from edge.detections.coverage import frame_record
from edge.detections.wire import detection_id, feature, to_bytes
from edge.evidence import Evidence
from edge.flightmap import FlightMap, Laid, Recognised
from edge.frames import Frame, Moment
from edge.masks import Mask, Segmenter
from edge.measurers import MEASURERS, Measured, Measurer, Measures
from edge.navigation import Navigator, NavState, nowhere
from edge.outbox import Letter, Outbox
from edge.outcome import Flight, Outcome, Picture, Proof
from edge.support.clock import Clock, stopwatch_ns
from edge.support.complaints import Complaints
from edge.support.disk import advice
from edge.support.errors import TryAgainError
from edge.surface import Place
from edge.surface.inventory import Inventory
from edge.surface.place import Surveyor, View

log = logging.getLogger(__name__)

# What a full disk could not take waits in memory: some minutes of a busy flight, at most about 20 MB.
MAX_UNSTORED = 5000


class Pipeline:
    """Processes frames one by one; used by one thread."""

    def __init__(
        self,
        segmenter: Segmenter,
        navigator: Navigator,
        outbox: Outbox,
        flight: Flight,
        measures: Measures,
        clock: Clock,
        proof: Proof | None = None,
        inventory: Inventory | None = None,
        stored: Callable[[], object] = lambda: None,
    ) -> None:
        """``proof`` None: no evidence is kept; ``inventory``: what an earlier run of this flight knew of its cracks;
        ``stored`` is called as soon as new letters are in the outbox."""
        self._segmenter = segmenter
        self._navigator = navigator
        self._outbox = outbox
        self._flight = flight
        # By class, found by the card's word for how it is measured: what a class is called means nothing here.
        self._measurers: dict[str, Measurer] = {
            kind.name: MEASURERS[kind.measure](measures) for kind in segmenter.classes
        }
        self._surveyor = Surveyor(measures.scale, measures.place, measures.structure)
        self._detections = measures.report.detections
        self._focal_mm = measures.scale.focal_length_mm
        self._proof = proof
        self._clock = clock
        self._stored = stored
        # Names are for what has a course: the first class that is measured as lines.
        lines = [kind.name for kind in segmenter.classes if kind.measure == "line"]
        named = lines[0] if lines and flight.cracks_topic is not None else None
        inventory = inventory or Inventory()
        if inventory.frame_name is not None:
            self._surveyor.go_on(inventory.frame_name)
        self.map = FlightMap(flight, named, inventory, clock, facing=measures.scale.surface == "facing")
        """What the flight knows beyond this frame."""
        self._seq = 0
        self._last_frame_seq: int | None = None
        self._unstored: deque[list[Letter]] = deque()
        self._lost = 0
        self._troubles: dict[str, str] = {}
        self._complaints = Complaints(log, clock)

    @property
    def storage_trouble(self) -> str | None:
        """Why the newest detections, or their evidence, are not on disk; None when all is."""
        return "; ".join(self._troubles.values()) or None

    @property
    def detections(self) -> int:
        """How many detections this flight has made."""
        return self._seq

    def process(self, frame: Frame) -> Outcome:
        """Do everything for one frame; on return its detections are on disk, or ``storage_trouble`` says why not.

        Raises DeviceError when the accelerator is gone.
        """
        times = [stopwatch_ns()]
        mask = self._segmenter.segment(frame)
        times.append(stopwatch_ns())
        nav = self._navigator.at(frame.exposed_ns) if frame.time_known else nowhere(frame.exposed_ns)
        view = self._surveyor.look(nav, frame.width_px, frame.height_px, frame.pose)
        laid = self.map.lay(frame, view)  # before widths are read: these depend on how the frame moved
        if self.map.kind is not None and (apart := view.why_apart(self.map.inventory.frame_name)) is not None:
            self._complaints.warn("apart", apart)
        times.append(stopwatch_ns())
        measured = tuple(self._measurers[one.kind.name].measure(one, laid.smear) for one in mask.classes)
        times.append(stopwatch_ns())
        moment = self._moment(frame)
        picture = Picture(lambda: self._keep(frame, nav, moment), any(found.damage for found in measured))
        recognised = self._recognise(frame, measured, moment, view, picture, laid)
        described, places = self._describe(frame, mask, measured, nav, moment, view, picture, recognised)
        features = tuple(one for one in described if one["properties"]["seq"] > 0)
        letters = [self._letter(found) for found in features]
        letters += [self.map.letter(state) for state in recognised.revisions]
        self._seq += len(features)  # only now: a frame that cannot be described or encoded leaves no gap
        times.append(stopwatch_ns())
        self._store(letters)
        times.append(stopwatch_ns())
        # Only now: no letter needs it, and each is the sooner on its way.
        seen = self.map.judge(frame, mask, view, laid)
        record = frame_record(frame, nav, moment, seen)
        times.append(stopwatch_ns())
        stages = ("segment", "locate", "trace", "encode", "store", "judge")
        took = {stage: (after - before) / 1e6 for stage, before, after in zip(stages, times, times[1:], strict=False)}
        payloads = tuple(letter.payload for letter in letters[: len(features)])
        return Outcome(
            frame, mask, measured, nav, moment, described, features, places, payloads, recognised.revisions,
            seen, laid.placed, record, self._gap(frame), took, picture.kept,
        )  # fmt: skip

    def finish(self) -> None:
        """Write down what is not yet reported of the flight's cracks; call it once, when no frame follows."""
        self._store(self.map.finish())

    def store_again(self) -> bool:
        """Try to write down what a full disk refused earlier; True when nothing is left to write."""
        self._store([])
        return not self._unstored

    def _gap(self, frame: Frame) -> int:
        before, self._last_frame_seq = self._last_frame_seq, frame.seq
        return frame.seq if before is None else max(0, frame.seq - before - 1)

    def _recognise(
        self, frame: Frame, measured: tuple[Measured, ...], moment: Moment, view: View, picture: Picture, laid: Laid
    ) -> Recognised:
        """Name the frame's cracks, and keep its picture where something needs it as proof."""
        if self._proof is not None and self._proof.every:
            picture.take()
        recognised = Recognised({}, ())
        for found in measured:
            if found.kind == self.map.kind:
                measurer = self._measurers[found.kind]
                recognised = self.map.recognise(frame, found, measurer, moment, view, picture, laid)
        if any(id(damage) not in recognised.names for found in measured for damage in found.damage):
            picture.take()  # no crack's best view will prove it
        return recognised

    def _describe(
        self,
        frame: Frame,
        mask: Mask,
        measured: tuple[Measured, ...],
        nav: NavState,
        moment: Moment,
        view: View,
        picture: Picture,
        recognised: Recognised,
    ) -> tuple[tuple[dict[str, Any], ...], tuple[Place, ...]]:
        """A Feature for each finding, and its place."""
        findings = [(found.kind, damage) for found in measured for damage in found.damage]
        described, places, sent = [], [], 0
        for kind, damage in findings:
            name = recognised.names.get(id(damage))
            is_sent = self._is_sent(name, recognised)
            sent += is_sent
            seq = self._seq + sent if is_sent else 0
            measurer = self._measurers[kind]
            places.append(view.place_of(measurer.middle_px(damage)))
            detection = Detection(
                id=detection_id(self._flight.vehicle, self._flight.flight_id, seq),
                vehicle=self._flight.vehicle,
                flight_id=self._flight.flight_id,
                seq=seq,
                seen_at=moment.at,
                clock_synced=moment.synced,
                frame_seq=frame.seq,
                frame_name=frame.name,
                frame_width_px=frame.width_px,
                frame_height_px=frame.height_px,
                kind=kind,
                damage=damage,
                nav=nav,
                size=measurer.size(damage, view.plane),
                place=places[-1],
                model=mask.model,
                model_sha256=self._segmenter.sha256,
                evidence=picture.kept,
                crack_id=name,
            )
            described.append(feature(detection))
        return tuple(described), tuple(places)

    def _is_sent(self, name: str | None, recognised: Recognised) -> bool:
        """Whether a detection goes out (``[report] detections``). One without a name does: nothing else reports it."""
        if self._detections == "all" or name is None:
            return True
        return self._detections == "new" and self.map.is_news(name, recognised)

    def _moment(self, frame: Frame) -> Moment:
        """UTC of the exposure: the satellites' own time first, then the picture's, then this machine's clock."""
        satellites = self._navigator.utc_at(frame.exposed_ns) if frame.time_known else None
        if satellites is not None:
            return Moment(satellites, synced=True, by_satellites=True)
        if frame.taken_at is not None:
            return Moment(frame.taken_at, synced=False)
        behind_ns = self._clock.monotonic_ns() - frame.exposed_ns
        return Moment(self._clock.utc() - timedelta(microseconds=behind_ns / 1000), synced=self._clock.synced())

    def _keep(self, frame: Frame, nav: NavState, moment: Moment) -> Evidence | None:
        if self._proof is None:
            return None
        folder = self._proof.folder
        name = f"{frame.seq:08d}.jpg"
        if self._proof.every:  # one folder for many flights
            name = f"{self._flight.flight_id}-{name}"
        try:
            evidence.check_room(folder, self._proof.min_free_bytes)
            lens = self._surveyor.lens(frame.width_px, frame.height_px, frame.pose)
            kept = evidence.save(frame, nav, moment, folder, name, lens, self._focal_mm)
        except OSError as error:  # the detection matters more than its picture
            self._trouble("evidence", f"no evidence is kept: {folder}: {error.strerror or error}; {advice(error)}")
            return None
        self._troubles.pop("evidence", None)
        return kept

    def _letter(self, found: dict[str, Any]) -> Letter:
        return Letter(str(found["id"]), self._flight.topic, to_bytes(found), self._clock.monotonic_ns())

    def _store(self, letters: list[Letter]) -> None:
        """Write down what a full disk refused before and then the new letters, one transaction per frame."""
        if letters:
            self._unstored.append(letters)
        try:
            while self._unstored:
                self._outbox.put(self._unstored[0])
                self._unstored.popleft()
                self._stored()
        except TryAgainError as error:
            while sum(map(len, self._unstored)) > MAX_UNSTORED:
                self._lost += len(self._unstored.popleft())
            lost = f"; {self._lost} oldest given up" if self._lost else ""
            waiting = sum(map(len, self._unstored))
            self._trouble("outbox", f"{error} ({waiting} detections wait in memory{lost})")
        else:
            self._troubles.pop("outbox", None)

    def _trouble(self, what: str, sentence: str) -> None:
        self._complaints.warn(what, sentence)
        self._troubles[what] = sentence
