"""Folders that a replay must not write into: evidence and pictures that no replay can bring back."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge.cli import main
from edge.flights.writer import FlightWriter
from edge.support.clock import ManualClock
from tests.tools.replay.running import fly, lines


def content(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def flight(tmp_path: Path) -> Path:
    """What a drone wrote."""
    folder = tmp_path / "20260601T120000Z-ab12cd"
    writer = FlightWriter(folder, ManualClock(datetime(2026, 6, 1, 12, tzinfo=timezone.utc)), folder.name)
    writer.append("detections.jsonl", b'{"properties":{}}\n')
    writer.append("frames.jsonl", b"{}\n")
    writer.seal(interrupted=False)
    return folder


@pytest.mark.parametrize("inside", [".", "again", "photos/again"])
@pytest.mark.parametrize("more", [(), ("--mqtt", "mqtt://127.0.0.1:9")])
def test_a_flight_of_a_drone_is_never_replaced(
    photos: Path, flight: Path, inside: str, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(flight)
    assert fly(photos, flight / inside, *more) == 2
    assert content(flight) == before
    assert "name another folder" in capsys.readouterr().err
    assert main(["verify", str(flight)]) == 0


def test_beside_a_flight_and_in_its_report_folder_there_is_room(photos: Path, flight: Path) -> None:
    assert fly(photos, flight / "report" / "again") == 0
    assert fly(photos, flight.parent / "again") == 0


def test_an_earlier_replay_is_replaced_and_not_where_it_is_what_is_replayed(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "found"
    assert fly(photos, out) == 0
    first = content(out)
    assert fly(photos, out) == 0
    assert content(out).keys() == first.keys()
    assert (out / "photos").is_dir()
    before = content(out)
    for source in (out, out / "photos"):
        assert fly(source, out) == 2
        assert content(out) == before
    assert fly(out, tmp_path / "elsewhere") == 0


@pytest.mark.parametrize("drawn", [False, True])
def test_a_mask_that_was_drawn_by_hand_or_corrected_stays(photos: Path, tmp_path: Path, drawn: bool) -> None:
    out = tmp_path / "found"
    assert fly(photos, out, *(("--masks",) if drawn else ())) == 0
    (out / "masks").mkdir(exist_ok=True)
    mask = out / "masks" / ("a.png" if drawn else "mine.png")
    mask.write_bytes(b"by hand")
    assert fly(photos, out, "--masks") == 2
    assert mask.read_bytes() == b"by hand"
    mask.unlink()
    assert fly(photos, out, "--masks") == 0


@pytest.mark.parametrize("name", ["cracks.geojson", "summary.json", "mosaic.png", "detections.jsonl"])
def test_somebody_elses_files_stay(photos: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "found"
    out.mkdir()
    (out / name).write_text("mine")
    assert fly(photos, out) == 2
    assert (out / name).read_text() == "mine"


def test_a_manifest_cannot_lead_out_of_its_folder(photos: Path, tmp_path: Path) -> None:
    """Chained as a manifest is: only its author could have written it, and it may have been made to do harm."""
    out = tmp_path / "found"
    assert fly(photos, out) == 0
    treasure = tmp_path / "treasure.txt"
    treasure.write_text("mine")
    manifest = out / "manifest.jsonl"
    manifest.write_text(manifest.read_text() + '{"kind":"file","file":"photos/../../treasure.txt"}\n')
    assert fly(photos, out) == 0
    assert treasure.read_text() == "mine"
    assert lines(out)


def test_a_replay_that_was_cut_short_is_replaced(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "found"
    assert fly(photos, out) == 0
    begin = (out / "manifest.jsonl").read_text().splitlines()[0]
    assert json.loads(begin)["flight_id"].startswith("replay-photos-")
    shutil.rmtree(out / "photos")
    (out / "manifest.jsonl").write_text(begin + "\n")
    assert fly(photos, out) == 0
    assert main(["verify", str(out)]) == 0
