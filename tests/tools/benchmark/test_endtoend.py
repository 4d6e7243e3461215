"""From exposure to acknowledgement: the arithmetic on made times, and a short real flight."""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from edge.masks.bundle import default_bundle_path
from edge.support.clock import ManualClock
from edge.support.errors import DeviceError
from edge.tools.benchmark.endtoend import end_to_end, evaluate
from edge.tools.benchmark.metronome import Options, open_camera
from edge.tools.benchmark.subject import masks_table
from tests.mqtt.broker import mosquitto_path

MS = 1_000_000
GIVEN = {"fps": 10.0, "size_px": (720, 1280), "threads": 1, "broker": "mosquitto"}


def flight(seconds: int = 10, took_ms: float = 50.0) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Ten frames a second, one detection each, acknowledged ``took_ms`` after the exposure."""
    exposed = {str(seq): seq * 100 * MS for seq in range(10 * seconds + 1)}
    stamps = {
        f"id{seq}": {
            "frame_seq": int(seq),
            "ready_ns": at_ns + 27 * MS,
            "stored_ns": at_ns + 30 * MS,
            "taken_ns": at_ns + 31 * MS,
            "acknowledged_ns": at_ns + round(took_ms * MS) + int(seq) * 1000,
        }
        for seq, at_ns in exposed.items()
    }
    return exposed, stamps


def test_percentiles_from_the_exposure_without_the_first_and_the_last_seconds() -> None:
    exposed, stamps = flight()
    stamps["id5"]["acknowledged_ns"] += 900 * MS  # while the connection was being made
    stamps["id100"].pop("acknowledged_ns")  # when the daemon was told to stop
    found = evaluate(exposed, stamps, **GIVEN)
    counted = 50 + np.arange(20, 91) / 1000
    assert (found.detections, found.frames, found.missed) == (71, 71, 0)
    assert found.p50_ms == pytest.approx(np.percentile(counted, 50), abs=0.01)
    assert found.p99_ms == pytest.approx(np.percentile(counted, 99), abs=0.01)
    assert found.periods == pytest.approx(found.p99_ms / 100, abs=1e-3)
    assert found.stored_p50_ms == 30.0
    assert found.parts_ms["ready"] == (27.0, 27.0)
    assert (found.parts_ms["disk"], found.parts_ms["handed over"]) == ((3.0, 3.0), (1.0, 1.0))
    assert sum(p50 for p50, _ in found.parts_ms.values()) == pytest.approx(found.p50_ms, abs=0.05)


def test_beats_without_a_detection_are_counted_as_missed() -> None:
    exposed, stamps = flight()
    for seq in (30, 31, 55):
        del exposed[str(seq)], stamps[f"id{seq}"]
    assert evaluate(exposed, stamps, **GIVEN).missed == 3


def test_a_detection_nobody_acknowledged_gives_no_number() -> None:
    exposed, stamps = flight()
    stamps["id40"].pop("acknowledged_ns")
    with pytest.raises(DeviceError, match="1 of 71 detections were not acknowledged"):
        evaluate(exposed, stamps, **GIVEN)
    with pytest.raises(DeviceError, match="0 of 0"):
        evaluate({}, {}, **GIVEN)


def test_the_metronome_beats_exactly_and_leaves_out_what_a_slow_reader_missed(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=timezone.utc), monotonic_ns=5_000)
    np.save(tmp_path / "p.npy", np.zeros((4, 4, 3), np.uint8))
    with open_camera(Options(picture=tmp_path / "p.npy", log=tmp_path / "log", fps=10.0), clock) as camera:
        frames = camera.frames()
        seen = [next(frames), next(frames)]
        clock.advance(350 * MS)
        seen += [next(frames), next(frames)]
    assert [frame.seq for frame in seen] == [1, 2, 5, 6]
    assert [frame.exposed_ns - 5_000 for frame in seen] == [100 * MS, 200 * MS, 500 * MS, 600 * MS]
    assert json.loads((tmp_path / "log").read_text()) == {str(frame.seq): frame.exposed_ns for frame in seen}
    assert next(frames, None) is None, "closing ends it"


def test_closing_wakes_a_waiting_metronome(tmp_path: Path) -> None:
    from edge.support.clock import SystemClock

    np.save(tmp_path / "p.npy", np.zeros((4, 4, 3), np.uint8))
    camera = open_camera(Options(picture=tmp_path / "p.npy", log=tmp_path / "log", fps=0.01), SystemClock())
    reader = threading.Thread(target=lambda: list(camera.frames()))
    reader.start()
    camera.__exit__(None, None, None)
    reader.join(10)
    assert not reader.is_alive()


def test_a_daemon_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mosquitto_path()
    monkeypatch.chdir(tmp_path)
    masks = {"backend": "litert", "bundle": str(tmp_path / "nowhere")}
    with pytest.raises(DeviceError, match=r"ended with 78 while it was measured: .*nowhere"):
        end_to_end(masks, 1, (64, 64), fps=2.0, seconds=4.0)


def test_a_real_flight_against_a_real_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mosquitto_path()
    monkeypatch.chdir(tmp_path)
    masks = masks_table(default_bundle_path(), "litert", 1, {"overlap_px": 32})
    begun_s = time.monotonic()
    found = end_to_end(masks, 1, (256, 320), fps=2.0, seconds=4.0)
    beats = 2.0 * (time.monotonic() - begun_s)  # at most: on a busy machine the daemon is slow to start and to end
    assert found.broker == "mosquitto"
    assert found.detections >= found.frames >= 1
    assert 5 <= found.frames + found.missed <= beats, "two beats a second, without the first two seconds and the last"
    assert min(p50 for p50, _ in found.parts_ms.values()) > 0
    assert 0 < found.stored_p50_ms < found.p50_ms <= found.p90_ms <= found.p99_ms <= found.max_ms
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"
