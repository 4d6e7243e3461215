"""Letters out of a damaged outbox: one after the other by their number, so that one bad page hides only its own.

Reads only. What is damaged is found by trying: a row that SQLite cannot reach, or that is no letter, counts as lost. A
standing that cannot be read is taken as pending: sending a letter twice is told by its id, not sending it is not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from edge.outbox import Letter, LetterState, StoredLetter
from edge.outbox.schema import BUSY_S, stored
from edge.support.errors import TryAgainError

# Nothing of an earlier run's clock is of use.
_NO_RUN = 2**63 - 1
_NEXT = "SELECT {columns} FROM letter WHERE seq >= ? ORDER BY seq LIMIT 1"
_STANDING = "SELECT state, attempts, reason FROM standing WHERE seq = ?"


class Salvage:
    """What can still be read of the outbox file at ``path``, of either version; closed by leaving the ``with`` block.

    Raises TryAgainError where not even the list of its tables can be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lost = 0
        """Letters that ``letters`` could not read so far; an upper bound where numbers were not in use."""
        self._db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None)
        try:
            names = {row[1] for row in self._db.execute("PRAGMA table_info(letter)")}
            if not names:
                raise sqlite3.DatabaseError("no table of letters")
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise TryAgainError(
                f"{path}: nothing can be read of it ({error}): its first pages say where everything is; keep the file, "
                "and look for its detections in the flight's folder (detections.jsonl)"
            ) from error
        form = "packed" if "packed" in names else "0"
        self._within = "state" in names and "packed" not in names  # version 1
        own = "state, attempts, reason" if self._within else "0, 0, NULL"
        self._next = _NEXT.format(columns=f"seq, id, topic, {form}, payload, put_ns, {own}")

    def letters(self) -> Iterator[StoredLetter]:
        """The letters in the order they were put; ``put_ns`` is None."""
        seq, last = self._end("min", 1), self._end("max", 0)
        while True:
            try:
                row = self._db.execute(self._next, (seq,)).fetchone()
            except sqlite3.DatabaseError:
                row = ()
            if row is None:
                return
            found = self._letter(row) if row and isinstance(row[0], int) and row[0] >= seq else None
            if found is None:
                if seq > last:
                    return
                self.lost += 1
                seq += 1
                continue
            seq = row[0] + 1
            yield found

    def _letter(self, row: tuple[object, ...]) -> StoredLetter | None:
        seq, id, topic, form, payload, put_ns, *standing = row
        if not (isinstance(id, str) and isinstance(topic, str) and isinstance(payload, bytes) and id):
            return None
        if not self._within:
            standing = self._standing(seq)
        try:
            found = stored((seq, id, topic, form, payload, put_ns, *standing), _NO_RUN)
        except (ValueError, TypeError, IndexError):  # numbers and states that no outbox has written
            return None
        return found if found.letter.payload or not payload else None

    def _standing(self, seq: object) -> list[object]:
        try:
            row = self._db.execute(_STANDING, (seq,)).fetchone()
        except sqlite3.DatabaseError:
            row = None
        return [0, 0, None] if row is None else list(row)

    def _end(self, which: str, otherwise: int) -> int:
        """The first or last number in use; the file's own count where the end of the table is damaged."""
        questions = [f"SELECT {which}(seq) FROM letter"]
        if which == "max":
            questions += ["SELECT last_seq FROM store", "SELECT seq FROM sqlite_sequence WHERE name = 'letter'"]
        ends = []
        for question in questions:
            try:
                row = self._db.execute(question).fetchone()
            except sqlite3.DatabaseError:
                continue
            if row is not None and isinstance(row[0], int):
                ends.append(row[0])
        return max(ends, default=otherwise)

    def __enter__(self) -> Salvage:
        return self

    def __exit__(self, *ended: object) -> None:
        self._db.close()


def undelivered(salvage: Salvage) -> Iterator[Letter]:
    """Those whose delivery nobody has confirmed."""
    return (one.letter for one in salvage.letters() if one.state is not LetterState.CONFIRMED)
