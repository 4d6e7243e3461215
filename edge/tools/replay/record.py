"""What a replay leaves behind: detections.jsonl, frames.jsonl, cracks.geojson, coverage.geojson, summary.json, and on
request masks, overlays and a mosaic."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.detections.cracks import collection
from edge.pipeline import Outcome
from edge.support.disk import write_whole
from edge.support.errors import TryAgainError, UsageError
from edge.tools.replay.overlay import draw


class Recorder:
    """Writes each frame's results as they come: an interrupted replay leaves every finished frame.

    What an earlier replay left in the folder goes first, so that no old mask stands beside new detections.
    """

    def __init__(self, folder: Path, *, masks: bool, overlays: bool) -> None:
        self._folder = folder
        self._masks = masks
        self._overlays = overlays
        self._lines: FileIO | None = None
        self._frames: FileIO | None = None
        self._seen = 0

    def __enter__(self) -> Recorder:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._clear()
            for wanted, name in ((self._masks, "masks"), (self._overlays, "overlays")):
                if wanted:
                    (self._folder / name).mkdir(exist_ok=True)
            # Unbuffered: what is written is written, and a line that did not fit can be taken back.
            self._lines = (self._folder / "detections.jsonl").open("wb", buffering=0)
            self._frames = (self._folder / "frames.jsonl").open("wb", buffering=0)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise full(self._folder, error) from error
            why = error.strerror or error
            raise UsageError(f"--out {self._folder}: cannot write there ({why}); name another folder") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (self._lines, self._frames):
            if file is not None:
                file.close()

    def _clear(self) -> None:
        """Remove what an earlier replay left; refuse a folder whose pictures are somebody else's."""
        ours = (self._folder / "detections.jsonl").exists()
        for wanted, name, kind in ((self._masks, "masks", "*.png"), (self._overlays, "overlays", "*.jpg")):
            if not ours and wanted and any((self._folder / name).glob("*")):
                raise UsageError(
                    f"--out {self._folder}: {name}/ there holds files that no replay wrote; name another folder"
                )
            for old in (self._folder / name).glob(kind) if ours else ():
                old.unlink()
        for old_file in ("summary.json", "cracks.geojson", "coverage.geojson", "frames.jsonl", "mosaic.png"):
            (self._folder / old_file).unlink(missing_ok=True)

    def write(self, outcome: Outcome) -> None:
        """Record one frame. Raises TryAgainError when the disk is full."""
        try:
            _append(self._lines, b"".join(payload + b"\n" for payload in outcome.payloads))
            if self._seen % thinning(self._seen) == 0:
                _append(self._frames, json.dumps(outcome.record, allow_nan=False).encode() + b"\n")
            self._seen += 1
            self._pictures(outcome)
        except OSError as error:
            raise full(self._folder, error) from error

    def cracks(self, features: Sequence[Mapping[str, Any]]) -> None:
        """Write cracks.geojson in one piece: the flight's cracks, each once. Raises TryAgainError on a full disk."""
        text = json.dumps(collection(features), ensure_ascii=False, allow_nan=False) + "\n"
        try:
            write_whole(self._folder / "cracks.geojson", text.encode())
        except OSError as error:
            raise full(self._folder, error) from error

    def coverage(self, document: Mapping[str, Any]) -> None:
        """Write coverage.geojson in one piece: what was seen, and how well. Raises TryAgainError on a full disk."""
        text = json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            write_whole(self._folder / "coverage.geojson", text.encode())
        except OSError as error:
            raise full(self._folder, error) from error

    def mosaic(self, picture: npt.NDArray[np.uint8] | None) -> None:
        """Write mosaic.png, BGR; None: there is nothing to draw. Raises TryAgainError on a full disk."""
        if picture is None:
            return
        try:
            save_png(self._folder / "mosaic.png", picture)
        except OSError as error:
            raise full(self._folder, error) from error

    def summary(self, document: Mapping[str, Any]) -> None:
        """Write summary.json in one piece. Raises TryAgainError when the disk is full."""
        text = json.dumps(document, indent=2, allow_nan=False) + "\n"
        try:
            write_whole(self._folder / "summary.json", text.encode())
        except OSError as error:
            raise full(self._folder, error) from error

    def _pictures(self, outcome: Outcome) -> None:
        name = outcome.frame.name or f"frame_{outcome.frame.seq:06d}"
        if self._masks:
            save_png(self._folder / "masks" / f"{name}.png", outcome.reported().astype(np.uint8) * 255)
        if self._overlays:
            save_jpeg(self._folder / "overlays" / f"{name}.jpg", draw(outcome))


FRAMES_IN_FULL = 20_000
"""So many frames have a line each in frames.jsonl; of as many again every second one has, and so on."""


def thinning(number: int) -> int:
    """Every how many frames one is written, at frame ``number`` from 0: a flight of any length stays readable."""
    return int(1 << (number // FRAMES_IN_FULL).bit_length())


def _append(file: FileIO | None, lines: bytes) -> None:
    """All of ``lines`` or none."""
    assert file is not None, "use the recorder in a with block"
    start, done = file.tell(), 0
    try:
        while done < len(lines):
            done += file.write(lines[done:]) or 0
    except OSError:
        file.truncate(start)
        raise


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
