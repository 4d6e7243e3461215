"""The whole demo, short: every room for real, the fake segmenter in place of the network."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import pytest
from jsonschema import Draft202012Validator

from edge.detections.coverage import schema as coverage_schema
from edge.detections.cracks import schema as crack_schema
from edge.detections.wire import schema
from edge.support.errors import ConfigError, UsageError
from edge.tools.demo.broker import Kind
from edge.tools.demo.flight import Job, fly_demo


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
def test_the_demo_flies_delivers_and_leaves_its_folder(tmp_path: Path, kind: Kind) -> None:
    out = tmp_path / "demo"
    said = fly_demo(Job(out=out, seconds=1.5, fps=2, masks={"backend": "dark"}, broker=kind))
    features = [json.loads(line) for line in (out / "detections.jsonl").read_text().splitlines()]
    assert features
    for feature in features:
        Draft202012Validator(schema()).validate(feature)
    assert features[0]["geometry"] is None, "the log begins without a fix"
    found = json.loads((out / "summary.json").read_text())
    assert found["frames"] == 3
    assert f"{found['suppressed']['weak']} more traced and not reported" in said
    assert found["detections"] == found["received"] == len(features)
    assert found["delivered"] > len(features), "cracks travel beside detections"
    assert found["first_detection_ms"] > 0
    assert f"{found['delivered']} letters acknowledged by {kind}, {len(features)} detections received" in said
    Draft202012Validator(coverage_schema()).validate(json.loads((out / "coverage.geojson").read_text()))
    for line in (out / "frames.jsonl").read_text().splitlines():
        Draft202012Validator(coverage_schema("frame-1")).validate(json.loads(line))
    assert (out / "mosaic.png").stat().st_size > 10_000
    cracks = json.loads((out / "cracks.geojson").read_text())["features"]
    for crack in cracks:
        Draft202012Validator(crack_schema()).validate(crack)
    assert sum(found["cracks"].values()) == len(cracks) > 0
    widest = max(found["truth"], key=lambda crack: crack["true_width_mm"])
    assert widest["found_share"] > 0.5
    assert abs(widest["measured_width_mm"] - widest["true_width_mm"]) < 0.8
    assert len(list(csv.DictReader((out / "nav.csv").read_text().splitlines()))) == 16
    for name in ("bridge.png", "frames.jpg"):
        picture = cv2.imread(str(out / name))
        assert picture is not None
        assert picture.shape[1] > 1000


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), 1e9])
def test_a_flight_of_no_length_is_refused(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(UsageError, match="--seconds"):
        Job(out=tmp_path, seconds=seconds)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--out .*file"):
        fly_demo(Job(out=tmp_path / "file" / "demo", seconds=1, masks={"backend": "dark"}))


def test_an_unknown_backend_is_refused_before_the_flight(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nosuch"):
        fly_demo(Job(out=tmp_path, seconds=1, masks={"backend": "nosuch"}))
