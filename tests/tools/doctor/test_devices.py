from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.masks import edgetpu
from edge.masks.traits import Device
from edge.support.clock import SystemClock
from edge.support.errors import EXIT_CONFIG, EXIT_UNAVAILABLE, BundleError, DeviceError
from edge.tools.doctor import Level, Result, camera, failed, model, navigation
from edge.tools.doctor import model as model_checks
from tests.mqtt.broker import free_port
from tests.navigation.material import Autopilot
from tests.tools.doctor.bench import bench


def test_a_camera_that_delivers(tmp_path: Path) -> None:
    looked = bench(tmp_path, SystemClock())
    result = camera.camera(looked)
    assert result.level is Level.OK, result
    assert "320x180" in result.found
    assert looked.frame is not None
    assert looked.fps == pytest.approx(50, rel=0.2)


def test_no_camera_is_opened_once_only_and_said_with_the_fix(tmp_path: Path) -> None:
    looked = bench(tmp_path, SystemClock(), camera={"backend": "v4l2", "device": str(tmp_path / "video9")})
    result = camera.camera(looked)
    assert (result.level, result.exit_code) == (Level.FAIL, EXIT_UNAVAILABLE)
    assert "video9; plug the camera in" in f"{result.found}; {result.fix}"
    assert looked.frame is None


@pytest.mark.parametrize(("grey", "level", "word"), [(0, Level.FAIL, "black"), (255, Level.WARN, "overexposed")])
def test_a_covered_and_a_blinded_camera(tmp_path: Path, grey: int, level: Level, word: str) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((90, 160, 3), grey, np.uint8))
    looked = bench(tmp_path, SystemClock(), camera={"backend": "folder", "path": str(folder), "fps": 100.0})
    result = camera.camera(looked)
    assert result.level is level
    assert word in result.found


def test_the_bundle_that_ships_is_right_and_fast_enough(tmp_path: Path) -> None:
    looked = bench(tmp_path, masks={"backend": "litert"})
    result = model.model(looked)
    assert result.level is Level.OK, result
    assert "golden answer right" in result.found
    assert looked.runs_on == "cpu"
    assert model.accelerator(looked).level is Level.NOT_APPLICABLE


def test_slow_kernels_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_checks, "_best_s", lambda segmenter, frame: 6.9)  # as measured without XNNPACK
    result = model.model(bench(tmp_path, masks={"backend": "litert"}))
    assert (result.level, result.exit_code) == (Level.FAIL, EXIT_CONFIG)
    assert "/proc/cpuinfo" in str(result.fix)
    emulated = bench(tmp_path, masks={"backend": "litert"})
    emulated.slower = 50.0
    result = model.model(emulated)
    assert result.level is Level.OK
    assert "judged as on a computer that is 50 times slower than a board" in result.found


def test_a_wrong_bundle_does_not_fly(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"card\.json"):
        model.model(bench(tmp_path, masks={"backend": "litert", "bundle": str(tmp_path)}))


def test_a_fake_is_no_model(tmp_path: Path) -> None:
    assert model.model(bench(tmp_path)).level is Level.WARN


def test_where_the_edge_tpu_hangs(tmp_path: Path) -> None:
    usb, apex = tmp_path / "usb", tmp_path / "apex"
    with pytest.raises(DeviceError, match=r"no Edge TPU on USB or PCIe; .*USB 3"):
        edgetpu.find_device(edgetpu.Options(), usb, apex)
    for name, ids, speed in (("1-1", ("1d6b", "0002"), "480"), ("2-1", ("18d1", "9302"), "480")):
        (usb / name).mkdir(parents=True)
        for file, text in (("idVendor", ids[0]), ("idProduct", ids[1]), ("speed", speed)):
            (usb / name / file).write_text(f"{text}\n")
    found = edgetpu.find_device(edgetpu.Options(), usb, apex)
    assert found.where == "Edge TPU on USB 2 (480 Mbit/s)"
    assert "USB 3 port" in (found.advice or "")
    (usb / "2-1" / "speed").write_text("5000\n")
    assert edgetpu.find_device(edgetpu.Options(), usb, apex) == Device("Edge TPU on USB 3 (5000 Mbit/s)")
    (apex / "apex_0").mkdir(parents=True)
    assert edgetpu.find_device(edgetpu.Options(), usb, apex) == Device("Edge TPU on PCIe")


def test_an_accelerator_that_is_no_faster_than_the_cpu_does_not_do_the_work() -> None:
    well, slow = Device("NPU"), Device("NPU on USB 2", "use USB 3")
    assert model.owned(well, 0.02, "litert", 0.15) == Result(Level.OK, "NPU; 20 ms a tile, litert takes 150")
    found = model.owned(slow, 0.06, "litert", 0.15)
    assert (found.level, found.fix) == (Level.WARN, "use USB 3")
    found = model.owned(well, 0.14, "litert", 0.15)
    assert (found.level, found.exit_code) == (Level.FAIL, EXIT_CONFIG)
    assert "does not do the work" in found.found


@pytest.mark.parametrize("table", [{"backend": "edgetpu"}, {"backend": "onnx", "provider": "tensorrt"}])
def test_an_absent_accelerator_is_named_with_the_fix(tmp_path: Path, table: dict[str, Any]) -> None:
    try:
        result = model.accelerator(bench(tmp_path, masks=table))
    except DeviceError as absent:  # as examine() hears it
        result = failed(absent, "")
    assert (result.level, result.exit_code) == (Level.FAIL, EXIT_UNAVAILABLE)
    assert result.fix


def test_onnx_on_the_cpu_needs_no_accelerator(tmp_path: Path) -> None:
    result = model.accelerator(bench(tmp_path, masks={"backend": "onnx", "provider": "cpu"}))
    assert result.level is Level.NOT_APPLICABLE
    assert "onnx" in result.found


@contextmanager
def autopilot(*, fix_type: int, beside: Autopilot | None = None) -> Iterator[dict[str, Any]]:
    """Speaks MAVLink over UDP from a thread until the block ends; yields the [navigation] table that listens.

    ``beside``: another drone that heartbeats on the same link.
    """
    import socket

    from pymavlink.dialects.v20 import common

    port, stop, pilot = free_port(), threading.Event(), Autopilot()

    def speak() -> None:
        boot_ms = 10_000
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
            while not stop.wait(0.05):
                boot_ms += 50
                gps = common.MAVLink_gps_raw_int_message(
                    boot_ms * 1000, fix_type, 510000000, 37000000, 10000, 100, 100, 0, 0, 12, 0, 800, 1200
                )
                place = common.MAVLink_global_position_int_message(
                    boot_ms, 510000000, 37000000, 10000, 5000, 0, 0, 0, 9000
                )
                turn = common.MAVLink_attitude_message(boot_ms, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
                far = common.MAVLink_distance_sensor_message(boot_ms, 10, 4000, 170, 0, 1, 0, 0)
                others = [] if beside is None else [beside.heartbeat()]
                for datagram in (pilot.heartbeat(), *map(pilot.pack, (gps, place, turn, far)), *others):
                    wire.sendto(datagram, ("127.0.0.1", port))

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield {"backend": "mavlink", "device": f"udp:127.0.0.1:{port}"}
    finally:
        stop.set()
        thread.join()


def test_an_autopilot_with_a_fix(tmp_path: Path) -> None:
    with autopilot(fix_type=6) as table:
        looked = bench(tmp_path, SystemClock(), navigation=table)
        heard = navigation.source(looked)
    assert heard.level in (Level.OK, Level.WARN), heard
    result = navigation.fix(looked)
    assert result.level is Level.OK
    assert "RTK_FIXED, ±0.8 m" in result.found


def test_a_second_drone_on_the_link_is_named(tmp_path: Path) -> None:
    with autopilot(fix_type=3, beside=Autopilot(7)) as table:
        heard = navigation.source(bench(tmp_path, SystemClock(), navigation=table))
    assert heard.level is Level.WARN
    assert "not of system 7, component 1 (quadrotor); choose one with navigation.system_id" in heard.found


def test_an_autopilot_without_a_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(navigation, "_HEAR_S", 1.0)
    with autopilot(fix_type=1) as table:
        looked = bench(tmp_path, SystemClock(), navigation=table)
        navigation.source(looked)
    result = navigation.fix(looked)
    assert result.level is Level.FAIL
    assert "open sky" in str(result.fix)


def test_silence(tmp_path: Path) -> None:
    looked = bench(tmp_path, navigation={"backend": "mavlink", "device": f"udp:127.0.0.1:{free_port()}"})
    result = navigation.source(looked)
    assert result.level is Level.FAIL
    assert "no heartbeat" in result.found
    assert "baud rate" in str(result.fix)


def test_a_stated_place_is_told(tmp_path: Path) -> None:
    looked = bench(tmp_path)
    assert navigation.source(looked).level is Level.WARN
    assert navigation.fix(looked).level is Level.OK
