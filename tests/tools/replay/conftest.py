"""Pictures to replay."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pictures import concrete
from tests.tools.replay.running import save


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two cracked photos and a clean one, of different sizes and kinds."""
    folder = tmp_path / "photos"
    folder.mkdir()
    save(folder / "a.png", concrete())
    save(folder / "b.jpg", concrete(300, 400, cracked=False))
    save(folder / "c.tif", concrete(240, 360, seed=2))
    return folder
