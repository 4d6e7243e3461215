"""What the documentation tells people to copy is accepted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.cli import main
from edge.detections.wire import SCHEMA

ROOT = Path(__file__).parents[2]


def test_the_example_configuration_is_accepted() -> None:
    assert main(["config", "check", str(ROOT / "systemd" / "spanhawk.toml.example")]) == 0


def test_every_option_the_readme_shows_exists(capsys: pytest.CaptureFixture[str]) -> None:
    shown = set(re.findall(r"spanhawk replay[^`\n]*?(--[a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert shown
    with pytest.raises(SystemExit):
        main(["replay", "--help"])
    helped = capsys.readouterr().out
    assert all(option in helped for option in shown)


def test_files_the_readme_links_to_are_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(links) >= 4
    assert not [link for link in links if not (ROOT / link).exists()]


def test_the_schema_file_carries_the_schema_name() -> None:
    assert SCHEMA in (ROOT / "edge" / "detections" / "schema" / "detection-2.json").read_text(encoding="utf-8")
