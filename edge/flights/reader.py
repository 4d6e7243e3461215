"""Opens a flight folder of any origin, also a damaged one, and yields what is in it, piece by piece."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge.flights import (
    COVERAGE,
    CRACKS,
    DETECTIONS,
    FRAMES,
    MANIFEST,
    PHOTOS,
    REVIEW,
    REVIEW_SCHEMA,
    SETTINGS,
    SUMMARY,
    Problem,
)
from edge.support.errors import UsageError
from edge.support.strict_json import no_constant

Feature = dict[str, Any]

# What a line or a document may be; longer ones are damage (a path has at most some thousand points).
_LONGEST_LINE = 8_000_000
_MOST_PROBLEMS = 200
_VERSIONS: Mapping[str, int] = {"flight": 1, "detection": 2, "crack": 1, "review": 1, "coverage": 1, "frame": 1}
"""The newest version of each schema that is understood."""
_OLD_SUMMARY = "spanhawk/summary/1"
_SCHEMA = re.compile(r"spanhawk/([a-z]+)/(\d+)")


def check_is_flight(folder: Path) -> None:
    """Raises UsageError for a path that is no folder, or none that a flight has written to."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; give the folder that a flight, a replay or the demo wrote")
    known = (SUMMARY, DETECTIONS, CRACKS, FRAMES, MANIFEST)
    if not any((folder / name).is_file() for name in known):
        raise UsageError(
            f"{folder}: not a flight folder, it holds none of {', '.join(known)}; "
            "give the folder that a flight, a replay or the demo wrote"
        )


class FlightFolder:
    """The reading side. Files are opened when asked for; ``problems`` grows as they are read.

    Raises UsageError for a path that is no flight folder, and for anything that a newer spanhawk wrote.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._problems: dict[tuple[str, str], Problem] = {}
        self._more_problems = 0
        check_is_flight(folder)
        self.summary: dict[str, Any] = self._document(SUMMARY) or {}
        """summary.json; empty where it is missing or damaged."""
        self._photos_by_sha: dict[str, Path] | None = None

    @property
    def problems(self) -> list[Problem]:
        """What is missing or damaged, of all that was read so far; of very many the first."""
        found = list(self._problems.values())
        if self._more_problems:
            found.append(Problem(".", f"and {self._more_problems} more problems"))
        return found

    @property
    def flight_id(self) -> str | None:
        """The flight's name: from the summary, else from its first detection or crack; None where nothing says it."""
        return self._said("flight_id")

    @property
    def vehicle(self) -> str | None:
        """Which vehicle flew; None where nothing says it."""
        return self._said("vehicle")

    def detections(self) -> Iterator[Feature]:
        """Features of ``spanhawk/detection/2`` in order of flight, one at a time."""
        for feature in self._lines(DETECTIONS):
            if self._fits(DETECTIONS, feature.get("properties"), "detection"):
                yield feature

    def cracks(self) -> list[Feature]:
        """Features of ``spanhawk/crack/1``, the last revision of each."""
        found = self._document(CRACKS)
        features = None if found is None else found.get("features")
        if found is not None and not isinstance(features, list):
            self.report(CRACKS, "no FeatureCollection")
        return [
            one
            for one in (features if isinstance(features, list) else ())
            if self._fits(CRACKS, one.get("properties") if isinstance(one, dict) else None, "crack")
        ]

    def coverage(self) -> dict[str, Any] | None:
        """coverage.geojson as it stands: what was seen and what was not; None where it is not there."""
        document = self._document(COVERAGE)
        if document is not None:
            self._refuse_newer(COVERAGE, document.get("schema"))
        return document

    def frames(self) -> Iterator[dict[str, Any]]:
        """One object for each kept frame: position, attitude, footprint; one at a time."""
        for frame in self._lines(FRAMES):
            self._refuse_newer(FRAMES, frame.get("schema"))
            yield frame

    def settings(self) -> dict[str, Any] | None:
        """The configuration as flown; None where it is not there."""
        return self._document(SETTINGS)

    def reviews(self) -> dict[str, dict[str, Any]]:
        """By crack_id what a person said of it (review.json); empty where nobody did. A missing file is no problem."""
        if not (self.folder / REVIEW).exists():
            return {}
        document = self._document(REVIEW)
        if document is None:
            return {}
        listed = document.get("reviews")
        if document.get("schema") != REVIEW_SCHEMA or not isinstance(listed, list):
            self.report(REVIEW, f"not a {REVIEW_SCHEMA}")
            return {}
        if document.get("flight_id") not in (None, self.flight_id):
            self.report(REVIEW, f"is of another flight ({str(document['flight_id'])[:100]!r})")
            return {}
        sound = [one for one in listed if isinstance(one, dict) and isinstance(one.get("crack_id"), str)]
        if len(sound) < len(listed):
            self.report(REVIEW, f"{len(listed) - len(sound)} reviews without a crack_id are passed over")
        return {one["crack_id"]: one for one in sound}

    def photos(self) -> list[Path]:
        """The pictures in photos/, sorted by name, which is the order of flight."""
        return sorted(path for path in (self.folder / PHOTOS).glob("*.jpg") if path.is_file())

    def photo(self, sha256: str | None) -> Path | None:
        """The picture of that SHA-256 (a crack's ``best.evidence_sha256``, a detection's ``evidence.sha256``).

        None where none is named, or where it is gone or altered. The first call reads every picture once.
        """
        if sha256 is None:
            return None
        if self._photos_by_sha is None:
            self._photos_by_sha = {}
            for path in self.photos():
                try:
                    with path.open("rb") as file:
                        self._photos_by_sha[_digest(file)] = path
                except OSError as error:
                    self.report(f"{PHOTOS}/{path.name}", f"cannot be read ({error.strerror or error})")
        found = self._photos_by_sha.get(sha256)
        if found is None:
            self.report(PHOTOS, f"the picture with SHA-256 {sha256[:12]} is not there, or was altered")
        return found

    def report(self, file: str, what: str) -> None:
        """Add a problem that the one who reads met; the same one counts once."""
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems.setdefault((file, what), Problem(file, what))
        elif (file, what) not in self._problems:
            self._more_problems += 1

    def _said(self, key: str) -> str | None:
        if isinstance(self.summary.get(key), str):
            return str(self.summary[key])
        for features in (self.detections(), iter(self.cracks())):
            for feature in features:
                value = feature["properties"].get(key)
                if isinstance(value, str):
                    return value
                break
        return None

    def _document(self, name: str) -> dict[str, Any] | None:
        try:
            document = json.loads((self.folder / name).read_bytes(), parse_constant=no_constant)
        except FileNotFoundError:
            self.report(name, "is missing")
            return None
        except OSError as error:
            self.report(name, f"cannot be read ({error.strerror or error})")
            return None
        except (ValueError, RecursionError):
            self.report(name, "is damaged: not JSON")
            return None
        if not isinstance(document, dict):
            self.report(name, "is damaged: not a JSON object")
            return None
        if name == SUMMARY:
            self._refuse_newer(name, document.get("schema"))
        return document

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        try:
            file = (self.folder / name).open("rb")
        except FileNotFoundError:
            self.report(name, "is missing")
            return
        except OSError as error:
            self.report(name, f"cannot be read ({error.strerror or error})")
            return
        with file:
            number = 0
            while True:
                try:
                    line = file.readline(_LONGEST_LINE)
                except OSError as error:
                    self.report(name, f"cannot be read beyond line {number} ({error.strerror or error})")
                    return
                if not line:
                    return
                number += 1
                try:
                    found = json.loads(line, parse_constant=no_constant)
                except (ValueError, RecursionError):
                    found = None
                if isinstance(found, dict):
                    yield found
                elif not line.endswith(b"\n"):
                    self.report(name, f"its last line ({number}) is cut off, as a power cut leaves it")
                else:
                    self.report(name, f"line {number} is damaged and passed over")

    def _fits(self, name: str, properties: Any, kind: str) -> bool:
        if not isinstance(properties, dict):
            self.report(name, "holds something that is no Feature; it is passed over")
            return False
        schema = properties.get("schema")
        self._refuse_newer(name, schema)
        if schema == f"spanhawk/{kind}/{_VERSIONS[kind]}":
            return True
        self.report(name, f"holds {str(schema)[:60]!r}, which is no spanhawk/{kind}/{_VERSIONS[kind]}; passed over")
        return False

    def _refuse_newer(self, name: str, schema: Any) -> None:
        found = _SCHEMA.fullmatch(schema) if isinstance(schema, str) else None
        if found is None or schema == _OLD_SUMMARY:
            return
        newest = _VERSIONS.get(found[1])
        if newest is not None and int(found[2]) > newest:
            raise UsageError(
                f"{self.folder / name}: written by a newer spanhawk ({schema}; this one reads up to "
                f"spanhawk/{found[1]}/{newest}): install the newer version here"
            )


def _digest(file: Any) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()
