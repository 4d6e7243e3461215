"""Makes reports of the made flight, and reads them back."""

from __future__ import annotations

import csv
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from edge.ground import report
from edge.ground.report.source import FlightOnDisk


def told(flight: Path, out: Path, photos: Path | None = None, **rest: Any) -> str:
    return report.write(report.Job(source=FlightOnDisk(flight, photos), out=out, **rest))


def copied(flight: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(flight, tmp_path / "copy"))


def change(flight: Path, number: int, /, **properties: Any) -> None:
    document = json.loads((flight / "cracks.geojson").read_text())
    document["features"][number - 1]["properties"].update(properties)
    (flight / "cracks.geojson").write_text(json.dumps(document))


def page(out: Path) -> str:
    return (out / "index.html").read_text(encoding="utf-8")


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "cracks.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["crack_id"]: row for row in csv.DictReader(file)}


class Page(HTMLParser):
    """Elements with their attributes, and the text outside of style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside not in ("style", "script"):
            self.text += data
