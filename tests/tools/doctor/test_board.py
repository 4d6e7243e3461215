from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge.outbox import Letter
from edge.outbox.sqlite import Options, open_outbox
from edge.support import board as daemon_board
from edge.support.clock import ManualClock
from edge.support.errors import EXIT_CONFIG, EXIT_TRY_AGAIN, ConfigError
from edge.tools.doctor import Level, board
from tests.tools.doctor.bench import NOON, bench


@pytest.mark.parametrize(
    ("utc", "synced", "level"),
    [
        (datetime(1970, 1, 1, 0, 3, tzinfo=timezone.utc), False, Level.FAIL),
        (NOON, False, Level.WARN),
        (NOON, True, Level.OK),
    ],
)
def test_clock(tmp_path: Path, utc: datetime, synced: bool, level: Level) -> None:
    result = board.clock(bench(tmp_path, ManualClock(utc, synced=synced)))
    assert result.level is level
    assert (result.exit_code == EXIT_TRY_AGAIN) is (level is Level.FAIL)
    assert f"{utc:%Y-%m-%d}" in result.found


@pytest.mark.parametrize(
    ("hottest", "level"), [(None, Level.NOT_APPLICABLE), (60.0, Level.OK), (75.0, Level.WARN), (85.0, Level.FAIL)]
)
def test_temperature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hottest: float | None, level: Level) -> None:
    monkeypatch.setattr(daemon_board, "temperature_deg_c", lambda: hottest)
    assert board.temperature(bench(tmp_path, flight={"max_temperature_deg_c": 80.0})).level is level


@pytest.mark.parametrize(
    ("flags", "level"),
    [(None, Level.NOT_APPLICABLE), ("0\n", Level.OK), ("50000\n", Level.WARN), ("50005\n", Level.FAIL)],
)
def test_supply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str | None, level: Level) -> None:
    file = tmp_path / "get_throttled"
    if flags is not None:
        file.write_text(flags)
    for name in ("under_voltage", "under_voltage_since_boot"):
        read = getattr(daemon_board, name)
        monkeypatch.setattr(daemon_board, name, lambda read=read: read(file))
    assert board.supply(bench(tmp_path)).level is level


def test_an_outbox_in_use_says_by_whom_and_that_devices_are_held(tmp_path: Path) -> None:
    looked = bench(tmp_path)
    with open_outbox(looked.settings.outbox.options, looked.clock):
        result = board.outbox(looked)
    assert (result.level, looked.held) == (Level.FAIL, True)
    assert str(os.getpid()) in result.found
    assert "systemctl stop spanhawk" in str(result.fix)


def test_an_outbox_counts_what_waits_and_tells_of_what_was_refused(tmp_path: Path) -> None:
    looked = bench(tmp_path)
    assert isinstance(looked.settings.outbox.options, Options)
    assert board.outbox(looked).found == "sqlite: 0 letters wait, 0 refused"
    with open_outbox(looked.settings.outbox.options, looked.clock) as box:
        box.put([Letter(name, "t", b"x", None) for name in "abc"])
        box.park("b", "Not authorized")
    result = board.outbox(looked)
    assert result.level is Level.WARN
    assert result.found == "sqlite: 2 letters wait, 1 refused"


def test_an_outbox_that_wants_more_than_the_disk_has(tmp_path: Path) -> None:
    path = str(tmp_path / "outbox.db")
    looked = bench(tmp_path, outbox={"path": path, "ballast_bytes": 0, "min_free_bytes": 1 << 60})
    result = board.outbox(looked)
    assert (result.level, result.exit_code) == (Level.FAIL, EXIT_TRY_AGAIN)
    assert "storage is full" in result.found
    assert "larger card" in str(result.fix)


def test_disk_speed_and_minutes(tmp_path: Path) -> None:
    result = board.disk(bench(tmp_path))
    assert result.level in (Level.OK, Level.WARN)
    assert "room for" in result.found
    assert "a commit takes" in result.found
    assert not list(tmp_path.glob("**/.spanhawk-doctor*"))


def test_a_full_disk(tmp_path: Path) -> None:
    result = board.disk(bench(tmp_path, flight={"min_free_mb": 10**12}))
    assert (result.level, result.exit_code) == (Level.FAIL, EXIT_TRY_AGAIN)
    assert "room for 0 minutes" in result.found


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    result = board.disk(bench(tmp_path, outbox={"path": "/sys/kernel/outbox.db"}))
    assert result.level is Level.FAIL
    assert result.exit_code != 0


def test_a_flight_that_leaves_no_folder_is_told(tmp_path: Path) -> None:
    found = board.flights(bench(tmp_path))
    assert found.level is Level.WARN
    assert "leaves no folder and no pictures" in found.found
    assert "folder_dir = " in str(found.fix)
    found = board.flights(bench(tmp_path, flight={"folder_dir": str(tmp_path / "new" / "flights")}))
    assert (found.level, found.found) == (Level.OK, f"recorded in {tmp_path / 'new' / 'flights'}")
    assert not (tmp_path / "new").exists()


def test_a_folder_of_flights_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        ConfigError, match=r"flight\.folder_dir: .*file is not a folder, so .*file/flights cannot be made"
    ):
        board.flights(bench(tmp_path, flight={"folder_dir": str(tmp_path / "file" / "flights")}))
    found = board.flights(bench(tmp_path, flight={"folder_dir": "/sys/kernel/flights"}))  # refused to root as well
    assert (found.level, found.exit_code) == (Level.FAIL, EXIT_CONFIG)
    assert "/sys/kernel cannot be written" in found.found


def test_what_root_makes_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can look as somebody else")
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 4321, 4321)
    for parent in (tmp_path, *list(tmp_path.parents)[:3]):  # a parallel run has one folder more
        parent.chmod(0o755)
    result = board.outbox(bench(tmp_path, outbox={"path": str(folder / "outbox.db"), "min_free_bytes": 0}))
    assert result.level is Level.OK, result
    made = list(folder.iterdir())
    assert made
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(4321, 4321)}
    assert os.geteuid() == 0
