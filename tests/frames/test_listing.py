"""What lies in a folder beside the pictures that are played."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.frames.listing import list_pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("IMG_0001.JPG", "IMG_0002.jfif", "img_10.png"):
        picture = cv2.imencode(".png" if name.endswith("png") else ".jpg", np.zeros((6, 8, 3), np.uint8))[1].tobytes()
        (tmp_path / name).write_bytes(picture)
    return tmp_path


def test_only_pictures_and_nothing_to_say(folder):
    for name in (".DS_Store", "Thumbs.db", "track.csv", "notes.txt", "._IMG_0001.JPG"):
        (folder / name).write_bytes(b"BM notes")
    found = list_pictures(folder)
    assert [path.name for path in found.pictures] == ["IMG_0001.JPG", "IMG_0002.jfif", "img_10.png"]
    assert found.left_out() is None


def test_other_kinds_and_folders_are_named(folder):
    for name in ("a.gif", "b.GIF", "c.jp2", "d.DNG", "e.mp4"):
        (folder / name).write_bytes(b"")
    (folder / "IMG_0003").write_bytes((folder / "IMG_0001.JPG").read_bytes())
    for name in ("100MEDIA", "101MEDIA/deep", "empty", ".trash"):
        (folder / name).mkdir(parents=True)
    for name in ("100MEDIA/x.JPG", "101MEDIA/deep/y.heic", ".trash/z.jpg"):
        (folder / name).write_bytes(b"")
    (folder / "out/overlays").mkdir(parents=True)
    (folder / "out/overlays/a.jpg").write_bytes(b"")
    (folder / "out/detections.jsonl").write_bytes(b"")
    found = list_pictures(folder)
    assert found.other_kinds == (("", 1), (".dng", 1), (".gif", 2), (".jp2", 1), (".mp4", 1))
    assert found.folders == ("100MEDIA", "101MEDIA")
    assert found.left_out() == (
        "not read: 1 without an ending, 1 .dng, 2 .gif, 1 .jp2, 1 .mp4, the pictures in 100MEDIA/, 101MEDIA/; "
        "export other kinds as JPEG, and give each folder by itself"
    )
