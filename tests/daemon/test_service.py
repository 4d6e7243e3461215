"""The daemon's loop without a process: bad frames, the record, what commands do, and the watchdog."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest

from edge import settings
from edge.daemon.badframes import MAX_BAD_IN_A_ROW
from edge.daemon.notify import Systemd
from edge.daemon.record import FlightRecord
from edge.daemon.service import Service
from edge.daemon.snapshot import take_snapshot
from edge.frames import Frame, Moment
from edge.masks import Runtime
from edge.navigation import nowhere
from edge.support.clock import ManualClock, SystemClock
from edge.support.errors import DeviceError
from tests.daemon.world import written
from tests.pictures import concrete, frame


def test_one_bad_frame_does_not_end_the_flight_but_many_do(tmp_path: Path) -> None:
    config = written(tmp_path, "mqtt://127.0.0.1:1")
    service = Service(settings.read(config), SystemClock(), Systemd("", ""))
    bad = frame()
    for _ in range(MAX_BAD_IN_A_ROW - 1):
        service._bad_frames.see(bad, ValueError("a crack's numbers are finite"))
    with pytest.raises(ValueError, match="finite"):
        service._bad_frames.see(bad, ValueError("a crack's numbers are finite"))


def test_any_error_in_a_frame_counts_as_a_bad_frame_and_is_reported_for_a_minute(tmp_path: Path) -> None:
    """The documents promise twenty in a row; an IndexError used to end the daemon at the first."""
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc))
    service = Service(settings.read(written(tmp_path, "mqtt://127.0.0.1:1")), clock, Systemd("", ""))
    pipeline = Mock()
    pipeline.process.side_effect = IndexError("index 4 is out of bounds")
    service._process(frame(), pipeline)
    assert service._bad_frames.trouble() == "frame 0 could not be processed (IndexError: index 4 is out of bounds)"
    clock.advance(61 * 10**9)
    assert service._bad_frames.trouble() is None, "long over: the flight is not degraded for ever"
    pipeline.process.side_effect = DeviceError("the accelerator is gone")
    with pytest.raises(DeviceError):
        service._process(frame(), pipeline)


def test_a_record_that_cannot_be_written_is_told_and_costs_no_frame(tmp_path: Path) -> None:
    """Of a number that JSON does not know, as of a full disk: the letter is in the outbox, the flight goes on."""
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc))
    service = Service(settings.read(written(tmp_path, "mqtt://127.0.0.1:1")), clock, Systemd("", ""))
    segmenter, pipeline = MagicMock(), MagicMock()
    segmenter.model, segmenter.sha256 = "dark", None
    segmenter.runtime = Runtime(backend="dark", library="none", accelerator="cpu", threads=None)
    service._record = FlightRecord(service._settings, service._flight, segmenter, clock)
    outcome = pipeline.process.return_value
    outcome.payloads, outcome.evidence, outcome.revisions, outcome.features = (), None, (), ()
    outcome.frame.seq, outcome.moment.at, outcome.record = 0, clock.utc(), {"range_m": float("nan")}
    outcome.mask.classes, outcome.mask.frame = (), frame()
    outcome.stage_ms, outcome.left_out, outcome.mask.looked_share, outcome.suppressed = {}, 0, 1.0, {}
    outcome.mask.second_looks = 0
    service._process(frame(), pipeline)
    assert service._bad_frames.trouble() is None
    assert "is not complete (ValueError: Out of range float values" in str(service._record.health())
    service._record.finish(pipeline)  # seals, and closes its files

    (tmp_path / "file").touch()
    below = replace(service._settings.flight, folder_dir=tmp_path / "file" / "flights")
    service._record = FlightRecord(replace(service._settings, flight=below), service._flight, segmenter, clock)
    service._process(frame(), pipeline)
    told = str(service._record.health())
    assert told.endswith("is not complete (File exists); name a folder that can be made and written"), told


def test_resend_asks_delivery_which_forgets_what_it_learnt_and_not_the_outbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past delivery, letters of a size that the broker refused once would be parked again without a try."""
    delivery, control = Mock(), Mock()
    delivery.return_value.retry.return_value = 3
    monkeypatch.setattr("edge.daemon.service.Delivery", delivery)
    monkeypatch.setattr("edge.daemon.service.Control", control)
    config = settings.read(written(tmp_path, "mqtt://127.0.0.1:1"))
    service = Service(config, ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc)), Systemd("", ""))
    outbox = Mock()
    service._ground(Mock(), outbox, Mock(), Mock(), Mock(), Mock())
    actions = control.call_args.args[2]
    assert actions["resend"]() == {"retried": 3}
    delivery.return_value.retry.assert_called_once_with(confirmed=True)
    outbox.retry.assert_not_called()


def snapshot(service: Service) -> Any:
    options = service._settings.flight
    return take_snapshot(service._newest, Mock(), options, service._flight.flight_id, service._clock)


def test_a_snapshot_says_how_old_it_is_and_leaves_the_room_that_detections_need(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc), 100 * 10**9)
    config = written(tmp_path, "mqtt://127.0.0.1:1")
    service = Service(settings.read(config), clock, Systemd("", ""))
    seen_at = datetime(2026, 6, 1, tzinfo=timezone.utc)
    picture = Frame(5, clock.monotonic_ns(), None, concrete())
    service._newest = Mock(frame=picture, nav=nowhere(0), moment=Moment(seen_at, synced=True))
    clock.advance(90 * 10**9)
    kept = snapshot(service)
    assert (kept["age_s"], kept["seen_at"]) == (90.0, "2026-06-01T00:00:00.000Z")
    config.write_text(config.read_text(encoding="utf-8").replace("min_free_mb = 0", "min_free_mb = 1000000000"))
    full = Service(settings.read(config), clock, Systemd("", ""))
    full._newest = service._newest
    with pytest.raises(OSError, match="MB left, 1000000000 are for detections"):
        snapshot(full)


@pytest.mark.parametrize("first", [True, False], ids=["first frame", "next frame"])
@pytest.mark.parametrize(("timeout_s", "held_off"), [(30.0, True), (2.0, False)])
def test_the_watchdog_waits_for_a_slow_camera_and_for_no_other(
    tmp_path: Path, timeout_s: float, held_off: bool, first: bool
) -> None:
    """One frame in ten seconds and a watchdog of 15 s: two frames late is no reason to kill the daemon."""
    clock, notify = ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc)), tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(notify))
        systemd.setblocking(False)
        config = written(tmp_path, "mqtt://127.0.0.1:1")
        service = Service(settings.read(config), clock, Systemd(str(notify), "15000000"))
        if not first:
            service._meter.add(clock.monotonic_ns(), {}, 0)
        clock.advance(20 * 10**9)
        camera, ground = Mock(timeout_s=timeout_s), Mock()
        camera.health.return_value = None
        service._hold_off_watchdog(camera, ground)
        if held_off:
            assert systemd.recv(100) == b"WATCHDOG=1"
        else:
            with pytest.raises(BlockingIOError):
                systemd.recv(100)


def test_systemd_hears_of_us_while_any_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only the outbox's: a card that takes half a minute for a picture or the flight folder killed the daemon.

    Each kind of fsync returns here only when systemd has heard of us after it began.
    """
    notify, stop, inference, real = tmp_path / "notify", threading.Event(), threading.get_ident(), os.fsync
    wanted = {"picture", "flight folder", "manifest", "summary", "names"}
    heard: dict[str, bool] = {}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(notify))

        def slow(descriptor: int) -> None:
            real(descriptor)
            what = _what_is(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
            if threading.get_ident() != inference or what not in wanted - heard.keys():
                return
            systemd.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    systemd.recv(1000)
            systemd.settimeout(5.0)
            with contextlib.suppress(TimeoutError):
                heard[what] = any(systemd.recv(1000) == b"WATCHDOG=1" for _ in range(4))  # STATUS comes each second
            heard.setdefault(what, False)
            if {"picture", "flight folder", "manifest"} <= heard.keys() or not all(heard.values()):
                stop.set()

        config = written(tmp_path, "mqtt://127.0.0.1:1")
        service = Service(settings.read(config), SystemClock(), Systemd(str(notify), "600000000"))
        monkeypatch.setattr(os, "fsync", slow)
        service.run(stop)
    assert heard == dict.fromkeys(wanted, True)


def _what_is(path: Path) -> str:
    if path.suffix == ".part":
        kinds = {".jpg": "picture", ".cracks": "names"}
        return "summary" if "summary" in path.name else kinds.get(Path(path.stem).suffix, "")
    return {"photos": "flight folder", "manifest.jsonl": "manifest"}.get(path.name, "")
