"""A lens card of other pictures than the camera's is no lens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge import settings
from edge.frames import Frame
from edge.support.errors import ConfigError
from edge.tools.doctor import Level, lens
from tests.tools.doctor.bench import bench, table


@pytest.mark.parametrize(
    ("scale", "level", "word"),
    [
        ({}, Level.WARN, "no lens"),
        ({"hfov_deg": 60.0}, Level.OK, "hfov_deg"),
        ({"lens": "hq-6mm"}, Level.FAIL, "4056x3040"),
        ({"lens": "camera-module-3"}, Level.OK, "data sheets"),
    ],
)
def test_the_card_against_the_picture(tmp_path: Path, scale: dict[str, object], level: Level, word: str) -> None:
    looked = bench(tmp_path, scale=scale)
    looked.frame = Frame(0, 0, None, np.zeros((144, 256, 3), np.uint8))
    result = lens.card(looked)
    assert (result.level, word in result.found) == (level, True)


def test_a_card_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        settings.from_table(table(tmp_path, scale={"lens": "nowhere.toml"}), "test")
