from __future__ import annotations

import socket
from pathlib import Path

import pytest

from edge.daemon.notify import Systemd


def test_messages_reach_a_real_socket(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(5)
        ours = Systemd(str(path), "15000000")
        assert ours.watchdog_s == 15
        ours.ready("flying")
        ours.alive()
        ours.status("one")
        ours.stopping()
        got = [systemd.recv(200) for _ in range(4)]
    assert got == [b"READY=1\nSTATUS=flying", b"WATCHDOG=1", b"STATUS=one", b"STOPPING=1"]


def test_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0spanhawk-test-notify")
        systemd.settimeout(5)
        Systemd("@spanhawk-test-notify", "").alive()
        assert systemd.recv(200) == b"WATCHDOG=1"


@pytest.mark.parametrize("text", ["", "0", "abc", "-5"])
def test_no_watchdog(text: str) -> None:
    assert Systemd("", text).watchdog_s is None


def test_silent_without_systemd_and_one_warning_when_it_went_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Systemd("", "").ready("x")
    assert not caplog.records
    gone = Systemd(str(tmp_path / "gone"), "")
    gone.alive()
    gone.alive()
    assert len(caplog.records) == 1


def test_a_manager_that_does_not_read_does_not_hold_us_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "deaf"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(path))
        ours = Systemd(str(path), "")
        for _ in range(5000):
            ours.status("x" * 200)
    assert len(caplog.records) == 1
