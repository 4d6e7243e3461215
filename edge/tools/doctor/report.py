"""The report for people (a table, row by row) and for programs (JSON, ``schema/doctor-1.json``)."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from importlib import resources
from typing import Any

from edge import __version__
from edge.detections.wire import rfc3339
from edge.support.clock import Clock
from edge.support.errors import EXIT_CONFIG, EXIT_DONE, EXIT_TRY_AGAIN, EXIT_UNAVAILABLE
from edge.tools.doctor import Level, Result

SCHEMA = "spanhawk/doctor/1"

Report = Sequence[tuple[str, Result]]

_COLOURS = {Level.OK: "32", Level.WARN: "33", Level.FAIL: "31", Level.NOT_APPLICABLE: "2"}
_NAME_WIDTH = 14
_LEVEL_WIDTH = 5
_TEXT_WIDTH = 100
# The worst first: what a restart cannot repair, what is missing, what may pass by itself.
_ORDER = (EXIT_CONFIG, EXIT_UNAVAILABLE, EXIT_TRY_AGAIN)


def row(name: str, result: Result, *, colour: bool) -> str:
    """One check for people: name, level, what was found, and under it what to do."""
    level = f"{result.level.value:<{_LEVEL_WIDTH}}"
    if colour:
        level = f"\x1b[{_COLOURS[result.level]}m{level}\x1b[0m"
    indent = " " * (_NAME_WIDTH + _LEVEL_WIDTH + 1)
    found = textwrap.wrap(result.found, _TEXT_WIDTH) or [""]
    fix = textwrap.wrap(f"→ {result.fix}", _TEXT_WIDTH) if result.fix else []
    return f"{name:<{_NAME_WIDTH}}{level} " + f"\n{indent}".join([*found, *fix])


def verdict(report: Report) -> str:
    """One line at the end."""
    levels = [result.level for _, result in report]
    failures, warnings = levels.count(Level.FAIL), levels.count(Level.WARN)
    told = f" ({warnings} to know about)" if warnings else ""
    return f"not fit to fly: {failures} of {len(levels)} checks failed{told}" if failures else f"fit to fly{told}"


def exit_code(report: Report) -> int:
    """0 when fit to fly; otherwise the code of the worst failure: 78 before 69 before 75 before any other."""
    codes = [result.exit_code for _, result in report if result.level is Level.FAIL]
    return next((code for code in _ORDER if code in codes), max(codes, default=EXIT_DONE))


def document(report: Report, clock: Clock) -> dict[str, Any]:
    """The report for programs, as ``schema()`` describes it."""
    return {
        "schema": SCHEMA,
        "spanhawk": __version__,
        "at": rfc3339(clock.utc()),
        "clock_synced": clock.synced(),
        "fit": exit_code(report) == EXIT_DONE,
        "checks": [
            {"check": name, "level": result.level.value, "found": result.found, "fix": result.fix}
            for name, result in report
        ],
    }


def to_json(report: Report, clock: Clock) -> str:
    """``document`` as text."""
    return json.dumps(document(report, clock), indent=1, ensure_ascii=False)


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``document``."""
    text = resources.files("edge.tools.doctor").joinpath("schema/doctor-1.json").read_text(encoding="utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return parsed
