"""The ground's memory: what the drones have found, kept so that a receipt may be given for it.

``Store`` is written by the collector; ``Reader`` is what a page, a service or a report looks through. Both are
protocols with two backends, ``sqlite`` and ``postgres``; ``edge.ground.stores`` opens either by its URL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Literal, Protocol, TypeAlias

Box: TypeAlias = tuple[float, float, float, float]
"""West, south, east, north: degrees, WGS 84."""
Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""First and last of each run of numbers without a gap, rising, both included."""


@dataclass(frozen=True, slots=True)
class DetectionRow:
    """One ``spanhawk/detection/2`` Feature; named by vehicle, flight and seq."""

    vehicle: str
    flight_id: str
    seq: int
    id: str
    kind: str
    crack_id: str | None
    seen_at: datetime
    """UTC."""
    score: float
    box: Box | None
    """Around its geometry; None where it has no place on the earth."""
    payload: bytes
    """The Feature as it came, UTF-8 JSON."""
    row: int | None = field(default=None, compare=False)
    """Order of arrival at the store; None before it is stored."""


@dataclass(frozen=True, slots=True)
class CrackRow:
    """One revision of a ``spanhawk/crack/1`` Feature; named by crack and revision."""

    vehicle: str
    flight_id: str
    crack_id: str
    number: int
    """Of the crack within its flight."""
    revision: int
    state: str
    """tentative, confirmed, withdrawn, merged."""
    kind: str
    first_seen: datetime
    last_seen: datetime
    views: int
    length_mm: float | None
    width_mm: float | None
    """The value, without its interval, which is in ``payload``; None where it is not known."""
    width_at_most_mm: float | None
    best_sha256: str | None
    """SHA-256 of the picture of the best view; None where none was kept."""
    box: Box | None
    payload: bytes
    row: int | None = field(default=None, compare=False)
    """Order of arrival of this revision at the store; None before it is stored."""


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """What a flight has seen so far: the newest GeoJSON of it."""

    vehicle: str
    flight_id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class StateRow:
    """The newest status or telemetry of a vehicle in a flight."""

    vehicle: str
    flight_id: str
    what: Literal["status", "telemetry"]
    received_at: datetime
    """UTC of the ground's clock."""
    payload: bytes


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A message that was not taken up, kept for whoever wants to know; no receipt is given for it."""

    topic: str
    reason: str
    received_at: datetime
    payload: bytes
    """At most its first 64 kB."""


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """A person's word on one finding. Every word is kept; the latest counts."""

    vehicle: str
    flight_id: str
    crack_id: str
    verdict: str
    """confirmed, rejected, unreviewed."""
    grade: str | None
    """Of the person's own scheme; None: not graded."""
    remark: str | None
    by: str | None
    """Who said it; None: they did not say."""
    at: datetime
    """UTC."""


@dataclass(slots=True)
class Batch:
    """What is written in one transaction."""

    detections: list[DetectionRow] = field(default_factory=list)
    cracks: list[CrackRow] = field(default_factory=list)
    coverage: list[CoverageRow] = field(default_factory=list)
    states: list[StateRow] = field(default_factory=list)
    refused: list[RefusedRow] = field(default_factory=list)
    reviews: list[ReviewRow] = field(default_factory=list)

    def __len__(self) -> int:
        kinds = self.detections, self.cracks, self.coverage, self.states, self.refused, self.reviews
        return sum(len(rows) for rows in kinds)


@dataclass(frozen=True, slots=True)
class Unfit:
    """A row that the database does not take."""

    row: DetectionRow | CrackRow | CoverageRow | StateRow | ReviewRow
    what: str
    """The field of ``Batch`` that it stood in."""
    reason: str


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a batch."""

    new: int
    """Detections and cracks that were not there before."""
    repeats: int
    """Detections and cracks that were there already, with the same content."""
    conflicts: tuple[DetectionRow | CrackRow, ...]
    """Those whose name is taken by another content: the first is kept, these are not stored."""
    unfit: tuple[Unfit, ...] = ()
    """Rows of any kind that the database does not take: they are among the refused, and not stored."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which features are wanted; what is None does not matter."""

    vehicle: str | None = None
    flight_id: str | None = None
    kind: str | None = None
    box: Box | None = None
    """Those whose box touches it. West may lie east of east: then it goes over the date line."""
    since: datetime | None = None
    """Seen at or after; of a crack, last seen."""
    until: datetime | None = None
    """Seen at or before; of a crack, first seen."""
    limit: int = 100
    offset: int = 0
    after: int | None = None
    """Only what arrived at the store after this ``row``; a crack arrives with each revision."""
    newest_first: bool = False
    """Order of arrival at the store; with True the newest leads."""


@dataclass(frozen=True, slots=True)
class FlightRow:
    """One flight as far as the ground has heard of it."""

    vehicle: str
    flight_id: str
    first_received_at: datetime
    detections: int
    last_seq: int
    """0 where no detection has arrived; with ``detections`` it says how many are missing."""
    cracks: int
    """Number of cracks, not of revisions."""


@dataclass(frozen=True, slots=True)
class Heads:
    """How far a store has come: two that are equal mean that there is nothing new. Cheap to ask for."""

    detections: int
    """Highest row; 0 where there is none."""
    cracks: int
    coverage: tuple[int, int]
    """Flights that have any, and the size of all their documents, bytes."""
    states_us: int
    """Newest status or telemetry, microseconds since 1970; 0 where there is none."""
    reviews: int
    """Highest row; 0 where there is none."""


class Reader(Protocol):
    """Looking into a store; safe to use from several threads; closed by leaving ``with``.

    Each method raises TryAgainError while the store cannot be read.
    """

    def heads(self) -> Heads:
        """How far the store has come."""

    def flights(self, most: int | None = None) -> list[FlightRow]:
        """Every flight, or the newest ``most``; the newest first."""

    def states(self) -> list[StateRow]:
        """The newest status and the newest telemetry of each vehicle."""

    def detections(self, query: Query) -> list[DetectionRow]:
        """Those that ``query`` asks for."""

    def cracks(self, query: Query) -> list[CrackRow]:
        """The last revision of each crack that ``query`` asks for."""

    def detection(self, id: str) -> DetectionRow | None:
        """One by its id; None where there is none."""

    def crack(self, crack_id: str) -> CrackRow | None:
        """The last revision of one; None where there is none."""

    def matched(self, what: Literal["detections", "cracks"], query: Query) -> int:
        """How many there are, whatever limit and offset say."""

    def extent(self, what: Literal["detections", "cracks"], after: int) -> Box | None:
        """Around all that arrived after this row; None where none of it has a place. Reads every such row."""

    def coverage(self, vehicle: str | None = None, flight_id: str | None = None) -> list[CoverageRow]:
        """Of all flights, or of those named."""

    def reviews(
        self, vehicle: str | None = None, flight_id: str | None = None, most: int | None = None
    ) -> list[ReviewRow]:
        """The latest word on each finding, of all flights or of those named, the newest ``most`` first."""

    def ranges(self, vehicle: str, flight_id: str) -> Ranges:
        """The seqs of a flight's detections that are stored."""

    def refused(self, limit: int) -> list[RefusedRow]:
        """The newest messages that were not taken up."""

    def counts(self) -> dict[str, int]:
        """Rows of ``detections``, ``cracks`` (revisions), ``flights`` and ``refused``."""

    def __enter__(self) -> Reader: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Store(Reader, Protocol):
    """A reader that can be written to."""

    @property
    def id(self) -> str:
        """Made once with the store: eight hexadecimal digits."""

    def add(self, batch: Batch) -> Added:
        """Write all of ``batch`` in one transaction, on the disk on return; what is there already is left alone.

        Raises TryAgainError when it cannot be written now (full disk, server away): then nothing of it is.
        """

    def listens(self, client_id: str, share: str) -> list[str]:
        """Note that ``client_id`` listens in the group ``share``; the other groups that it has listened in before.

        Raises TryAgainError when that cannot be written now; what is noted already is not written again.
        """

    def __enter__(self) -> Store: ...


def as_ranges(numbers: Sequence[int]) -> Ranges:
    """Whole numbers in any order, repeats allowed, as runs."""
    runs: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return tuple(runs)


def missing(stored: Ranges) -> Ranges:
    """The gaps below the highest number, counted from 1."""
    gaps, expected = [], 1
    for first, last in stored:
        if first > expected:
            gaps.append((expected, first - 1))
        expected = last + 1
    return tuple(gaps)
