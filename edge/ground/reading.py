"""What a reader asks of a store, in the SQL that both databases understand: one set of questions for two backends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from edge.ground import (
    Box,
    CoverageRow,
    CrackRow,
    DetectionRow,
    FlightRow,
    Heads,
    Query,
    Ranges,
    RefusedRow,
    ReviewRow,
    StateRow,
    as_ranges,
)
from edge.ground import rows as of

_TABLES = (("detections", "detection"), ("cracks", "crack"), ("flights", "flight"), ("refused", "refused"))
_ALL = 1 << 62


class Reading(ABC):
    """The methods of ``Reader``; a backend says how it asks, and how its tables and parameters differ."""

    _dialect: ClassVar[of.Dialect] = of.Dialect()

    @abstractmethod
    def _ask(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows that answer ``text``, its parameters marked as the dialect says. Raises TryAgainError."""

    def heads(self) -> Heads:
        """How far the store has come."""
        ((detections, cracks, flights, size_bytes, states_us, reviews),) = self._ask(of.HEADS)
        return Heads(int(detections), int(cracks), (int(flights), int(size_bytes)), int(states_us), int(reviews))

    def flights(self, most: int | None = None) -> list[FlightRow]:
        """Every flight, or the newest ``most``; the newest first."""
        found = self._asked(of.FLIGHTS.format(same_day=self._dialect.same_day), _ALL if most is None else most)
        return [of.flight(row) for row in found]

    def states(self) -> list[StateRow]:
        """The newest status and the newest telemetry of each vehicle."""
        return [of.state(row) for row in self._ask(of.STATES)]

    def detections(self, query: Query) -> list[DetectionRow]:
        """Those that ``query`` asks for."""
        return [of.detection(row) for row in self._ask(*of.select("detections", query, self._dialect))]

    def cracks(self, query: Query) -> list[CrackRow]:
        """The last revision of each crack that ``query`` asks for."""
        return [of.crack(row) for row in self._ask(*of.select("cracks", query, self._dialect))]

    def detection(self, id: str) -> DetectionRow | None:
        """One by its id."""
        joined = f"d.flight = f.number{self._dialect.same_day}"
        found = self._asked(f"SELECT {of.DETECTION} FROM detection d, flight f WHERE {joined} AND d.id = ?", id)
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
        return int(self._ask(*of.select(what, query, self._dialect, count=True))[0][0])

    def extent(self, what: Literal["detections", "cracks"], after: int) -> Box | None:
        """Around all that arrived after this row; None where none of it has a place."""
        table = "detection" if what == "detections" else "crack"
        text = f"SELECT min(west), min(south), max(east), max(north) FROM {table} WHERE row > ?"
        return of.box(self._asked(text, after)[0])

    def coverage(self, vehicle: str | None = None, flight_id: str | None = None) -> list[CoverageRow]:
        """Of all flights, or of those named."""
        found = self._asked(
            "SELECT vehicle, flight_id, payload FROM coverage WHERE vehicle = coalesce(?, vehicle) "
            "AND flight_id = coalesce(?, flight_id) ORDER BY vehicle, flight_id",
            vehicle,
            flight_id,
        )
        return [CoverageRow(row[0], row[1], bytes(row[2])) for row in found]

    def reviews(
        self, vehicle: str | None = None, flight_id: str | None = None, most: int | None = None
    ) -> list[ReviewRow]:
        """The latest word on each finding, of all flights or of those named, the newest ``most`` first."""
        found = self._asked(of.REVIEWS, vehicle, flight_id, _ALL if most is None else most)
        return [of.review(row) for row in found]

    def ranges(self, vehicle: str, flight_id: str) -> Ranges:
        """The seqs of a flight's detections that are stored."""
        found = self._asked(
            f"SELECT seq FROM detection d, flight f WHERE d.flight = f.number{self._dialect.same_day} "
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
        return self._ask(text.replace("?", self._dialect.mark), values)
