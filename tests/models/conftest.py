"""Fixtures of several files of this folder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.rendered import write_set
from tests.models.gpu_runs import RECIPE


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_set(tmp_path / "cracked", 6, 96, seed=1)
    wide = tmp_path / "cracked" / "wide"
    wide.mkdir()
    for mask in (tmp_path / "cracked" / "masks").iterdir():
        cv2.imwrite(str(wide / mask.name), cv2.dilate(cv2.imread(str(mask)), np.ones((9, 9), np.uint8)))
    for name, seed in (("sound", 2), ("guessed", 3)):
        write_set(tmp_path / f"{name}-set", 6, 96, seed=seed)
        (tmp_path / f"{name}-set" / "images").rename(tmp_path / name)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path
