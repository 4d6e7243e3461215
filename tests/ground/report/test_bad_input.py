"""Flights that are damaged, hostile or not there, and places where something lies already."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from edge import evidence
from edge.cli import main
from edge.frames import Frame, Moment
from edge.navigation import Attitude, Fix, FixKind, NavState
from edge.support.errors import TryAgainError, UsageError
from tests.ground.report import made
from tests.ground.report.reading import Page, change, copied, page, rows, told

pytest.importorskip("pyogrio", reason="the extra [report] is not installed")
pytest.importorskip("jinja2", reason="the extra [report] is not installed")

HOSTILE = (
    '</script><script>alert(1)</script><img src=x onerror=alert(2)> "quoted" '
    "'\u202eright to left\u202c אבג 🏗️ \ud800 \x00 &amp;"
)


def test_texts_from_outside_stay_texts(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    change(copy, 1, kind=HOSTILE)
    change(copy, 2, kind="x" * 10_000)
    change(copy, 3, kind="=1+1")
    change(copy, 4, state=HOSTILE)
    told(copy, tmp_path / "out", dxf=True)
    seen = Page(page(tmp_path / "out"))
    assert sum(tag == "script" for tag, _ in seen.elements) == 1
    assert not [attrs for _, attrs in seen.elements if any(key.startswith("on") for key in attrs)]
    assert "alert(1)" in seen.text
    assert "shortened from 10000 characters" in seen.text
    assert rows(tmp_path / "out")[made.name(2)]["kind"] == "x" * 10_000
    assert rows(tmp_path / "out")[made.name(3)]["kind"] == "'=1+1", "no formula for a spreadsheet"
    if shutil.which("ogrinfo") is not None:
        for name in ("cracks.gpkg", "cracks.kml", "cracks.geojson"):
            subprocess.run(["ogrinfo", "-ro", "-al", tmp_path / "out" / name], capture_output=True, check=True)


def test_names_that_mean_harm_are_names(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    names = [
        "=cmd|' /C calc'!A0",
        "</script><img src=x onerror=alert(1)>",
        "../../../etc/passwd",
        "\u202e@SUM(1)",
        "-" * 9000,
    ]
    text = (copy / "cracks.geojson").read_text() + "\0" + (copy / "detections.jsonl").read_text()
    for number, name in enumerate(names, 1):
        text = text.replace(json.dumps(made.name(number)), json.dumps(name))
    cracks, _, lines = text.partition("\0")
    (copy / "cracks.geojson").write_text(cracks)
    (copy / "detections.jsonl").write_text(lines.replace(f'"{made.FLIGHT}-0000000', '"../../../../etc/passwd'))
    reviews = [{"crack_id": name, "verdict": "confirmed", "grade": None, "remark": "+1\n=2"} for name in names]
    document = {"schema": "spanhawk/review/1", "flight_id": made.FLIGHT, "reviews": reviews}
    (copy / "review.json").write_text(json.dumps(document))
    out = tmp_path / "out"
    told(copy, out, dxf=True)
    cells = rows(out)
    assert set(cells) == {"'" + name if name[0] in "=-" else name for name in names} | {made.name(6)}
    assert all(cells[name]["remark"] == "'+1\n=2" for name in cells if name != made.name(6))
    seen = Page(page(out))
    assert not [attrs for _, attrs in seen.elements if any(key.startswith("on") for key in attrs)]
    assert {path.name for path in tmp_path.iterdir()} <= {copy.name, "out"}
    assert len(list((out / "photos").iterdir())) == 6, "found by their hashes, not by what they are called"


@pytest.mark.parametrize("gone", ["summary.json", "cracks.geojson", "detections.jsonl", "frames.jsonl", "photos"])
def test_what_is_missing_is_named_and_the_rest_is_done(flight: Path, tmp_path: Path, gone: str) -> None:
    copy = copied(flight, tmp_path)
    shutil.rmtree(copy / gone) if (copy / gone).is_dir() else (copy / gone).unlink()
    said = told(copy, tmp_path / "out")
    assert len(rows(tmp_path / "out")) == 6
    text = Page(page(tmp_path / "out")).text
    assert gone in said
    assert gone in text if gone != "photos" else "is not in the flight's folder" in text


def test_files_that_a_power_cut_left_half(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    for name in ("detections.jsonl", "cracks.geojson", "frames.jsonl"):
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[: len(whole) * 6 // 10])
    photo = next((copy / "photos").glob("*00001.jpg"))
    photo.write_bytes(b"")
    said = told(copy, tmp_path / "out")
    assert all(name in said for name in ("detections.jsonl", "cracks.geojson", "frames.jsonl"))
    assert len(rows(tmp_path / "out")) == 3, "findings come from the detections that are whole"


def test_a_changed_photo_is_said_to_be_changed(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    photo = next((copy / "photos").glob("*00002.jpg"))
    data = bytearray(photo.read_bytes())
    data[len(data) // 2] ^= 1
    photo.write_bytes(data)
    told(copy, tmp_path / "out")
    assert "it was changed" in Page(page(tmp_path / "out")).text


def test_a_folder_without_a_flight_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="folder"):
        told(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_flights_in_one_folder_are_told(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    lines = (copy / "detections.jsonl").read_text()
    (copy / "detections.jsonl").write_text(lines + lines.replace(f'"{made.FLIGHT}"', '"another"'))
    assert f"detections of 2 flights lie in one folder ({made.FLIGHT}, another)" in told(copy, tmp_path / "out")


def test_nothing_is_overwritten_without_being_asked(flight: Path, out: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "cracks.csv").write_text("mine")
    with pytest.raises(UsageError, match="--overwrite"):
        told(flight, folder)
    assert [path.name for path in folder.iterdir()] == ["cracks.csv"]
    (folder / "notes.txt").write_text("mine too")
    told(flight, folder, overwrite=True)
    assert (folder / "notes.txt").read_text() == "mine too"
    assert len(rows(folder)) == 6


def test_of_the_report_that_is_replaced_nothing_stays_and_of_the_users_files_all(tmp_path: Path) -> None:
    """The earlier flight has more photos, places in them, and a drawing; the user has changed one photo of it."""
    flown, out = made.write(tmp_path / "flown", 5), tmp_path / "out"
    photos = sorted((flown / "photos").iterdir())
    nav = NavState(0, Fix(FixKind.RTK_FIXED, 51.05, 3.72, 12.5, 0.02, 0.04, 3), Attitude(1.5, -80.0, 275.5), 2.0)
    frame = Frame(1, 0, 500, np.full((480, 640, 3), 90, np.uint8))
    evidence.save(frame, nav, Moment(datetime(2026, 6, 1, tzinfo=timezone.utc), True), flown / "photos", photos[4].name)
    told(flown, out, dxf=True)
    assert (out / "photos" / "geo.txt").is_file()
    assert (out / "photos" / photos[2].name).is_file()
    (out / "photos" / photos[3].name).write_bytes(b"with an arrow drawn on it")
    (out / "photos" / "mine.jpg").write_bytes(photos[4].read_bytes())
    told(made.write(tmp_path / "next", 1), out, overwrite=True)
    names = {"index.html", "cracks.gpkg", "cracks.geojson", "cracks.csv", "cracks.kml", "photos"}
    assert {path.name for path in out.iterdir()} == names
    assert {path.name for path in (out / "photos").iterdir()} == {photos[0].name, photos[3].name, "mine.jpg"}


@pytest.mark.parametrize("inside", [".", "photos", "new"])
def test_the_flight_itself_is_never_written_to(
    flight: Path, tmp_path: Path, inside: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = copied(flight, tmp_path)
    before = {path: path.read_bytes() for path in sorted(copy.rglob("*")) if path.is_file()}
    with pytest.raises(UsageError, match="lies in the flight itself"):
        told(copy, copy / inside, overwrite=True)
    assert main(["export", str(copy), "--coco", "--out", str(copy / inside), "--overwrite"]) == 2
    assert f"name another folder, or {copy / 'exports'}" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in sorted(copy.rglob("*")) if path.is_file()} == before
    told(copy, copy / "report")
    assert len(rows(copy / "report")) == 6


@pytest.mark.parametrize("name", ["summary.json", "coverage.geojson", "cracks.geojson", "detections.jsonl"])
def test_a_flight_of_a_newer_version_is_refused_by_name(flight: Path, tmp_path: Path, name: str) -> None:
    copy = copied(flight, tmp_path)
    if name == "coverage.geojson":
        (copy / name).write_text('{"schema": "spanhawk/coverage/1"}')
    text = (copy / name).read_text()
    (copy / name).write_text(re.sub(r"(spanhawk/(?:flight|coverage|crack|detection))/\d", r"\1/9", text))
    with pytest.raises(UsageError, match=f"{name}: written by a newer spanhawk"):
        told(copy, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_geopackage_that_another_program_writes_is_left_alone(flight: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    told(flight, folder)
    before = (folder / "cracks.gpkg").read_bytes()
    (folder / "cracks.csv").unlink()
    held = sqlite3.connect(folder / "cracks.gpkg", isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TryAgainError, match="is locked by another program"):
        told(flight, folder, overwrite=True)
    held.rollback()
    held.close()
    assert (folder / "cracks.gpkg").read_bytes() == before
    assert len(rows(folder)) == 6, "every other file is written"
    told(flight, folder, overwrite=True)


def test_a_geopackage_open_with_a_write_ahead_log_is_left_alone(flight: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    told(flight, folder)
    held = sqlite3.connect(folder / "cracks.gpkg", isolation_level=None)
    held.execute("PRAGMA journal_mode = WAL")  # as QGIS opens it
    held.execute("UPDATE gpkg_contents SET description = 'mine'")
    with pytest.raises(TryAgainError, match="open in another program"):
        told(flight, folder, overwrite=True)
    held.close()
    told(flight, folder, overwrite=True)


def test_a_missing_library_is_named(flight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=re.escape("pip install 'spanhawk[report]'")):
        told(flight, tmp_path / "out")


def test_the_command(flight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(flight), "--out", str(tmp_path / "out")]) == 0
    assert "6 findings, 6 with a photo" in capsys.readouterr().err
    assert main(["report", str(flight), "--out", str(tmp_path / "out")]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_the_drone_does_not_load_it() -> None:
    heavy = {"jinja2", "pyogrio", "edge.ground"}
    code = f"import sys, edge.pipeline, edge.settings; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
