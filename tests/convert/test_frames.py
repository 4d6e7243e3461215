"""What sets the ranges are photos: labels and overlays among them are left out, and counted."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from convert.frames import find_pictures, is_drawing, representative_frames
from models import DataError

SIDE = 64


def photo(seed: int) -> np.ndarray:
    """Concrete, more or less: grey, uneven, with a dark line; uint8 BGR."""
    rng = np.random.default_rng(seed)
    grey = 140 + cv2.resize(rng.normal(0, 25, (8, 8)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    grey += rng.normal(0, 4, grey.shape)
    cv2.line(grey, (5, 10), (58, 50), 40.0, 2)
    tint = np.array([0.94, 1.0, 1.03])
    return np.clip(grey[..., None] * tint, 0, 255).astype(np.uint8)


def label(value: int = 255) -> np.ndarray:
    drawn = np.zeros((SIDE, SIDE, 3), np.uint8)
    cv2.line(drawn, (5, 10), (58, 50), (value,) * 3, 3)
    return drawn


def overlay(seed: int) -> np.ndarray:
    drawn = photo(seed)
    cv2.line(drawn, (5, 10), (58, 50), (0, 0, 255), 2)
    return drawn


def jpeg(picture: np.ndarray, quality: int = 80) -> np.ndarray:
    _, content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)


@pytest.mark.parametrize("drawing", [label(), label(1), jpeg(label()), 255 - label(), overlay(1)])
def test_a_drawing_is_known_by_its_values(drawing: np.ndarray) -> None:
    assert is_drawing(np.ascontiguousarray(drawing[..., ::-1]))


@pytest.mark.parametrize("brightness", [0.1, 1.0, 2.5])
@pytest.mark.parametrize("quality", [None, 30])
def test_a_photo_is_none_however_it_is_exposed(brightness: float, quality: int | None) -> None:
    taken = np.clip(photo(3) * brightness, 0, 255).astype(np.uint8)
    assert not is_drawing(taken if quality is None else jpeg(taken, quality))


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        *(("photos/0012.jpg", True), ("0012.png", True), ("test/a.jpg", True), ("masked_wall.jpg", True)),
        *(("labelled bridge/IMG_0012.jpg", True), ("segment_03.jpg", True)),
        *(("masks/0012.png", False), ("train/labels/0012.png", False), ("Ground Truth/0012.png", False)),
        *(("test_gt/0012.png", False), ("overlays/0012.jpg", False), ("photos/0012_mask.png", False)),
        *(("0012-label.png", False), ("DJI_0012_overlay_2.jpg", False), ("0012.gt.png", False)),
    ],
)
def test_names_that_say_what_a_picture_is_are_believed(name: str, kept: bool, tmp_path: Path) -> None:
    for file in (name, "other.jpg"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"")
    assert ((tmp_path / name) in find_pictures(tmp_path)) is kept


def test_only_photos_set_the_ranges_and_what_is_left_out_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Labels lie among the photos under names that say nothing; of a label nothing but black and white would come."""
    for i in range(6):
        cv2.imwrite(str(tmp_path / f"{i}.png"), photo(i))
        cv2.imwrite(str(tmp_path / f"{i}a.png"), label())
        cv2.imwrite(str(tmp_path / f"{i}b.png"), overlay(i))
    with caplog.at_level(logging.WARNING):
        frames = representative_frames([tmp_path], SIDE, SIDE, count=18)[1:]  # the first is the ramp
    assert len(frames) == 6
    assert not any(is_drawing(frame) for frame in frames)
    assert "12 of 18 pictures in" in caplog.text
    assert "are labels or overlays, not photos" in caplog.text


def test_a_folder_of_labels_alone_is_refused(tmp_path: Path) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), label())
    with pytest.raises(DataError, match="are all labels or overlays; name a folder of photos with --data"):
        representative_frames([tmp_path], SIDE, SIDE)
