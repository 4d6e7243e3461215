from __future__ import annotations

from pathlib import Path

import pytest

from tests.ground.report import made
from tests.ground.report.reading import told


@pytest.fixture(scope="package")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.write(tmp_path_factory.mktemp("made") / "flight")


@pytest.fixture(scope="package")
def out(flight: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "report"
    told(flight, folder, dxf=True)
    return folder
