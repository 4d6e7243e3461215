"""Replays run as a user runs them, and what they leave."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from edge.cli import main

ROOT = Path(__file__).parents[3]


def save(path: Path, rgb: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), rgb[..., ::-1])
    return path


def fly(source: Path, out: Path, *more: str) -> int:
    return main(["replay", str(source), "--out", str(out), "--backend", "dark", *more])


def lines(out: Path) -> list[dict[str, dict[str, object]]]:
    return [json.loads(line) for line in (out / "detections.jsonl").read_text(encoding="utf-8").splitlines()]


def summary(out: Path) -> dict[str, object]:
    read: dict[str, object] = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    return read


def told_of(out: Path) -> int:
    """How many messages about cracks the replay wrote: their revisions."""
    cracks = json.loads((out / "cracks.geojson").read_text(encoding="utf-8"))["features"]
    return sum(crack["properties"]["revision"] for crack in cracks)
