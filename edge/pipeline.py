"""Frames in, letters out: segment, measure, locate, size, encode, write down.

Knows the rooms' protocols and no device, no thread, no sleep: the daemon, a replay and the demo all fly this.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge import evidence
from edge.cracks import Crack
from edge.detections import Detection
from edge.detections.coverage import coverage_document, frame_record
from edge.detections.cracks import crack_feature, crack_id, revision_id
from edge.detections.wire import detection_id, feature, to_bytes
from edge.evidence import Evidence
from edge.frames import Frame, Moment, sharpness
from edge.masks import Area, Mask, Segmenter
from edge.measurers import MEASURERS, Damage, Measured, Measurer, Measures
from edge.mqtt.topics import cracks_topic, detections_topic
from edge.navigation import Navigator, NavState, nowhere
from edge.outbox import Letter, Outbox
from edge.support.clock import Clock, stopwatch_ns
from edge.support.complaints import Complaints
from edge.support.errors import TryAgainError
from edge.surface import CrackSize, Place
from edge.surface.coverage import Coverage
from edge.surface.inventory import Inventory, Look
from edge.surface.place import Surveyor, View
from edge.surface.record import CrackState
from edge.surface.registration import Registered
from edge.surface.visibility import Motion, Seen, look

log = logging.getLogger(__name__)

# What a full disk could not take waits in memory: some minutes of a busy flight, at most about 20 MB.
MAX_UNSTORED = 5000


@dataclass(frozen=True, slots=True)
class Flight:
    """Who flies, and under which name this flight's detections are filed."""

    vehicle: str
    flight_id: str
    topic: str
    """Where detections go."""
    cracks_topic: str | None = None
    """Where the flight's cracks go, each under one name; None: every frame stands for itself."""
    named_in: str | None = None
    """The flight id under which its cracks are named, where an earlier run began them; None: ``flight_id``."""

    @classmethod
    def of(cls, vehicle: str, flight_id: str) -> Flight:
        """A flight under the topics of its vehicle. Raises ConfigError for a name that no topic may hold."""
        return cls(vehicle, flight_id, detections_topic(vehicle), cracks_topic(vehicle))


@dataclass(frozen=True, slots=True)
class Proof:
    """Where frames are kept as JPEG with EXIF GPS."""

    folder: Path
    min_free_bytes: int = 0
    """Less free disk than this and no more evidence is kept: the detections need the room."""
    every: bool = True
    """True: the frame of each detection, named after the flight; False: the best view of each crack, and the frame of
    each finding that no crack's name belongs to, named by ``seq`` alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of one frame."""

    frame: Frame
    mask: Mask
    measured: tuple[Measured, ...]
    """What is reported of each class, in the mask's order."""
    nav: NavState
    moment: Moment
    """When it was exposed."""
    described: tuple[dict[str, Any], ...]
    """A Feature for each of ``damage``, also where ``[report] detections`` does not send it: then its ``seq`` is 0."""
    features: tuple[dict[str, Any], ...]
    """Those that are published, in order of ``seq``, which has no gaps."""
    places: tuple[Place, ...]
    """Where each of ``damage`` is."""
    payloads: tuple[bytes, ...]
    """The same as they are published."""
    revisions: tuple[CrackState, ...]
    """The flight's cracks that this frame changed enough to be reported again."""
    seen: Seen
    """How narrow a crack the frame would have shown."""
    placed: Registered | None
    """Where the frame lies beside the others; None where the flight keeps no inventory of cracks."""
    record: dict[str, Any]
    """The frame's line of ``frames.jsonl``."""
    dropped_before: int
    """Frames the source had between the last processed one and this one."""
    stage_ms: Mapping[str, float]
    """Real milliseconds by stage: segment, trace, locate, encode, store."""
    evidence: Evidence | None = None
    """The frame's own picture; None where none was kept."""

    @property
    def damage(self) -> tuple[Damage, ...]:
        """What is reported, of all classes."""
        return tuple(one for found in self.measured for one in found.damage)

    @property
    def suppressed(self) -> Mapping[str, int]:
        """How many findings are not reported, by reason."""
        total: Counter[str] = Counter()
        for found in self.measured:
            total.update(found.suppressed)  # keeps the reasons that count 0
        return total

    @property
    def left_out(self) -> int:
        """How many pieces or branches of the mask were not measured because a cap was reached."""
        return sum(found.left_out for found in self.measured)

    def reported(self) -> npt.NDArray[np.bool_]:
        """Draw the pixels of what is reported, of all classes: bool (H, W), all False when nothing is."""
        drawn = self.measured[0].reported()
        for found in self.measured[1:]:
            drawn = drawn | found.reported()
        return drawn


class _Picture:
    """The frame's picture, made when somebody asks for it first, and never of a frame that shows nothing."""

    def __init__(self, keep: Callable[[], Evidence | None], wanted: bool) -> None:
        self._keep = keep
        self._wanted = wanted
        self.kept: Evidence | None = None

    def take(self) -> str | None:
        """Keep it unless it is kept; its SHA-256, or None where there is none."""
        if self._wanted:
            self._wanted = False
            self.kept = self._keep()
        return None if self.kept is None else self.kept.sha256


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
    ) -> None:
        """``proof`` None: no evidence is kept; ``inventory``: what an earlier run of this flight knew of its cracks."""
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
        # Names are for what has a course: the first class that is measured as lines.
        lines = [kind.name for kind in segmenter.classes if kind.measure == "line"]
        self._named_kind = lines[0] if lines and flight.cracks_topic is not None else None
        self.inventory = inventory or Inventory()
        """The flight's cracks."""
        if self.inventory.frame_name is not None:
            self._surveyor.go_on(self.inventory.frame_name)
        self._cracks_flight = flight.named_in or flight.flight_id
        self._coverage = Coverage()
        self._motion = Motion()
        self._facing = measures.scale.surface == "facing"
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
        measured = tuple(self._measurers[one.kind.name].measure(one) for one in mask.classes)
        times.append(stopwatch_ns())
        nav = self._navigator.at(frame.exposed_ns) if frame.time_known else nowhere(frame.exposed_ns)
        times.append(stopwatch_ns())
        moment = self._moment(frame)
        view = self._surveyor.look(nav, frame.width_px, frame.height_px, frame.pose)
        picture = _Picture(lambda: self._keep(frame, nav, moment), any(found.damage for found in measured))
        described, places, revisions, placed = self._describe(frame, mask, measured, nav, moment, view, picture)
        features = tuple(one for one in described if one["properties"]["seq"] > 0)
        seen = self._judge(frame, mask, view, placed)
        record = frame_record(frame, nav, moment, seen)
        letters = [self._letter(found) for found in features]
        letters += [self._crack_letter(state) for state in revisions]
        self._seq += len(features)  # only now: a frame that cannot be described or encoded leaves no gap
        times.append(stopwatch_ns())
        self._store(letters)
        times.append(stopwatch_ns())
        stages = ("segment", "trace", "locate", "encode", "store")
        took = {stage: (after - before) / 1e6 for stage, before, after in zip(stages, times, times[1:], strict=False)}
        payloads = tuple(letter.payload for letter in letters[: len(features)])
        return Outcome(
            frame, mask, measured, nav, moment, described, features, places, payloads, revisions,
            seen, placed, record, self._gap(frame), took, picture.kept,
        )  # fmt: skip

    def finish(self) -> None:
        """Write down what is not yet reported of the flight's cracks; call it once, when no frame follows."""
        self._store([self._crack_letter(state) for state in self.inventory.finish()])

    def cracks(self) -> list[dict[str, Any]]:
        """The flight's cracks as they are known now, as Features of ``spanhawk/crack/1``."""
        return [self._crack_feature(state) for state in self.inventory.all()]

    def store_again(self) -> bool:
        """Try to write down what a full disk refused earlier; True when nothing is left to write."""
        self._store([])
        return not self._unstored

    def _gap(self, frame: Frame) -> int:
        before, self._last_frame_seq = self._last_frame_seq, frame.seq
        return frame.seq if before is None else max(0, frame.seq - before - 1)

    def coverage(self) -> dict[str, Any]:
        """What the flight saw so far, and how well: a FeatureCollection of ``spanhawk/coverage/1``.

        Tens of milliseconds for a long flight: ask it now and then, and at the end.
        """
        return coverage_document(
            self._flight.vehicle, self._flight.flight_id, self._clock.utc(), self._coverage, self.inventory
        )

    def _judge(self, frame: Frame, mask: Mask, view: View, placed: Registered | None) -> Seen:
        """How well the frame shows what it shows; what the network looked at goes into the coverage."""
        size = frame.height_px, frame.width_px
        smear_px = self._motion.smear_px(
            placed, frame.exposed_ns, frame.exposure_us if frame.time_known else None, size
        )
        looks = sharpness.measure(frame.rgb, frame.tone)
        seen = look(looks, view, smear_px, size, facing=self._facing)
        if placed is not None:
            whole = (Area(0, frame.width_px, 0, frame.height_px),)
            quads = [
                np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)
                for x0, x1, y0, y1 in (
                    (area.left_px, area.right_px, area.top_px, area.bottom_px)
                    for area in (whole if mask.looked is None else mask.looked)
                )
            ]
            self._coverage.add(placed, size, quads, seen.kind)
        return seen

    def _describe(
        self,
        frame: Frame,
        mask: Mask,
        measured: tuple[Measured, ...],
        nav: NavState,
        moment: Moment,
        view: View,
        picture: _Picture,
    ) -> tuple[tuple[dict[str, Any], ...], tuple[Place, ...], tuple[CrackState, ...], Registered | None]:
        findings = [(found.kind, damage) for found in measured for damage in found.damage]
        if not findings and self._named_kind is None:
            return (), (), (), None
        if self._proof is not None and self._proof.every:
            picture.take()
        names, revisions, placed = self._recognise(frame, measured, moment, view, picture)
        if any(id(damage) not in names for _, damage in findings):
            picture.take()
        described, places, sent = [], [], 0
        for kind, damage in findings:
            is_sent = self._is_sent(kind, names.get(id(damage)), revisions)
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
                crack_id=names.get(id(damage)),
            )
            described.append(feature(detection))
        return tuple(described), tuple(places), revisions, placed

    def _recognise(
        self, frame: Frame, measured: tuple[Measured, ...], moment: Moment, view: View, picture: _Picture
    ) -> tuple[dict[int, str], tuple[CrackState, ...], Registered | None]:
        """The crack_id of each crack by the object's own ``id()``, the revisions that are due, the frame's place."""
        if self._named_kind is None:
            return {}, (), None
        found = next(one for one in measured if one.kind == self._named_kind)
        cracks = [one for one in (*found.damage, *found.held_back) if isinstance(one, Crack)]
        measurer = self._measurers[found.kind]
        sizes = [measurer.size(crack, view.plane) for crack in cracks]
        told = self.inventory.add(
            Look(
                frame_seq=frame.seq,
                frame_name=frame.name,
                seen_at=moment.at,
                rgb=frame.rgb,
                cracks=cracks,
                sizes=[size if isinstance(size, CrackSize) else None for size in sizes],
                view=view,
                picture=picture.take,
            )
        )
        names = {
            id(crack): crack_id(self._flight.vehicle, self._cracks_flight, number)
            for crack, number in zip(cracks, told.numbers, strict=True)
            if number is not None
        }
        return names, told.revisions, told.placed

    def _is_sent(self, kind: str, name: str | None, revisions: tuple[CrackState, ...]) -> bool:
        """Whether a detection goes out (``[report] detections``): of a kind without names each one does."""
        if self._detections == "all" or kind != self._named_kind:
            return True
        told = {crack_id(self._flight.vehicle, self._cracks_flight, one.number) for one in revisions}
        return self._detections == "new" and name in told

    def _crack_feature(self, state: CrackState) -> dict[str, Any]:
        assert self._named_kind is not None, "only a named class has an inventory"
        return crack_feature(self._flight.vehicle, self._cracks_flight, self._named_kind, state)

    def _crack_letter(self, state: CrackState) -> Letter:
        assert self._flight.cracks_topic is not None, "only a flight with that topic has an inventory"
        found = self._crack_feature(state)
        name = revision_id(str(found["id"]), state.revision)
        return Letter(name, self._flight.cracks_topic, to_bytes(found), self._clock.monotonic_ns())

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
            self._trouble(
                "evidence", f"no evidence is kept: {folder}: {error.strerror or error}; free disk space there"
            )
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
