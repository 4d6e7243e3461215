"""What a replay leaves behind: a flight folder, and on request masks, overlays and a mosaic."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.flights import COVERAGE, DETECTIONS, FRAMES, PHOTOS
from edge.flights.writer import FlightWriter, thinning
from edge.outcome import Outcome, Proof
from edge.pipeline import Pipeline
from edge.support.clock import Clock
from edge.support.disk import write_whole
from edge.support.errors import TryAgainError, UsageError
from edge.tools.replay.earlier import MOSAIC, clear
from edge.tools.replay.overlay import draw

log = logging.getLogger(__name__)


class Recorder:
    """Writes each frame's results as they come: an interrupted replay leaves every finished frame.

    What an earlier replay left in the folder goes first, so that no old mask stands beside new detections; a folder
    that holds anything else is refused.
    """

    def __init__(self, folder: Path, source: Path | None, *, masks: bool, overlays: bool) -> None:
        """``source``: what is replayed; None: nothing on disk."""
        self._folder = folder
        self._source = source
        self._drawn = drawn(masks, overlays)
        self._masks = masks
        self._overlays = overlays
        self._flight: FlightWriter | None = None
        self._seen = 0

    def __enter__(self) -> Recorder:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            clear(self._folder, self._source, self._drawn)
            for name in self._drawn:
                (self._folder / name).mkdir(exist_ok=True)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise full(self._folder, error) from error
            why = error.strerror or error
            raise UsageError(f"--out {self._folder}: cannot write there ({why}); name another folder") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._flight is None:
            return
        try:
            self._flight.seal(interrupted=error is not None)
        except OSError as trouble:
            if error is None:
                raise full(self._folder, trouble) from trouble
            log.error("%s: cannot be sealed (%s)", self._folder, trouble.strerror or trouble)

    def begin(self, clock: Clock, flight_id: str, settings: Mapping[str, Any]) -> None:
        """Begin the flight's own files. Raises TryAgainError when the disk is full."""
        try:
            self._flight = FlightWriter(self._folder, clock, flight_id)
            self._flight.append(DETECTIONS, b"")  # a flight that finds nothing leaves an empty file, not none
            self._flight.append(FRAMES, b"")
            self._flight.settings(settings)
        except OSError as error:
            raise full(self._folder, error) from error

    def proof(self) -> Proof:
        """Where the pipeline keeps pictures."""
        return Proof(self._folder / PHOTOS, every=False)

    @property
    def _writer(self) -> FlightWriter:
        assert self._flight is not None, "call begin() first"
        return self._flight

    def write(self, outcome: Outcome, pipeline: Pipeline) -> None:
        """Record one frame. Raises TryAgainError when the disk is full."""
        try:
            changed = bool(outcome.revisions)
            seen = outcome.frame.seq, outcome.moment.at
            self._writer.frame(outcome.payloads, outcome.evidence, *seen, changed=changed)
            if self._seen % thinning(self._seen) == 0:
                self._writer.append(FRAMES, json.dumps(outcome.record, allow_nan=False).encode() + b"\n")
            self._seen += 1
            if self._writer.cracks_due:
                self._writer.cracks(pipeline.map.cracks())
            self._pictures(outcome)
        except OSError as error:
            raise full(self._folder, error) from error

    def cracks(self, features: Sequence[Mapping[str, Any]]) -> None:
        """Write cracks.geojson in one piece: the flight's cracks, each once. Raises TryAgainError on a full disk."""
        try:
            self._writer.cracks(features)
        except OSError as error:
            raise full(self._folder, error) from error

    def coverage(self, document: Mapping[str, Any]) -> None:
        """Write coverage.geojson in one piece: what was seen, and how well. Raises TryAgainError on a full disk."""
        text = json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            self._writer.replace(COVERAGE, text.encode())
        except OSError as error:
            raise full(self._folder, error) from error

    def mosaic(self, picture: npt.NDArray[np.uint8] | None) -> None:
        """Write mosaic.png, BGR; None: there is nothing to draw. Raises TryAgainError on a full disk."""
        if picture is None:
            return
        try:
            save_png(self._folder / MOSAIC, picture)
        except OSError as error:
            raise full(self._folder, error) from error

    def summary(self, document: Mapping[str, Any]) -> None:
        """Write summary.json in one piece. Raises TryAgainError when the disk is full."""
        try:
            self._writer.summary(document)
        except OSError as error:
            raise full(self._folder, error) from error

    def _pictures(self, outcome: Outcome) -> None:
        name = outcome.frame.name or f"frame_{outcome.frame.seq:06d}"
        if self._masks:
            save_png(self._folder / "masks" / f"{name}.png", outcome.reported().astype(np.uint8) * 255)
        if self._overlays:
            save_jpeg(self._folder / "overlays" / f"{name}.jpg", draw(outcome))


def drawn(masks: bool, overlays: bool) -> tuple[str, ...]:
    """The folders of the pictures that are drawn on request."""
    return tuple(name for name, wanted in (("masks", masks), ("overlays", overlays)) if wanted)


def full(folder: Path, error: OSError) -> TryAgainError:
    """The error for a disk that takes no more."""
    return TryAgainError(f"{folder}: cannot write ({error.strerror or error}); what was written before is intact")


def save_png(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    """Write a grey or BGR picture as PNG. Raises OSError."""
    _save(path, ".png", picture, [])


def save_jpeg(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    """Write a BGR picture as JPEG. Raises OSError."""
    _save(path, ".jpg", picture, [_jpeg_quality(), 90])


def _save(path: Path, kind: str, picture: npt.NDArray[np.uint8], flags: list[int]) -> None:
    import cv2

    # cv2.imwrite only returns False on a full disk: encode here, write through the operating system.
    done, data = cv2.imencode(kind, picture, flags)
    if not done:
        raise OSError(f"OpenCV could not encode {path.name}")
    write_whole(path, data.tobytes(), durable=False)


def _jpeg_quality() -> int:
    import cv2

    return int(cv2.IMWRITE_JPEG_QUALITY)
