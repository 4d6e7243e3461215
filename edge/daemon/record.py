"""The daemon's flight folder: begun with the first frame, never in the way of the flight."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge import __version__, evidence
from edge.detections.wire import rfc3339
from edge.flights import COVERAGE, DETECTIONS, FRAMES, PHOTOS, SCHEMA
from edge.flights.resume import seal_all
from edge.flights.settings import settings_document
from edge.flights.writer import FlightWriter, thinning
from edge.masks import Segmenter
from edge.outcome import Flight, Outcome, Proof
from edge.pipeline import Pipeline
from edge.settings import ROOMS, Settings
from edge.support.clock import Clock
from edge.support.complaints import Complaints
from edge.support.disk import advice
from edge.support.minisig import Signer

log = logging.getLogger(__name__)

_MB = 1_000_000


class FlightRecord:
    """Writes the folder of one flight; a disk that fails costs the folder, not the flight, and is told on status."""

    def __init__(self, settings: Settings, flight: Flight, segmenter: Segmenter, clock: Clock) -> None:
        """Seals what earlier flights left open. Raises ConfigError for a key that cannot sign."""
        options = settings.flight
        self._root = options.folder_dir
        self._settings = settings
        self._flight = flight
        self._segmenter = segmenter
        self._clock = clock
        self._signer = None if options.sign_key is None else Signer(options.sign_key, "flight.sign_key")
        self._writer: FlightWriter | None = None
        self._frames = self._detections = self._missed = self._recorded = 0
        self._began_at = clock.utc()
        self._trouble: str | None = None
        self._complaints = Complaints(log, clock)
        for sentence in () if self._root is None else seal_all(self._root, clock, self._signer):
            log.warning("%s", sentence)

    @property
    def folder(self) -> Path | None:
        """Of this flight; None where none is written."""
        return None if self._root is None else self._root / self._flight.flight_id

    def proof(self) -> Proof | None:
        """Where the pipeline keeps pictures; None where nowhere."""
        options = self._settings.flight
        room = options.min_free_mb * _MB
        if options.evidence_dir is not None:
            return Proof(options.evidence_dir, room)
        return None if self.folder is None else Proof(self.folder / PHOTOS, room, every=False)

    def health(self) -> str | None:
        """One sentence on why the folder is not complete; None when it is."""
        return self._trouble

    def see(self, outcome: Outcome, pipeline: Pipeline) -> None:
        """Record one frame, or say on status why not."""
        self._frames += 1
        self._detections += len(outcome.features)
        self._try(lambda writer: self._record(writer, outcome, pipeline))

    def finish(self, pipeline: Pipeline) -> None:
        """Write what is known at the end, and seal."""
        if self._writer is None:
            return
        self._try(lambda writer: writer.cracks(pipeline.map.cracks()))
        self._try(lambda writer: writer.document(COVERAGE, pipeline.map.coverage()))
        self._try(lambda writer: writer.summary(self._summary(ended=True)))
        self._try(lambda writer: writer.seal())

    def _record(self, writer: FlightWriter, outcome: Outcome, pipeline: Pipeline) -> None:
        seen = outcome.frame.seq, outcome.moment.at
        picture = None if self._settings.flight.evidence_dir is not None else outcome.evidence
        writer.frame(outcome.payloads, picture, *seen, changed=bool(outcome.revisions))
        if self._recorded % thinning(self._recorded) == 0:
            writer.append(FRAMES, json.dumps(outcome.record, allow_nan=False).encode() + b"\n")
        self._recorded += 1
        if writer.cracks_due:  # a power cut leaves both as they were then
            writer.document(COVERAGE, pipeline.map.coverage())
            writer.cracks(pipeline.map.cracks())

    def _try(self, act: Callable[[FlightWriter], None]) -> None:
        if self._root is None:
            return
        try:
            # Pictures stop first, at min_free_mb; what is left is for detections on their way to the ground.
            evidence.check_room(self._root, self._settings.flight.min_free_mb * _MB // 2)
            act(self._begun())
        except OSError as error:
            self._incomplete(f"({error.strerror or error}); {advice(error)}")
        except Exception as error:  # noqa: BLE001 - whatever a record meets, the flight is worth more than its record
            self._incomplete(f"({type(error).__name__}: {error})", error)

    def _incomplete(self, why: str, error: Exception | None = None) -> None:
        self._missed += 1
        self._trouble = f"the flight folder {self.folder} is not complete {why}"
        self._complaints.warn("folder", self._trouble, error=error)

    def _begun(self) -> FlightWriter:
        if self._writer is None:
            assert self.folder is not None, "only a flight with a folder writes"
            self._writer = FlightWriter(self.folder, self._clock, self._flight.flight_id, self._signer)
            self._writer.append(DETECTIONS, b"")
            self._writer.append(FRAMES, b"")
            self._writer.settings(self._as_flown())
            self._writer.summary(self._summary(ended=False))
        return self._writer

    def _as_flown(self) -> dict[str, Any]:
        settings = self._settings
        rooms: Mapping[str, Any] = {name: getattr(settings, name).options for name in ROOMS}
        bundle = {"name": self._segmenter.model, "sha256": self._segmenter.sha256}
        return settings_document(
            vehicle=settings.vehicle, flight=settings.flight, measures=settings.measures, bundle=bundle, **rooms
        )

    def _summary(self, *, ended: bool) -> dict[str, Any]:
        runtime = self._segmenter.runtime
        return {
            "schema": SCHEMA,
            "vehicle": self._flight.vehicle,
            "spanhawk": __version__,
            "flight_id": self._flight.flight_id,
            "began_at": rfc3339(self._began_at),
            "ended_at": rfc3339(self._clock.utc()) if ended else None,
            "clock_synced": self._clock.synced(),
            "frames": self._frames if ended else None,
            "detections": self._detections if ended else None,
            "frames_not_recorded": self._missed if ended else None,
            "bundle": self._segmenter.model,
            "bundle_sha256": self._segmenter.sha256,
            "backend": runtime.backend,
            "accelerator": runtime.accelerator,
        }
