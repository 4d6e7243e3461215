"""``spanhawk verify``: compares a flight folder with its manifest, and the manifest with its signature."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.flights import MANIFEST, SIGNATURE, Problem
from edge.flights.manifest import CUT_OFF, SCHEMA, State, read_entries
from edge.flights.reader import check_is_flight
from edge.flights.writer import digest_of, others
from edge.support import minisig
from edge.support.errors import UsageError


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found."""

    problems: tuple[Problem, ...]
    """Everything that was changed, added or lost; empty where nothing was."""
    state: State
    signed_by: str | None
    """Key number and file name of the trusted key that signed it; None: nobody whom this machine knows."""
    unknown_key: str | None
    """The number of the key that signed it where this machine does not know that key, so that nothing is proven."""

    @property
    def intact(self) -> bool:
        """True where nothing was changed, added or lost, and nothing is missing from the manifest."""
        return not self.problems and self.state.sealed


def verify(folder: Path, keys: Path) -> Verdict:
    """Check every byte of ``folder``; ``keys`` holds the public keys that are believed (``*.pub``).

    Raises UsageError for a path that is no flight's folder, for a manifest of a newer version, and for a flight that
    cannot be read, of which nothing can be said then; ConfigError for a key file that cannot be read.
    """
    try:
        return _compared(folder, keys)
    except PermissionError as error:
        raise UsageError(
            f"{error.filename or folder}: this user may not read it, so nothing was verified; run this as a member of "
            "the group that owns the flight (spanhawk on a drone), or with sudo"
        ) from error
    except OSError as error:
        raise UsageError(
            f"{error.filename or folder}: cannot be read ({error.strerror or error}), so nothing was verified; check "
            "the disk"
        ) from error


def _compared(folder: Path, keys: Path) -> Verdict:
    _size(folder / MANIFEST)  # PermissionError where not even that may be asked
    check_is_flight(folder)
    path = folder / MANIFEST
    if not path.is_file():
        why = "is lost, or this flight was made before there were manifests: nothing can be verified"
        return Verdict((Problem(MANIFEST, why),), State(), None, None)
    state, problems = _manifest(path)
    known = {*state.segments, *state.files}
    for name, ranges in state.segments.items():
        problems += _read(name, _growing(folder / name, name, ranges, sealed=state.sealed))
    for name, (size, sha256) in state.files.items():
        if name in state.absent:
            if _size(folder / name) is not None:
                problems.append(Problem(name, "was added: it never came into place in this flight"))
            continue
        problems += _read(name, _whole(folder / name, name, size, sha256))
    broken = " (or its line in the manifest was damaged)" if any(one.file == MANIFEST for one in problems) else ""
    if state.sealed or broken:
        problems += [Problem(name, f"was added{broken}") for name, _ in others(folder, known)]
    signed_by, unknown, wrong = _signature(folder, state, keys)
    return Verdict((*problems, *wrong), state, signed_by, unknown)


def _manifest(path: Path) -> tuple[State, list[Problem]]:
    state, problems = State(), []
    last = None
    for entry in read_entries(path):
        trouble = entry.trouble if entry.body is None else state.take(entry.body)
        if trouble == CUT_OFF:
            continue  # then there is no seal, and that is told
        if trouble is not None:
            last = entry.number
            problems.append(Problem(MANIFEST, f"line {entry.number}: {trouble}"))
        elif entry.body is not None and entry.body["kind"] == "begin" and state.schema != SCHEMA:
            raise UsageError(
                f"{path}: its schema is {state.schema!r}, this spanhawk reads {SCHEMA}; install a newer one"
            )
    if state.schema is None and last is None:
        problems.append(Problem(MANIFEST, "is empty"))
    return state, problems


def _growing(path: Path, name: str, ranges: list[tuple[int, int, str]], *, sealed: bool) -> Iterator[Problem]:
    size, end = _size(path), ranges[-1][1]
    if size is None:
        yield Problem(name, "was lost")
        return
    for start, to, sha256 in ranges:
        if start >= size and to > start:
            break
        if digest_of(path, start, to)[1] != sha256 and to <= size:
            yield Problem(name, f"was changed between byte {start} and byte {to}")
    if size < end:
        yield Problem(name, f"was cut: {end - size} of {end} bytes are lost")
    elif size > end and sealed:
        yield Problem(name, f"was changed: {size - end} bytes were added at its end")


def _whole(path: Path, name: str, size: int, sha256: str) -> Iterator[Problem]:
    there = _size(path)
    if there is None:
        yield Problem(name, "was lost")
    elif there != size:
        yield Problem(name, f"was changed: {there} bytes instead of {size}")
    elif digest_of(path)[1] != sha256:
        yield Problem(name, "was changed")


def _size(path: Path) -> int | None:
    """Of a plain file, in bytes; None where there is none, as where a link or a folder has its name. Raises OSError."""
    try:
        there = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return there.st_size if stat.S_ISREG(there.st_mode) else None


def _read(name: str, found: Iterator[Problem]) -> list[Problem]:
    """What was found of one file; that the disk does not give it is a problem too, and the others are still checked.

    Raises PermissionError for a file that this user may not read: that says nothing of the file.
    """
    problems: list[Problem] = []
    try:
        problems.extend(found)
    except PermissionError:
        raise
    except OSError as error:
        problems.append(Problem(name, f"cannot be read: {error.strerror or error}"))
    return problems


def _signature(folder: Path, state: State, keys: Path) -> tuple[str | None, str | None, list[Problem]]:
    """The trusted key that signed, or the number of an unknown one, and what is wrong."""
    path = folder / SIGNATURE
    if not path.is_file():
        lost = state.key is not None and state.sealed
        return None, None, [Problem(SIGNATURE, f"was lost: the manifest is signed by key {state.key}")] if lost else []
    content = path.read_bytes()
    try:
        made, number = minisig.signature(content)
    except ValueError as error:
        return None, None, [Problem(SIGNATURE, f"was changed: not a minisign signature ({error})")]
    if content != bytes(made) + b"\n" or not content.startswith(minisig.FIRST_LINE):
        return None, None, [Problem(SIGNATURE, "was changed: its words are not those of spanhawk")]
    if number != state.key:
        return None, None, [Problem(SIGNATURE, f"was changed: it is by key {number}, the manifest says {state.key}")]
    for file, key, key_number in minisig.public_keys(keys):
        if key_number == number:
            why = minisig.fits(key, (folder / MANIFEST).read_bytes(), made)
            if why is None:
                return f"{number} ({file})", None, []
            return None, None, [Problem(SIGNATURE, f"does not fit {MANIFEST} ({why}): one of them was changed")]
    return None, number, []
