"""Reading flight folders: whole, cut, half missing, newer, and of 200,000 frames."""

from __future__ import annotations

import hashlib
import json
import resource
from pathlib import Path
from typing import Any

import pytest

from edge.flights.reader import FlightFolder
from edge.flights.settings import settings_document
from edge.support.errors import UsageError


def detection(seq: int, **more: Any) -> bytes:
    properties = {"schema": "spanhawk/detection/2", "flight_id": "f", "vehicle": "d", "seq": seq, **more}
    return json.dumps({"type": "Feature", "properties": properties}, ensure_ascii=False).encode() + b"\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(b"picture")
    (tmp_path / "summary.json").write_text('{"schema": "spanhawk/flight/1", "flight_id": "f"}', encoding="utf-8")
    (tmp_path / "detections.jsonl").write_bytes(detection(1) + detection(2))
    (tmp_path / "cracks.geojson").write_text(
        '{"features": [{"properties": {"schema": "spanhawk/crack/1", "crack_id": "c"}}]}', encoding="utf-8"
    )
    return tmp_path


def test_whole(folder: Path) -> None:
    flight = FlightFolder(folder)
    assert [one["properties"]["seq"] for one in flight.detections()] == [1, 2]
    assert flight.cracks()[0]["properties"]["crack_id"] == "c"
    assert flight.photo(hashlib.sha256(b"picture").hexdigest()) == folder / "photos" / "1.jpg"
    assert (flight.flight_id, flight.vehicle) == ("f", "d")
    assert flight.reviews() == {}
    assert flight.problems == []


def test_half_of_it_missing_and_the_rest_damaged(folder: Path) -> None:
    (folder / "summary.json").unlink()
    (folder / "cracks.geojson").write_bytes(b"\xff\x00{")
    odd = "\u05e9\u05dc\u05d5\u05dd\u202e \U0001f309 <script>" + "x" * 10_000
    lines = [
        detection(1, remark=odd),
        b"[1]\n",
        b"not json\n",
        b'{"properties": 7}\n',
        detection(2, score=float("nan")),
    ]
    (folder / "detections.jsonl").write_bytes(b"".join(lines) + detection(3)[:-20])
    flight = FlightFolder(folder)
    kept = list(flight.detections())
    assert [one["properties"]["remark"] for one in kept] == [odd]
    assert flight.cracks() == []
    assert flight.coverage() is None
    assert list(flight.frames()) == []
    assert flight.photo("0" * 64) is None
    assert flight.flight_id == "f"
    said = [str(problem) for problem in flight.problems]
    for words in (
        "summary.json: is missing",
        "cracks.geojson: is damaged: not JSON",
        "detections.jsonl: line 2 is damaged",
        "detections.jsonl: line 5 is damaged",
        "detections.jsonl: its last line (6) is cut off",
        "coverage.geojson: is missing",
        "frames.jsonl: is missing",
        "photos: the picture with SHA-256 000000000000 is not there",
    ):
        assert any(one.startswith(words) for one in said), (words, said)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("summary.json", '{"schema": "spanhawk/flight/2"}'),
        ("detections.jsonl", '{"properties": {"schema": "spanhawk/detection/3"}}\n'),
        ("cracks.geojson", '{"features": [{"properties": {"schema": "spanhawk/crack/2"}}]}'),
    ],
)
def test_a_newer_version_is_refused_by_name(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")

    def read() -> None:
        flight = FlightFolder(folder)
        list(flight.detections())
        flight.cracks()

    with pytest.raises(UsageError, match=f"{name}: written by a newer spanhawk"):
        read()


def test_what_is_no_flight_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a flight folder"):
        FlightFolder(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        FlightFolder(tmp_path / "x")


def test_200_000_frames_take_no_more_memory(folder: Path) -> None:
    line = b'{"seq": 1, "nav": {"lat_deg": 51.0, "lon_deg": 3.7}, "footprint": [[1, 2], [3, 4], [5, 6], [7, 8]]}\n'
    (folder / "frames.jsonl").write_bytes(line * 200_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(1 for _ in FlightFolder(folder).frames()) == 200_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 5_000, "kilobytes"


def test_settings_hold_no_secret() -> None:
    document = settings_document(
        camera={"url": "rtsp://user:wo/rd@camera/1", "fps": 5.0}, mqtt={"password_file": "x", "url": "mqtt://g"}
    )
    assert document["camera"] == {"url": "rtsp://***@camera/1", "fps": 5.0}
    assert document["mqtt"] == {"url": "mqtt://g"}
