"""What a board is known to do: one CSV per board that was measured, with limits on both sides.

Too fast is as suspicious as too slow: then something was not computed, or the file belongs to another board.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.support.errors import ConfigError
from edge.tools.benchmark import Measured

COLUMNS = ("bundle", "backend", "threads", "what", "metric", "value_ms", "low_ms", "high_ms")

# CPU minima repeat within a few percent; wall times of an accelerator depend on cable, hub and clock.
TOLERANCE = {"cpu_min": 0.25, "p50": 0.35}


@dataclass(frozen=True, slots=True)
class Row:
    """One number that is expected to come out again."""

    bundle: str
    """Name without the hash: the same network with newer weights is as fast."""
    backend: str
    threads: str
    what: str
    metric: str
    value_ms: float
    low_ms: float
    high_ms: float

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What it is about."""
        return (self.bundle, self.backend, self.threads, self.what, self.metric)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One number against its reference."""

    row: Row
    measured_ms: float | None
    """None where it was not measured this time."""

    @property
    def passed(self) -> bool:
        """Whether it lies between the limits."""
        return self.measured_ms is not None and self.row.low_ms <= self.measured_ms <= self.row.high_ms

    def sentence(self) -> str:
        """In words."""
        name = " ".join(self.row.key)
        if self.measured_ms is None:
            return f"{name}: not measured, the reference has {self.row.value_ms:.2f} ms"
        limits = f"{self.row.low_ms:.2f} to {self.row.high_ms:.2f} ms"
        if self.passed:
            return f"{name}: {self.measured_ms:.2f} ms, within {limits}"
        why = "slower than" if self.measured_ms > self.row.high_ms else "faster than is believable:"
        return f"{name}: {self.measured_ms:.2f} ms, {why} {limits}"


def folder() -> Path | None:
    """Where references lie in a checkout; None in an installed wheel."""
    found = Path(__file__).resolve().parents[3] / "benchmarks" / "reference"
    return found if found.is_dir() else None


def rows(measured: Sequence[Measured]) -> list[Row]:
    """What a reference file holds of a measurement."""
    return [_row(*found) for found in _values(measured)]


def check(measured: Sequence[Measured], expected: Sequence[Row]) -> list[Verdict]:
    """Compare; rows of bundles and backends that were not measured at all are left out, other missing ones are not."""
    values = {_key(one, what, metric): value for one, what, metric, value in _values(measured)}
    asked = {(_name(one), one.backend) for one in measured}
    return [Verdict(row, values.get(row.key)) for row in expected if (row.bundle, row.backend) in asked]


def read(path: Path) -> list[Row]:
    """Read a reference file. Raises ConfigError naming file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path}: no reference for this board ({error.strerror}); measure it with --write-reference {path}"
        ) from error
    lines = csv.DictReader(text.splitlines())
    if tuple(lines.fieldnames or ()) != COLUMNS:
        raise ConfigError(f"{path}: its first line is {lines.fieldnames}, needs {','.join(COLUMNS)}")
    found = []
    for number, line in enumerate(lines, start=2):
        try:
            bundle, backend, threads, what, metric = (line[name] for name in COLUMNS[:5])
            value, low, high = (float(line[name]) for name in COLUMNS[5:])
            found.append(Row(bundle, backend, threads, what, metric, value, low, high))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{path}: line {number}: {error}; write the file again with --write-reference") from error
    return found


def write(path: Path, found: Sequence[Row]) -> None:
    """Write a reference file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(COLUMNS)
        for row in found:
            lines.writerow((*row.key, *(f"{ms:.3f}" for ms in (row.value_ms, row.low_ms, row.high_ms))))


def _values(measured: Sequence[Measured]) -> Iterator[tuple[Measured, str, str, float]]:
    for one in measured:
        if one.accelerator == "cpu" and one.threads != 1:
            continue  # what several threads use together depends on who else wants the cores
        timings = {"invoke": one.invoke, **{name: loop.timing for name, loop in one.loops.items()}}
        for what, timing in timings.items():
            if one.accelerator == "cpu":
                yield one, what, "cpu_min", timing.cpu_min_ms
            else:
                yield one, what, "p50", timing.p50_ms


def _row(one: Measured, what: str, metric: str, value: float) -> Row:
    spread = TOLERANCE[metric]
    return Row(*_key(one, what, metric), value, value * (1 - spread), value * (1 + spread))


def _key(one: Measured, what: str, metric: str) -> tuple[str, str, str, str, str]:
    return _name(one), one.backend, "" if one.threads is None else str(one.threads), what, metric


def _name(one: Measured) -> str:
    return one.bundle.rpartition("-")[0]
