from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from edge import settings
from edge.cli import main
from edge.flights.writer import FlightWriter
from edge.outbox import Letter
from edge.outbox.sqlite import Options, open_outbox
from edge.support.clock import SystemClock
from edge.tools import prune

MB = 1_000_000


class Card:
    """A disk of which each picture takes a megabyte."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, pictures: int, free_mb: int) -> None:
        self.folder = folder / "evidence"
        self.folder.mkdir()
        for number in range(pictures):
            path = self.folder / f"{number:03}.jpg"
            path.write_bytes(b"x")
            os.utime(path, (number, number))
        total = free_mb + pictures
        monkeypatch.setattr(prune.disk, "free_bytes_for", lambda _: (total - len(self.left())) * MB)
        table = {
            "outbox": {"path": str(folder / "outbox.db"), "min_free_bytes": 0, "ballast_bytes": 0},
            "flight": {"evidence_dir": str(self.folder), "min_free_mb": 10},
        }
        self.settings = settings.from_table(table, "test")

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


def letter(name: str) -> Letter:
    payload = json.dumps({"properties": {"evidence": {"file": name, "sha256": "0"}}}).encode()
    return Letter(name, "spanhawk/d/detections", payload, None)


def test_oldest_go_first_and_those_on_their_way_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(tmp_path, monkeypatch, pictures=100, free_mb=15)
    with open_outbox(Options(path=tmp_path / "outbox.db", min_free_bytes=0, ballast_bytes=0), SystemClock()) as box:
        box.put([letter(name) for name in ("000.jpg", "001.jpg", "002.jpg", "003.jpg")])
        box.done(["002.jpg"])
        box.park("003.jpg", "Not authorized")
        told = prune.pictures(card.settings)  # beside the daemon that holds the outbox
    assert told == "5 pictures deleted, 3 kept for detections on their way, 20 MB free"
    assert card.left()[:4] == ["000.jpg", "001.jpg", "003.jpg", "008.jpg"]


def test_the_newest_stay_even_on_a_full_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(tmp_path, monkeypatch, pictures=55, free_mb=0)
    assert "larger card" in prune.pictures(card.settings)
    assert len(card.left()) == 50


def test_with_room_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(tmp_path, monkeypatch, pictures=100, free_mb=20)
    assert "nothing to prune" in prune.pictures(card.settings)
    assert len(card.left()) == 100


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "spanhawk.toml"
    config.write_text("")
    assert main(["outbox", "prune", "--config", str(config)]) == 0
    assert "no pictures are kept" in capsys.readouterr().err


class FlightCard:
    """A disk of which each flight takes a megabyte; flights f0, f1 … in order of age."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, flights: int, keep: int | None) -> None:
        self.root, self.folder = folder / "flights", folder
        for number in range(flights):
            writer = FlightWriter(self.root / f"f{number}", SystemClock(), f"f{number}")
            writer.append("detections.jsonl", b"{}\n")
            if number < flights - 1:
                writer.seal()
            else:
                writer.note()
                writer.close()
            os.utime(self.root / f"f{number}" / "manifest.jsonl", (number, number))
        monkeypatch.setattr(prune.disk, "free_bytes_for", lambda _: (12 + flights - len(self.left())) * MB)
        table = {
            "outbox": {"path": str(folder / "outbox.db"), "min_free_bytes": 0, "ballast_bytes": 0},
            "flight": {"folder_dir": str(self.root), "min_free_mb": 10},
        }
        if keep is not None:
            table["flight"]["keep_newest_flights"] = keep
        self.settings = settings.from_table(table, "test")

    def left(self) -> list[str]:
        return sorted(path.name for path in self.root.iterdir())


def test_no_flight_goes_unless_the_configuration_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = FlightCard(tmp_path, monkeypatch, flights=4, keep=None)
    assert "flights are not deleted by themselves" in prune.flights(card.settings)
    assert len(card.left()) == 4


def test_the_oldest_flights_go_but_none_unsent_altered_or_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    card = FlightCard(tmp_path, monkeypatch, flights=8, keep=3)
    (card.root / "f1" / "detections.jsonl").write_bytes(b"[]\n")
    (card.root / ".going-f9").mkdir()
    payload = json.dumps({"properties": {"flight_id": "f2"}}).encode()
    with open_outbox(Options(path=tmp_path / "outbox.db", min_free_bytes=0, ballast_bytes=0), SystemClock()) as box:
        box.put(
            [Letter("l1", "spanhawk/d/detections", payload, None), Letter("l2", "spanhawk/d/cracks", payload, None)]
        )
        told = prune.flights(card.settings)
    assert card.left() == ["f1", "f2", "f5", "f6", "f7"], "f7 still flies"
    assert "3 flights deleted, 15 MB free" in told
    assert "f1 (it was altered, see spanhawk verify" in told
    assert "f2 (2 letters on their way)" in told
    assert "still below 20 MB: copy flights elsewhere" in told
    assert re.findall(r"flight (\w+) deleted to make room", caplog.text) == ["f0", "f3", "f4"]


def test_a_flight_that_still_goes_on_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = FlightCard(tmp_path, monkeypatch, flights=2, keep=1)
    os.utime(card.root / "f0" / "manifest.jsonl", (9, 9))  # so the one that goes on looks older
    assert "f1 (it is not sealed" in prune.flights(card.settings)
    assert card.left() == ["f0", "f1"]


def test_a_flight_goes_only_while_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = FlightCard(tmp_path, monkeypatch, flights=20, keep=1)
    assert prune.flights(card.settings) == "8 flights deleted, 20 MB free"
    assert prune.flights(card.settings) == "there is room, no flight is deleted"
