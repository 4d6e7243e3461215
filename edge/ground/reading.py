"""What a reader asks of a store, in the SQL that both databases understand: one set of questions for two backends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from edge.ground import (
    CoverageRow,
    CrackRow,
    DetectionRow,
    FlightRow,
    Query,
    Ranges,
    RefusedRow,
    StateRow,
    as_ranges,
)
from edge.ground import rows as of

_TABLES = (("detections", "detection"), ("cracks", "crack"), ("flights", "flight"), ("refused", "refused"))


class Reading(ABC):
    """The methods of ``Reader``; a backend says how it asks, and how its tables and parameters differ."""

    _mark: ClassVar[str] = "?"
    """The mark of a parameter."""
    _same_day: ClassVar[str] = ""
    """What joins a detection to its flight beside the flight's number."""

    @abstractmethod
    def _ask(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows that answer ``text``, whose parameters are marked with ``_mark``. Raises TryAgainError."""

    def flights(self) -> list[FlightRow]:
        """Every flight, the newest first."""
        return [of.flight(row) for row in self._ask(of.FLIGHTS.format(same_day=self._same_day))]

    def states(self) -> list[StateRow]:
        """The newest status and the newest telemetry of each vehicle."""
        return [of.state(row) for row in self._ask(of.STATES)]

    def detections(self, query: Query) -> list[DetectionRow]:
        """Those that ``query`` asks for."""
        return [of.detection(row) for row in self._ask(*of.select("detections", query, self._mark, self._same_day))]

    def cracks(self, query: Query) -> list[CrackRow]:
        """The last revision of each crack that ``query`` asks for."""
        return [of.crack(row) for row in self._ask(*of.select("cracks", query, self._mark, self._same_day))]

    def detection(self, id: str) -> DetectionRow | None:
        """One by its id."""
        found = self._asked(
            f"SELECT {of.DETECTION} FROM detection d, flight f WHERE d.flight = f.number{self._same_day} AND d.id = ?",
            id,
        )
        return of.detection(found[0]) if found else None

    def crack(self, crack_id: str) -> CrackRow | None:
        """The last revision of one."""
        found = self._asked(
            f"SELECT {of.CRACK} FROM crack d, flight f WHERE d.flight = f.number AND d.crack_id = ? "
            "ORDER BY d.revision DESC LIMIT 1",
            crack_id,
        )
        return of.crack(found[0]) if found else None

    def matched(self, what: Literal["detections", "cracks"], query: Query) -> int:
        """How many there are, whatever limit and offset say."""
        return int(self._ask(*of.select(what, query, self._mark, self._same_day, count=True))[0][0])

    def coverage(self, vehicle: str | None = None, flight_id: str | None = None) -> list[CoverageRow]:
        """Of all flights, or of those named."""
        found = self._asked(
            "SELECT vehicle, flight_id, payload FROM coverage WHERE vehicle = coalesce(?, vehicle) "
            "AND flight_id = coalesce(?, flight_id) ORDER BY vehicle, flight_id",
            vehicle,
            flight_id,
        )
        return [CoverageRow(row[0], row[1], bytes(row[2])) for row in found]

    def ranges(self, vehicle: str, flight_id: str) -> Ranges:
        """The seqs of a flight's detections that are stored."""
        found = self._asked(
            f"SELECT seq FROM detection d, flight f WHERE d.flight = f.number{self._same_day} "
            "AND f.vehicle = ? AND f.flight_id = ?",
            vehicle,
            flight_id,
        )
        return as_ranges([seq for (seq,) in found])

    def refused(self, limit: int) -> list[RefusedRow]:
        """The newest messages that were not stored."""
        text = "SELECT topic, reason, received_us, payload FROM refused ORDER BY row DESC LIMIT ?"
        return [of.refused(row) for row in self._asked(text, limit)]

    def counts(self) -> dict[str, int]:
        """Rows of each table."""
        return {name: int(self._ask(f"SELECT count(*) FROM {table}")[0][0]) for name, table in _TABLES}

    def _asked(self, text: str, *values: Any) -> list[Any]:
        """``_ask`` with parameters marked ``?``."""
        return self._ask(text.replace("?", self._mark), values)
