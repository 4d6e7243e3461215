"""What the page is made of, and what is said where a part of it is missing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from edge.ground.web import files
from edge.support.errors import ConfigError

ROOT = Path(__file__).parents[3]
HERE = ROOT / "edge" / "ground" / "web"


@pytest.mark.parametrize("content", [None, b"another Leaflet"])
def test_without_leaflet_it_says_to_make_it_and_then_to_install(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In that order: what is installed is a copy, and has what lay in the source folder when it was made."""
    shutil.copytree(HERE / "static", tmp_path / "static")
    shutil.copy(HERE / "leaflet.sha256", tmp_path)
    if content is not None:
        (tmp_path / "leaflet").mkdir()
        for line in (HERE / "leaflet.sha256").read_text().splitlines():
            (tmp_path / "leaflet" / line.split()[1]).write_bytes(content)
    monkeypatch.setattr(files, "__file__", str(tmp_path / "files.py"))
    with pytest.raises(
        ConfigError, match=r"make leaflet .*and then pip install again|make leaflet and pip install again"
    ):
        files.load()


def test_the_guide_makes_leaflet_before_it_installs_and_installs_where_debian_allows_it() -> None:
    guide = (ROOT / "docs" / "ground.md").read_text(encoding="utf-8")
    commands = guide.split("```sh\n", 1)[1].split("```", 1)[0].splitlines()
    order = [
        re.match(r"make leaflet|python3 -m venv .venv && . .venv/bin/activate|pip install", one) for one in commands
    ]
    assert [one[0].split()[0] for one in order if one is not None] == ["make", "python3", "pip"]
