r"""The chain of SHA-256 over a flight's files: manifest.jsonl, schema ``spanhawk/manifest/1``.

One JSON object a line, its last key ``chain``. That is the SHA-256 (hex) of the chain of the line before, followed by
the line's own bytes up to ``,"chain"``: no line can be altered, moved, added or taken out without a break right there.
The kinds of lines:

=========== ==========================================================================================
begin       the first line: schema, flight_id, when, the number of the key that will sign, or null
segment     bytes ``from`` to ``to`` of a file that only grows, and their SHA-256
file        a whole file; of a file that is replaced while flying the last such line holds
interrupted the flight ended without a seal; what follows was noted at the next start
seal        the last line: nothing comes after it; ``key`` where it is another than at the beginning
=========== ==========================================================================================

A file that is replaced is noted before it is in place. ``never_in_place`` of ``interrupted`` or ``seal`` names those of
which the first writing did not get so far: they are not to be there. A ``file`` line with ``never_in_place`` true says
the same at once, where the disk takes it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from edge.support.disk import sync_file
from edge.support.waits import waiting

SCHEMA = "spanhawk/manifest/1"
NEWEST = 1
ORIGIN = "0" * 64
"""The chain before the first line."""
_LINE = re.compile(rb'(\{.*),"chain":"([0-9a-f]{64})"\}\n', re.DOTALL)
_COMPLETE = re.compile(rb'\{.*,"chain":"[0-9a-f]{64}"\}.', re.DOTALL)
CUT_OFF = "is cut off, as a power cut leaves it"
"""The trouble of a last line of which only the beginning is there."""
_LONGEST_LINE = 100_000
_SHA256 = re.compile(r"[0-9a-f]{64}")


def to_line(body: Mapping[str, Any], previous: str) -> tuple[bytes, str]:
    """One line of the manifest behind the chain ``previous``, and the chain with it."""
    start = json.dumps(body, separators=(",", ":"), allow_nan=False).encode()[:-1]
    chain = hashlib.sha256(previous.encode() + start).hexdigest()
    return start + f',"chain":"{chain}"}}\n'.encode(), chain


@dataclass(frozen=True, slots=True)
class Entry:
    """One line as it was read."""

    number: int
    """From 1."""
    start: int
    """Offset of its first byte."""
    end: int
    """Offset behind its last byte."""
    body: Mapping[str, Any] | None
    """None where the line is not one of ours, or the chain breaks at it."""
    trouble: str | None
    """Why ``body`` is None."""
    chain: str


def read_entries(path: Path) -> Iterator[Entry]:
    """Every line, one at a time; behind a break the chain goes on from what the broken line says. Raises OSError."""
    chain, number, start = ORIGIN, 0, 0
    with path.open("rb") as file:
        while line := file.readline(_LONGEST_LINE):
            number, end = number + 1, start + len(line)
            found = _LINE.fullmatch(line)
            if found is None:
                cut = not line.endswith(b"\n") and _COMPLETE.match(line) is None
                yield Entry(number, start, end, None, CUT_OFF if cut else "is not a line of a manifest", chain)
            else:
                said = found[2].decode()
                expected = hashlib.sha256(chain.encode() + found[1]).hexdigest()
                body = _body(found[1] + b"}")
                trouble = None
                if said != expected:
                    trouble = "the chain breaks here: it was changed, or lines before it were added or lost"
                elif body is None:
                    trouble = "is not a line of a manifest"
                chain = said
                yield Entry(number, start, end, None if trouble else body, trouble, chain)
            start = end


def _body(text: bytes) -> Mapping[str, Any] | None:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or not isinstance(body.get("kind"), str):
        return None
    if body["kind"] in ("segment", "file"):
        numbers = ("from", "to") if body["kind"] == "segment" else ("bytes",)
        sound = all(isinstance(body.get(key), int) and body[key] >= 0 for key in numbers)
        if not sound or not is_inside(body.get("file")) or not _SHA256.fullmatch(str(body.get("sha256"))):
            return None
    return body


def is_inside(name: object) -> bool:
    """True for the path of a file within a folder: relative, with ``/``, and without ``..``."""
    if not isinstance(name, str) or not name or "\x00" in name:
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and str(path) == name


@dataclass(slots=True)
class State:
    """What the lines of a manifest say together."""

    flight_id: str | None = None
    key: str | None = None
    """The number of the key that signs the sealed manifest; None: nobody signs it."""
    begun_key: str | None = None
    """The same as at the beginning; the key may be another one by the time an interrupted flight is sealed."""
    schema: str | None = None
    segments: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)
    """By file: from, to, SHA-256 of each range."""
    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    """By file: size in bytes and SHA-256 as last noted."""
    earlier: dict[str, str] = field(default_factory=dict)
    """By file that was replaced: the SHA-256 noted before the last."""
    interrupted: bool = False
    late: list[str] = field(default_factory=list)
    """Files that were noted only after an interruption, in whole or in part."""
    absent: set[str] = field(default_factory=set)
    """Files that were noted and never came into place."""
    sealed: bool = False

    def take(self, body: Mapping[str, Any]) -> str | None:
        """Add one line; returns what is wrong with it where it stands, or None."""
        if self.sealed:
            return "stands behind the seal"
        kind = body["kind"]
        if kind == "begin":
            if self.schema is not None:
                return "begins the manifest a second time"
            self.schema, self.flight_id, self.key = (body.get(key) for key in ("schema", "flight_id", "key"))
            self.begun_key = self.key
        elif self.schema is None:
            self.schema = ""  # reported once; the rest is still read
            return "stands before the beginning"
        elif kind == "segment":
            ranges = self.segments.get(body["file"], [])
            if body["from"] != (ranges[-1][1] if ranges else 0) or body["to"] < body["from"]:
                return f"leaves a gap in {body['file']}"
            self.segments.setdefault(body["file"], ranges).append((body["from"], body["to"], body["sha256"]))
        elif kind == "file" and body.get("never_in_place") is True:
            self.files.setdefault(body["file"], (body["bytes"], body["sha256"]))
            self.absent.add(body["file"])
        elif kind == "file":
            if body["file"] in self.files and body["file"] not in self.absent:
                self.earlier[body["file"]] = self.files[body["file"]][1]
            self.files[body["file"]] = body["bytes"], body["sha256"]
            self.absent.discard(body["file"])
        elif kind == "interrupted":
            self.interrupted = True
            self._never_in_place(body)
        elif kind == "seal":
            self.sealed = True
            self.key = body.get("key", self.key)
            self._never_in_place(body)
        else:
            return f"is of an unknown kind ({kind[:40]!r})"
        if self.interrupted and kind in ("segment", "file"):
            self.late.append(body["file"])
        return None

    def _never_in_place(self, body: Mapping[str, Any]) -> None:
        names = body.get("never_in_place")
        self.absent |= {name for name in (names if isinstance(names, list) else ()) if is_inside(name)}


class Manifest:
    """The writing side: notes lines behind each other in an open file."""

    def __init__(self, path: Path, chain: str = ORIGIN) -> None:
        """Opens ``path`` for more lines behind the one whose chain is ``chain``. Raises OSError."""
        self._file = path.open("ab", buffering=0)
        self._chain = chain

    def note(self, body: Mapping[str, Any]) -> None:
        """Write one line, whole or not at all. Raises OSError."""
        line, chain = to_line(body, self._chain)
        append(self._file, line)
        self._chain = chain

    def sync(self) -> None:
        """Wait until all lines are on the disk. Raises OSError."""
        sync_file(Path(self._file.name), self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def append(file: Any, data: bytes) -> None:
    """Write all of ``data`` at the end of an unbuffered file, or nothing. Raises OSError."""
    start, done = os.fstat(file.fileno()).st_size, 0
    try:
        with waiting(Path(file.name).parent):
            while done < len(data):
                done += file.write(data[done:]) or 0
    except OSError:
        file.truncate(start)
        raise
