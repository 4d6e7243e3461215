"""Shared by all tests: what is skipped is counted, and under CI a missing component is a failure."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

UNDER_CI = bool(os.environ.get("CI"))

# What a CI machine may not have. A skip for any other reason fails the run there.
HARDWARE, PHOTOS = "hardware:", "photos:"

# Property tests are not timed: a busy machine is no bug.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

_skips: Counter[str] = Counter()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hardware", action="store_true", help="also run the tests that need the bench drone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("hardware") and not config.getoption("--hardware"):
            item.add_marker(pytest.mark.skip(reason=f"{HARDWARE} needs the bench drone (--hardware)"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped:
        _count(report.longrepr)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _count(report.longrepr)


def _count(longrepr: object) -> None:
    reason = str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
    _skips[reason.removeprefix("Skipped: ")] += 1


def _missing() -> dict[str, int]:
    return {reason: count for reason, count in _skips.items() if not reason.startswith((HARDWARE, PHOTOS))}


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if UNDER_CI and _missing() and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reason, count in sorted(_skips.items()):
        terminalreporter.write_line(f"not run: {count} x {reason}")
    if UNDER_CI and _missing():
        terminalreporter.write_line("FAILED: under CI nothing may be missing but hardware and photos", red=True)


@pytest.fixture(scope="session")
def real_photos() -> Path:
    """The folder of real photos; tests that use it are marked ``realdata``."""
    folder = os.environ.get("SPANHAWK_DATA")
    if not folder:
        pytest.skip(f"{PHOTOS} set SPANHAWK_DATA to a folder of real photos")
    return Path(folder)
