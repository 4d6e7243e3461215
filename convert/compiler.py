"""Run edgetpu_compiler where it is installed, and read what it says.

The compiler is Google's closed program for x86-64 Debian, from Coral's apt repository. Its report on standard output is
lines of ``key: value``; the operator log is a table of operator, count and status. Statuses that begin with ``Mapped to
Edge TPU`` are mapped, all others run on the CPU.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convert import ConversionError
from convert.edgetpu import MAPS, Prediction
from edge.support.errors import DeviceError

PROGRAM = "edgetpu_compiler"
TRIES = 3
"""An internal error of the compiler may pass: the same file compiled at the third try."""
_UNITS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_MAPPED = "Mapped to Edge TPU"
_FLAKY = "Internal compiler error"
_ROW = re.compile(r"(?P<operator>[A-Z][A-Z0-9_]*)\s+(?P<count>\d+)\s+(?P<status>\S.*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the operator table; an operator may have several."""

    operator: str
    count: int
    status: str

    @property
    def mapped(self) -> bool:
        """Whether these run on the Edge TPU."""
        return self.status.startswith(_MAPPED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What the compiler said."""

    version: str
    subgraphs: int
    operators: int
    on_chip_bytes: int
    on_chip_left_bytes: int
    off_chip_bytes: int
    rows: tuple[Row, ...]

    @property
    def operators_mapped(self) -> int:
        """How many operators run on the Edge TPU."""
        return sum(row.count for row in self.rows if row.mapped)


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiled:
    """A compiled model and the report on it."""

    content: bytes
    report: Report


def compile_model(model: Path, program: str = PROGRAM, timeout_s: int = 180) -> Compiled:
    """Compile ``model`` for the Edge TPU.

    Raises DeviceError where the compiler is not installed, ConversionError where it fails or gives up.
    """
    found = shutil.which(program)
    if found is None:
        raise DeviceError(
            f"{program} is not installed; it exists for x86-64 Debian only: add Coral's apt repository "
            "(deb https://packages.cloud.google.com/apt coral-edgetpu-stable main) and apt install edgetpu-compiler, "
            "or name it with --compiler"
        )
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--show_operations", "--timeout_sec", str(timeout_s), "--out_dir", folder]
        said = _run([found, *flags, str(model)], timeout_s)
        made = Path(folder) / f"{model.stem}_edgetpu.tflite"
        log = made.with_suffix(".log")
        if not made.is_file():
            raise ConversionError(f"{program} wrote no {made.name}: {_last_words(said)}")
        table = log.read_text(encoding="utf-8") if log.is_file() else said
        return Compiled(content=made.read_bytes(), report=parse_report(said, table))


def _run(command: Sequence[str], timeout_s: int) -> str:
    for attempt in range(1, TRIES + 1):
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s + 30, check=False)
        except subprocess.TimeoutExpired as error:
            raise ConversionError(f"{PROGRAM} did not finish in {timeout_s} s; give it more with --timeout") from error
        said = ran.stdout + ran.stderr
        if ran.returncode == 0 and "Compilation failed" not in said:
            return said
        if _FLAKY not in said or attempt == TRIES:
            raise ConversionError(f"{PROGRAM} failed: {_last_words(said)}")
    raise AssertionError("unreachable")


def parse_report(said: str, table: str) -> Report:
    """Read the compiler's output and its operator table (the ``_edgetpu.log`` file, or the same output).

    Raises ConversionError where the version, a number or the table is missing.
    """
    version = re.search(r"Edge TPU Compiler version (\S+)", said + table)
    if version is None:
        raise ConversionError("The compiler's output names no version; this is no output of edgetpu_compiler.")
    return Report(
        version=version[1],
        subgraphs=int(_value(said, "Number of Edge TPU subgraphs")),
        operators=int(_value(said, "Total number of operations")),
        on_chip_bytes=_size(_value(said, "On-chip memory used for caching model parameters")),
        on_chip_left_bytes=_size(_value(said, "On-chip memory (?:remaining|available) for caching model parameters")),
        off_chip_bytes=_size(_value(said, "Off-chip memory used for streaming uncached model parameters")),
        rows=_rows(table),
    )


def unmapped(report: Report, prediction: Prediction) -> list[str]:
    """Operators that were expected to map and did not, a sentence each."""
    expected = Counter(one.operator for one in prediction.findings if one.verdict == MAPS)
    mapped: Counter[str] = Counter()
    for row in report.rows:
        mapped[row.operator] += row.count if row.mapped else 0
    found = []
    for operator, count in expected.items():
        if mapped[operator] < count:
            why = "; ".join(sorted({row.status for row in report.rows if row.operator == operator and not row.mapped}))
            found.append(f"{mapped[operator]} of {count} {operator} mapped ({why or 'not in the log'})")
    return found


def _value(said: str, key: str) -> str:
    found = re.search(rf"^\s*{key}:\s*(\S+)\s*$", said, re.MULTILINE)
    if found is None:
        raise ConversionError(f"The compiler's output has no line {key!r}: {_last_words(said)}")
    return found[1]


def _size(text: str) -> int:
    found = re.fullmatch(r"([0-9.]+)([KMG]i)?B", text)
    if found is None:
        raise ConversionError(f"The compiler gives a size of {text!r}; B, KiB, MiB or GiB is known.")
    return round(float(found[1]) * _UNITS[f"{found[2] or ''}B"])


def _rows(table: str) -> tuple[Row, ...]:
    lines = table.splitlines()
    starts = [i for i, line in enumerate(lines) if line.split() == ["Operator", "Count", "Status"]]
    if not starts:
        raise ConversionError("The compiler's log has no table of operators (Operator, Count, Status).")
    rows = []
    for line in lines[starts[0] + 1 :]:
        found = _ROW.fullmatch(line.strip())
        if found is not None:
            rows.append(Row(operator=found["operator"], count=int(found["count"]), status=found["status"]))
        elif rows and line.strip():
            break
    if not rows:
        raise ConversionError("The compiler's table of operators is empty.")
    return tuple(rows)


def _last_words(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return " / ".join(lines[-2:])[:300] or "it said nothing"
