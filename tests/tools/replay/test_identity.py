"""Which flight a replay is, what it plays, and when each frame was: nothing invented, nothing in silence."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.pictures import concrete
from tests.tools.replay.running import fly, lines, save, summary


def nav(path: Path) -> Path:
    rows = ["t_s,lat_deg,lon_deg,alt_amsl_m,roll_deg,pitch_deg,yaw_deg,range_m,h_accuracy_m"]
    rows += ["0.0,,,,,,,,", "1.9,51.0540,3.7170,8,0,0,90,2.0,0.02", "2.1,51.0540,3.7172,8,0,0,90,2.0,0.02"]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def flight_id(source: Path, out: Path, *more: str) -> object:
    assert fly(source, out, *more) == 0
    return summary(out)["flight_id"]


def flat(path: Path, value: int) -> Path:
    """An uncompressed picture: of one size whatever it shows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(path, np.full((60, 80, 3), value, np.uint8))


def test_content_decides_a_replay_s_ids(tmp_path: Path) -> None:
    for flight, value in (("A", 90), ("B", 91), ("C", 90)):
        flat(tmp_path / flight / "capture" / "frame_0001.bmp", value)
    ids = [flight_id(tmp_path / flight / "capture", tmp_path / f"out{flight}") for flight in "ABC"]
    assert ids[0] != ids[1], "two flights with equal names and sizes"
    assert ids[0] == ids[2], "the same flight in another place"


def test_what_is_not_played_changes_no_ids(photos: Path, tmp_path: Path) -> None:
    before = flight_id(photos, tmp_path / "before")
    for name in (".DS_Store", "Thumbs.db", "notes.txt", "._a.png", "other.gif"):
        (photos / name).write_bytes(b"anything")
    assert flight_id(photos, tmp_path / "after") == before
    assert (tmp_path / "after/detections.jsonl").read_bytes() == (tmp_path / "before/detections.jsonl").read_bytes()


def test_another_version_gives_other_ids(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = flight_id(photos, tmp_path / "before")
    monkeypatch.setattr("edge.tools.replay.fly.__version__", "0.0.0")
    assert flight_id(photos, tmp_path / "after") != before


def test_what_is_not_read_is_said_once_and_written_down(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (photos / "d.gif").write_bytes(b"GIF89a")
    (photos / "100MEDIA").mkdir()
    (photos / "100MEDIA" / "x.jpg").write_bytes(b"")
    assert fly(photos, tmp_path / "out") == 0
    assert summary(tmp_path / "out")["not_read"] == {"files": {".gif": 1}, "folders": ["100MEDIA"]}
    assert caplog.text.count("not read: 1 .gif, the pictures in 100MEDIA/") == 1


def timed(path: Path, time: str | None) -> None:
    tags = Image.Exif()
    if time is not None:
        tags.get_ifd(0x8769)[0x9003] = time
    Image.fromarray(concrete()).save(path, exif=tags)


def test_one_photo_without_a_time_does_not_place_the_others_by_an_invented_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, time in enumerate(["2026:05:01 10:00:00", None, "2026:05:01 10:00:02"]):
        timed(folder / f"{index}.jpg", time)
    log = str(nav(tmp_path / "nav.csv"))
    for name, more in (("own", []), ("said", ["--fps", "1"])):
        assert fly(folder, tmp_path / name, "--nav", log, *more) == 0
        placed = {document["properties"]["frame_name"]: document["geometry"] for document in lines(tmp_path / name)}
        assert placed["2"]["coordinates"] == [3.7171, 51.054]
        assert placed["1"] is None
    (folder / "0.jpg").write_bytes(b"")
    timed(folder / "1.jpg", "2026:05:01 10:00:01")
    assert fly(folder, tmp_path / "out", "--nav", log) == 2
    assert "0.jpg" in capsys.readouterr().err


def test_fps_of_a_video_is_heeded(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (320, 240))
    for _ in range(3):
        writer.write(np.ascontiguousarray(concrete()[..., ::-1]))
    writer.release()
    assert fly(path, tmp_path / "out", "--nav", str(nav(tmp_path / "nav.csv")), "--fps", "1") == 0
    placed = {document["properties"]["frame_name"]: document["geometry"] for document in lines(tmp_path / "out")}
    assert placed["v_000000"] is None
    assert placed["v_000002"]["coordinates"] == [3.7171, 51.054]


def test_a_bare_stream_is_not_placed_by_a_guessed_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "v.h264").write_bytes(b"\0\0\0\1")
    assert fly(tmp_path / "v.h264", tmp_path / "out", "--nav", str(nav(tmp_path / "nav.csv"))) == 2
    assert "its frames carry no times; say how many there are a second with --fps" in capsys.readouterr().err


def test_pictures_read_smaller_are_another_flight_and_a_video_is_not_reduced(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, half = flight_id(photos, tmp_path / "whole"), flight_id(photos, tmp_path / "half", "--reduce", "2")
    assert whole != half
    settings = json.loads((tmp_path / "half" / "settings.json").read_text(encoding="utf-8"))
    assert settings["command"]["reduce"] == 2
    video = tmp_path / "wall.mp4"
    video.write_bytes(b"any")
    assert fly(video, tmp_path / "out", "--reduce", "4") == 2
    assert "read at its own size; leave it out" in capsys.readouterr().err
