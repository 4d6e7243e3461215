from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edge import settings
from edge.cli import main
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
