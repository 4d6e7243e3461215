from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from edge.support.clock import ManualClock

FIXTURES = Path(__file__).parent / "fixtures"


class EditableBundle:
    """A copy of a fixture bundle whose card can be changed to match, or not to match, what is done to its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def card(self) -> dict[str, Any]:
        return json.loads((self.folder / "card.json").read_text())

    def write_card(self, card: object) -> None:
        (self.folder / "card.json").write_text(json.dumps(card))

    def change(self, path: str, value: object) -> None:
        """Set the card's field at a dotted path."""
        card = self.card
        *tables, name = path.split(".")
        table = card
        for key in tables:
            table = table[key]
        table[name] = value
        self.write_card(card)

    def replace(self, name: str, content: bytes) -> None:
        """Write a file and let the card vouch for it."""
        (self.folder / name).write_bytes(content)
        card, digest = self.card, hashlib.sha256(content).hexdigest()
        for artifact in card["artifacts"].values():
            if artifact["file"] == name:
                artifact["sha256"] = digest
                break
        else:
            card["files"][name] = digest
        self.write_card(card)

    def add(self, name: str, file: str, content: bytes) -> None:
        """Put an artefact into the bundle that must answer as the model for the CPU does."""
        (self.folder / file).write_bytes(content)
        golden = self.card["artifacts"]["tflite"]["golden"]
        entry = {"file": file, "sha256": hashlib.sha256(content).hexdigest(), "golden": golden, "facts": {}}
        self.change(f"artifacts.{name}", entry)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2025, 6, 1, tzinfo=timezone.utc))


@pytest.fixture
def fixtures() -> Path:
    return FIXTURES


@pytest.fixture
def bundle_copy(tmp_path: Path) -> Callable[[str], EditableBundle]:
    def copy(name: str) -> EditableBundle:
        return EditableBundle(Path(shutil.copytree(FIXTURES / name, tmp_path / name)))

    return copy


@pytest.fixture
def pixel(bundle_copy: Callable[[str], EditableBundle]) -> EditableBundle:
    return bundle_copy("pixel")
