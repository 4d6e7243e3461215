"""The shipped bundle over real photos: not a score (``python -m models evaluate`` gives those) but a floor.

Run with ``SPANHAWK_DATA`` naming a folder that holds ``deepcrack/test`` and ``quay_no_crack/train``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cli import main

pytestmark = pytest.mark.realdata
COUNT = 40


def some(folder: Path, to: Path) -> list[Path]:
    """Every n-th photo of ``folder``, copied, about COUNT of them."""
    photos = sorted(folder.iterdir())
    picked = photos[:: max(1, len(photos) // COUNT)][:COUNT]
    assert picked, f"{folder} holds no photos"
    to.mkdir()
    for photo in picked:
        shutil.copy(photo, to)
    return picked


def test_real_cracks_are_found_where_they_are(real_photos: Path, tmp_path: Path) -> None:
    photos = some(real_photos / "deepcrack" / "test" / "images", tmp_path / "photos")
    assert main(["replay", str(tmp_path / "photos"), "--masks", "--out", str(tmp_path / "out")]) == 0
    both = ours = theirs = 0
    for photo in photos:
        truth = cv2.imread(str(photo.parents[1] / "masks" / f"{photo.stem}.png"), cv2.IMREAD_GRAYSCALE) > 127
        found = cv2.imread(str(tmp_path / "out" / "masks" / f"{photo.stem}.png"), cv2.IMREAD_GRAYSCALE) > 127
        both, ours, theirs = both + int((truth & found).sum()), ours + int(found.sum()), theirs + int(truth.sum())
    assert 2 * both / (ours + theirs) > 0.75, "pooled strict F1 of the reported masks"
    told = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert told["frames_with_cracks"] >= 0.9 * told["frames"]


def test_crack_free_concrete_rarely_fires(real_photos: Path, tmp_path: Path) -> None:
    some(real_photos / "quay_no_crack" / "train" / "images", tmp_path / "photos")
    assert main(["replay", str(tmp_path / "photos"), "--out", str(tmp_path / "out")]) == 0
    told = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert told["frames_with_cracks"] <= 0.2 * told["frames"]


def test_a_video_is_measured_frame_by_frame(real_photos: Path, tmp_path: Path) -> None:
    """The first second of a film of a stained wall with a hairline and a wide crack."""
    film = cv2.VideoCapture(str(real_photos / "video" / "wall.mp4"))
    short = tmp_path / "short.mp4"
    size = int(film.get(cv2.CAP_PROP_FRAME_WIDTH)), int(film.get(cv2.CAP_PROP_FRAME_HEIGHT))
    writer = cv2.VideoWriter(str(short), cv2.VideoWriter.fourcc(*"mp4v"), 24, size)
    for _ in range(24):
        writer.write(film.read()[1])
    writer.release()
    assert main(["replay", str(short), "--out", str(tmp_path / "out")]) == 0
    lines = (tmp_path / "out" / "detections.jsonl").read_text(encoding="utf-8").splitlines()
    widest = max(json.loads(line)["properties"]["crack"]["length_px"] for line in lines)
    assert widest > 100
    assert np.isfinite(widest)
