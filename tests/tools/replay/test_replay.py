"""``spanhawk replay`` as a user runs it, with the fake segmenter where the network does not matter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest

from edge.cli import main
from edge.detections.wire import schema
from tests.mqtt.broker import mosquitto
from tests.navigation.material import Autopilot, tlog
from tests.pictures import concrete

ROOT = Path(__file__).parents[3]


def save(path: Path, rgb: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), rgb[..., ::-1])
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two cracked photos and a clean one, of different sizes and kinds."""
    folder = tmp_path / "photos"
    folder.mkdir()
    save(folder / "a.png", concrete())
    save(folder / "b.jpg", concrete(300, 400, cracked=False))
    save(folder / "c.tif", concrete(240, 360, seed=2))
    return folder


def fly(source: Path, out: Path, *more: str) -> int:
    return main(["replay", str(source), "--out", str(out), "--backend", "dark", *more])


def lines(out: Path) -> list[dict[str, dict[str, object]]]:
    return [json.loads(line) for line in (out / "detections.jsonl").read_text(encoding="utf-8").splitlines()]


def summary(out: Path) -> dict[str, object]:
    read: dict[str, object] = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    return read


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


def told_of(out: Path) -> int:
    """How many messages about cracks the replay wrote: their revisions."""
    cracks = json.loads((out / "cracks.geojson").read_text(encoding="utf-8"))["features"]
    return sum(crack["properties"]["revision"] for crack in cracks)


def test_delivery_to_a_real_broker_twice(photos: Path, tmp_path: Path) -> None:
    """The second replay sends again, with the same ids, so that a store keeps one copy."""
    with mosquitto(tmp_path) as broker:
        got = []
        for _ in range(2):
            assert fly(photos, tmp_path / "out", "--mqtt", broker.url) == 0
            got.append(summary(tmp_path / "out")["delivered"])
    assert got == [len(lines(tmp_path / "out")) + told_of(tmp_path / "out")] * 2


def test_absent_broker_keeps_everything_and_says_how_to_send_it(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.tools.replay.deliver.PATIENCE_S", 0.5)
    with mosquitto(tmp_path) as broker:
        url = broker.url
        broker.kill()  # SIGTERM so soon after the start can be lost: mosquitto 2.0 sets its handler before its flag
        assert fly(photos, tmp_path / "out", "--mqtt", url) == 75
        said = capsys.readouterr().err
        assert "did not reach the broker" in said
        assert "spanhawk outbox flush" in said
        broker.start()
        box = str(tmp_path / "out" / "outbox.db")
        assert main(["outbox", "flush", "--outbox", box, "--mqtt", url]) == 0
        assert main(["outbox", "list", "--outbox", box]) == 0
        states = [json.loads(line)["state"] for line in capsys.readouterr().out.splitlines()]
        assert states == ["confirmed"] * (len(lines(tmp_path / "out")) + told_of(tmp_path / "out"))
        assert main(["outbox", "flush", "--again", "--outbox", box, "--mqtt", url]) == 0
        assert f"{len(states)} letters delivered" in capsys.readouterr().err
        assert main(["outbox", "purge", "--outbox", box]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nowhere"], 2, "nowhere: no such file or folder"),
        (["empty"], 2, "no image"),
        (["photos", "--fps", "0"], 2, "--fps"),
        (["photos", "--fps", "nan"], 2, "--fps"),
        (["photos", "--nav-offset", "3"], 2, "--nav-offset"),
        (["photos", "--nav", "bad.csv", "--nav-offset", "inf"], 2, "--nav-offset"),
        (["photos", "--fps", "1e-300"], 2, "--fps"),
        (["damaged"], 2, "none of them can be read"),
        (["photos", "--masks", "--out", "mine"], 2, "files that no replay wrote"),
        (["photos", "--threads", "0"], 2, "--threads"),
        (["photos", "--vehicle", "a/b"], 2, "--vehicle"),
        (["photos", "--nav", "nowhere.csv"], 2, "nowhere.csv"),
        (["photos", "--nav", "bad.csv", "--fps", "1"], 78, "bad.csv"),
        (["photos", "--bundle", "empty", "--backend", "litert"], 78, "card.json"),
        (["photos", "--backend", "magic"], 78, "no backend 'magic'; known: "),
        (["photos", "--config", "typo.toml"], 78, "did you mean cracks?"),
        (["photos", "--mqtt", "http://x"], 78, "mqtt://"),
        (["photos", "--out", "file/out"], 2, "cannot write there"),
        (["text.txt"], 2, "text.txt"),
    ],
)
def test_bad_input_gets_one_sentence_and_the_right_code(
    photos: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "a.png").touch()
    (tmp_path / "mine" / "masks").mkdir(parents=True)
    (tmp_path / "mine" / "masks" / "a.png").write_text("ground truth")
    (tmp_path / "file").touch()
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "bad.csv").write_text("t_s,lat_deg,lon_deg\n0,51,3\n1,x,3\n")
    (tmp_path / "typo.toml").write_text("[crack]\n")
    assert main(["replay", "--backend", "dark", "--out", "out", *arguments]) == code
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("spanhawk: ")
    assert sentence in said


def test_a_second_replay_clears_the_first_ones_masks_and_a_failed_one_touches_nothing(
    photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert fly(photos, out, "--masks") == 0
    assert fly(photos, out, "--mqtt", "foo://x") == 78
    assert lines(out), "the earlier result is still there"
    (photos / "b.jpg").unlink()
    assert fly(photos, out, "--masks") == 0
    assert {path.stem for path in (out / "masks").iterdir()} == {"a", "c"}


def test_other_pictures_under_the_same_path_get_other_ids(photos: Path, tmp_path: Path) -> None:
    def ids() -> set[object]:
        assert fly(photos, tmp_path / "out") == 0
        return {document["id"] for document in lines(tmp_path / "out")}

    first = ids()
    assert ids() == first
    save(photos / "a.png", concrete(seed=9))
    assert not ids() & first


def test_a_file_name_that_is_not_utf8(photos: Path, tmp_path: Path) -> None:
    (photos / "a.png").rename(os.fsdecode(os.fsencode(photos) + b"/Br\xfccke.png"))
    assert fly(photos, tmp_path / "out", "--masks") == 0
    assert {document["properties"]["frame_name"] for document in lines(tmp_path / "out")} == {"Br\ufffdcke", "c"}
    assert (tmp_path / "out" / "masks" / "Br\ufffdcke.png").exists()


def test_one_bad_image_is_skipped_and_counted(photos: Path, tmp_path: Path) -> None:
    whole = (photos / "b.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "zero.png").touch()
    assert fly(photos, tmp_path / "out") == 0
    told = summary(tmp_path / "out")
    assert (told["frames"], told["skipped"], told["dropped"]) == (3, 2, 0)
    assert {bad["name"] for bad in told["skipped_files"]} == {"cut", "zero"}  # type: ignore[attr-defined]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
@pytest.mark.parametrize("size", ["64k", "8k", "4k"])
def test_a_full_disk_ends_with_75_and_keeps_whole_lines(photos: Path, tmp_path: Path, size: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    command = [
        sys.executable,
        "-m",
        "edge",
        "replay",
        str(photos),
        "--backend",
        "dark",
        "--out",
        str(disk),
        "--overlays",
    ]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert ran.returncode == 75, ran.stderr
        assert "No space left on device" in ran.stderr
        assert "Traceback" not in ran.stderr
        if (disk / "detections.jsonl").exists():
            for line in (disk / "detections.jsonl").read_text(encoding="utf-8").splitlines():
                json.loads(line)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
