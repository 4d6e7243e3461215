"""Whose bundle a replay takes: any on a workstation, with a warning; with a configuration what the drone takes."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from edge.cli import main

PIXEL = Path(__file__).parents[2] / "masks" / "fixtures" / "pixel"


def photos(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    cv2.imwrite(str(folder / "wall.png"), rng.integers(120, 200, (64, 96, 3)).astype(np.uint8))
    return folder


def test_without_a_configuration_an_unsigned_bundle_runs_with_a_warning(tmp_path, caplog):
    words = ["replay", str(photos(tmp_path / "photos")), "--bundle", str(PIXEL), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert "the bundle is not signed by a trusted key" in caplog.text
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["frames"] == 1


def test_with_the_drone_s_configuration_it_is_refused_unless_that_allows_it(tmp_path, capsys):
    config = tmp_path / "spanhawk.toml"
    words = ["replay", str(photos(tmp_path / "photos")), "--bundle", str(PIXEL), "--config", str(config)]
    config.write_text('[masks]\nbackend = "litert"\n')
    assert main([*words, "--out", str(tmp_path / "out")]) == 78
    assert "not signed by a trusted key" in capsys.readouterr().err
    config.write_text('[masks]\nunsigned = "allow"\n')
    assert main([*words, "--out", str(tmp_path / "out")]) == 0


def test_a_replay_s_identity_does_not_hang_on_who_signed(tmp_path):
    """The same photos, model and settings give the same flight, allowed by the command or by a configuration."""
    config = tmp_path / "spanhawk.toml"
    config.write_text('[masks]\nunsigned = "allow"\nkeys = "/nowhere"\n')
    words = ["replay", str(photos(tmp_path / "photos")), "--bundle", str(PIXEL)]
    flights = []
    for name, more in (("a", []), ("b", ["--config", str(config)])):
        assert main([*words, *more, "--out", str(tmp_path / name)]) == 0
        flights.append(json.loads((tmp_path / name / "summary.json").read_text())["flight_id"])
    assert flights[0] == flights[1]
