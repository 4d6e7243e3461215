"""``spanhawk replay`` as a user runs it, with the fake segmenter where the network does not matter."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest
from paho.mqtt import subscribe

from edge.cli import main
from edge.detections.wire import schema
from edge.ground import Batch
from edge.ground.incoming import read
from edge.tools.replay.fly import Tally, motion_said
from tests.mqtt.broker import mosquitto
from tests.navigation.material import Autopilot, tlog
from tests.pictures import concrete
from tests.tools.replay.running import ROOT, fly, lines, save, summary, told_of


def test_folder_to_detections_summary_masks_and_overlays(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert fly(photos, out, "--masks", "--overlays") == 0
    found = lines(out)
    for document in found:
        jsonschema.Draft202012Validator(schema()).validate(document)
    assert {document["properties"]["frame_name"] for document in found} == {"a", "c"}
    assert all(document["geometry"] is None for document in found)
    told = summary(out)
    wanted = {
        "frames": 3,
        "dropped": 0,
        "skipped": 0,
        "detections": len(found),
        "backend": "dark",
        "frames_with_cracks": 2,
        "suppressed": {"weak": 0},
    }
    assert {key: told[key] for key in wanted} == wanted
    for name, size in (("a", (240, 320)), ("b", (300, 400)), ("c", (240, 360))):
        mask = cv2.imread(str(out / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == size
        assert set(np.unique(mask)) <= {0, 255}
        assert bool(mask.any()) is (name != "b"), "empty where nothing is reported"
        assert (out / "overlays" / f"{name}.jpg").exists()


def test_that_the_motion_of_most_frames_is_not_known_is_said_once(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fly(photos, tmp_path / "photos") == 0
    assert "".join(capsys.readouterr()).count("widths are read as if it stood still") == 1
    tally = Tally(frames=9, frames_with_cracks=3, motion_unknown=1)
    assert motion_said(tally) == "", "a flight's first frame alone"
    assert motion_said(replace(tally, motion_unknown=2)) != ""
    assert motion_said(Tally(frames=9)) == "", "no widths, nothing to say"


def test_what_is_not_reported_is_counted_and_leaves_the_masks(photos: Path, tmp_path: Path) -> None:
    config = tmp_path / "strict.toml"
    config.write_text('[masks]\nunsigned = "allow"\n[report]\nsure_length_px = 1e6\n', encoding="utf-8")
    bundle = str(ROOT / "tests" / "masks" / "fixtures" / "pixel")
    for name, more in (("out", []), ("strict", ["--masks", "--overlays", "--config", str(config)])):
        assert main(["replay", str(photos), "--out", str(tmp_path / name), "--bundle", bundle, *more]) == 0
    usual, strict = summary(tmp_path / "out"), summary(tmp_path / "strict")
    assert (strict["detections"], strict["frames_with_cracks"]) == (0, 0)
    assert usual["detections"] == strict["suppressed"]["weak"] > 0  # type: ignore[index]
    assert usual["flight_id"] != strict["flight_id"]
    for name in "abc":
        assert not cv2.imread(str(tmp_path / "strict" / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED).any()


def test_one_image_and_a_second_run_agree_to_the_byte(photos: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert fly(photos / "a.png", tmp_path / name) == 0
    first, second = ((tmp_path / name / "detections.jsonl").read_bytes() for name in ("one", "two"))
    assert first
    assert first == second


def test_a_second_look_is_counted_and_repeats_to_the_byte(photos: Path, tmp_path: Path) -> None:
    config = tmp_path / "again.toml"
    config.write_text('[masks]\nunsigned = "allow"\nsecond_look = 2\n', encoding="utf-8")
    bundle = str(ROOT / "tests" / "masks" / "fixtures" / "pixel")
    for name, more in (("none", []), ("one", ["--config", str(config)]), ("two", ["--config", str(config)])):
        assert main(["replay", str(photos), "--out", str(tmp_path / name), "--bundle", bundle, *more]) == 0
    assert [summary(tmp_path / name)["second_looks"] for name in ("none", "one", "two")] == [0, 6, 6]
    first, second = ((tmp_path / name / "detections.jsonl").read_bytes() for name in ("one", "two"))
    assert first
    assert first == second


def test_a_look_at_half_size_is_counted_and_repeats_to_the_byte(tmp_path: Path) -> None:
    """The same wall sharp and blurred: one frame of two is looked at again."""
    (tmp_path / "photos").mkdir()
    for name, sigma in (("a", 0.5), ("b", 3.0)):
        cv2.imwrite(str(tmp_path / "photos" / f"{name}.png"), cv2.GaussianBlur(concrete()[..., ::-1], (0, 0), sigma))
    config = tmp_path / "half.toml"
    config.write_text('[masks]\nunsigned = "allow"\nhalf_look = "blurred"\n', encoding="utf-8")
    bundle = str(ROOT / "tests" / "masks" / "fixtures" / "pixel")
    for name, more in (("none", []), ("one", ["--config", str(config)]), ("two", ["--config", str(config)])):
        assert main(["replay", str(tmp_path / "photos"), "--out", str(tmp_path / name), "--bundle", bundle, *more]) == 0
    looks = [summary(tmp_path / name)["second_looks"] for name in ("none", "one", "two")]
    assert looks[0] == 0
    assert looks[1] == looks[2] > 0
    first, second = ((tmp_path / name / "detections.jsonl").read_bytes() for name in ("one", "two"))
    assert first
    assert first == second


def test_video(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (320, 240))
    for _ in range(5):
        writer.write(np.ascontiguousarray(concrete()[..., ::-1]))
    writer.release()
    assert fly(path, tmp_path / "out", "--masks") == 0
    assert summary(tmp_path / "out")["frames"] == 5
    assert min(p.name for p in (tmp_path / "out" / "masks").iterdir()) == "v_000000.png"


def nav(path: Path) -> Path:
    rows = ["t_s,lat_deg,lon_deg,alt_amsl_m,roll_deg,pitch_deg,yaw_deg,range_m,h_accuracy_m"]
    rows += ["0.0,,,,,,,,", "1.9,51.0540,3.7170,8,0,0,90,2.0,0.02", "2.1,51.0540,3.7172,8,0,0,90,2.0,0.02"]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_photos_without_times_are_not_looked_up_in_a_log(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They used to be taken for one a second: wrong places, and a warning that few read."""
    assert fly(photos, tmp_path / "out", "--nav", str(nav(tmp_path / "nav.csv"))) == 2
    assert "none of 3 images says when it was taken" in capsys.readouterr().err


def test_coordinates_come_from_the_nav_file(photos: Path, tmp_path: Path) -> None:
    """Frames at 0, 1, 2 s; the log has no fix at first, and one on either side of 2 s."""
    config = tmp_path / "lens.toml"
    config.write_text("[scale]\nhfov_deg = 60\n", encoding="utf-8")
    out = tmp_path / "out"
    assert fly(photos, out, "--nav", str(nav(tmp_path / "nav.csv")), "--fps", "1", "--config", str(config)) == 0
    by_frame = {document["properties"]["frame_name"]: document for document in lines(out)}
    assert by_frame["a"]["geometry"] is None
    assert by_frame["a"]["properties"]["size"] is None
    # Two numbers: the log's height is none above the ellipsoid.
    assert by_frame["c"]["geometry"]["coordinates"] == pytest.approx([3.7171, 51.054], abs=1e-4)
    assert by_frame["c"]["properties"]["nav"]["alt_amsl_m"] == 8.0
    assert by_frame["c"]["properties"]["size"] is not None


def two_drones(path: Path) -> Path:
    """Systems 1 and 4 in one telemetry log, five seconds, standing still."""
    records: list[tuple[float, bytes]] = []
    pilots = [(Autopilot(1), 51.0), (Autopilot(4), 52.0)]
    for step in range(50):
        for pilot, lat_deg in pilots:
            beat = [pilot.heartbeat()] if step % 10 == 0 else []
            frames = [*beat, pilot.gps(lat_deg=lat_deg), pilot.place(step * 100, lat_deg)]
            records += [(step / 10, frame) for frame in frames]
    path.write_bytes(tlog(records))
    return path


def test_whose_position_is_said_and_can_be_chosen(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log, config = str(two_drones(tmp_path / "both.tlog")), tmp_path / "own.toml"
    config.write_text('[navigation]\nbackend = "mavlink"\nsystem_id = 4\n', encoding="utf-8")
    assert fly(photos, tmp_path / "first", "--nav", log, "--fps", "1") == 0
    assert fly(photos, tmp_path / "chosen", "--nav", log, "--fps", "1", "--config", str(config)) == 0
    first, chosen = lines(tmp_path / "first"), lines(tmp_path / "chosen")
    assert {document["geometry"]["coordinates"][1] for document in first} == {51.0}
    assert {document["geometry"]["coordinates"][1] for document in chosen} == {52.0}
    [said] = summary(tmp_path / "first")["warnings"]  # type: ignore[misc]
    assert "not of system 4, component 1 (quadrotor); choose one with navigation.system_id" in said
    assert said in caplog.text
    assert summary(tmp_path / "chosen")["warnings"] == []
    assert summary(tmp_path / "first")["flight_id"] != summary(tmp_path / "chosen")["flight_id"]


def test_the_logging_computers_clock_is_a_label_and_no_more(photos: Path, tmp_path: Path) -> None:
    """No satellites vouch for any time in this log; the ground station's SYSTEM_TIME of 2025 is not used."""
    pilot, records = Autopilot(), []
    for step in range(50):
        frames = [pilot.heartbeat(), pilot.gps(fix_type=1), pilot.system_time(step * 100, 1_740_000_000_000_000)]
        records += [(step / 10, frame) for frame in (*frames, pilot.attitude(step * 100))]
    log = tmp_path / "indoors.tlog"
    log.write_bytes(tlog(records))
    assert fly(photos, tmp_path / "out", "--nav", str(log), "--fps", "1") == 0
    seen = [
        (document["properties"]["seen_at"], document["properties"]["clock_synced"])
        for document in lines(tmp_path / "out")
    ]
    assert set(seen) == {("2026-05-04T10:00:00.000Z", False), ("2026-05-04T10:00:02.000Z", False)}


def test_nav_offset_and_fps_move_the_frames_along_the_log(photos: Path, tmp_path: Path) -> None:
    log = str(nav(tmp_path / "nav.csv"))
    assert fly(photos, tmp_path / "late", "--nav", log, "--nav-offset", "2.0", "--fps", "100") == 0
    assert all(document["geometry"] is not None for document in lines(tmp_path / "late"))


def test_a_frame_budget_does_not_make_a_replay_depend_on_the_machine(photos: Path, tmp_path: Path) -> None:
    config = tmp_path / "hurry.toml"
    config.write_text('[masks]\nbudget_ms = 0.001\nunsigned = "allow"\n', encoding="utf-8")
    bundle = str(ROOT / "tests" / "masks" / "fixtures" / "pixel")
    for name, more in (("whole", []), ("hurried", ["--config", str(config)])):
        out = str(tmp_path / name)
        assert main(["replay", str(photos), "--out", out, "--bundle", bundle, "--masks", *more]) == 0
    whole, hurried = ((tmp_path / name / "detections.jsonl").read_bytes() for name in ("whole", "hurried"))
    assert whole
    assert whole == hurried


def test_delivery_to_a_real_broker_twice(photos: Path, tmp_path: Path) -> None:
    """The second replay sends again, with the same ids, so that a store keeps one copy."""
    with mosquitto(tmp_path) as broker:
        got = []
        for _ in range(2):
            assert fly(photos, tmp_path / "out", "--mqtt", broker.url) == 0
            got.append(summary(tmp_path / "out")["delivered"])
        status = subscribe.simple("spanhawk/replay/status", hostname="localhost", port=broker.port)
    assert got == [len(lines(tmp_path / "out")) + told_of(tmp_path / "out")] * 2
    assert read(status.topic, status.payload, datetime.now(timezone.utc), Batch()) is None, "the ground takes it"
    assert json.loads(status.payload)["flight_id"] == summary(tmp_path / "out")["flight_id"]


def test_other_pictures_under_the_same_path_get_other_ids(photos: Path, tmp_path: Path) -> None:
    def ids() -> set[object]:
        assert fly(photos, tmp_path / "out") == 0
        return {document["id"] for document in lines(tmp_path / "out")}

    first = ids()
    assert ids() == first
    save(photos / "a.png", concrete(seed=9))
    assert not ids() & first
