"""What people hand in to be adapted to: found, checked, and shared out so that nothing is judged on what it learned."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from models import DataError
from models.adapt import intake, masks
from tests.models.photographs import SIDE_PX, handed, names, parts, write


def nothing(rgb: np.ndarray) -> np.ndarray:
    """Scores of a network that sees no crack at all."""
    return np.zeros(rgb.shape[:2], np.uint8)


def test_photos_are_shared_out_in_runs_with_their_share_of_cracks(tmp_path):
    found = parts(write(tmp_path / "a", 12, 9))
    assert names(found.learn) == ["00", "01", "02", "03", "04", "05", "09", "10"]
    assert (names(found.choose), names(found.report)) == (["06"], ["07", "08", "11"])
    found = parts(tmp_path / "a", write(tmp_path / "b", 4, 4, first=20))
    assert len(found.learn) == 12
    assert (len(found.choose), len(found.report)) == (2, 2)


def test_pictures_of_one_photograph_stay_together(tmp_path):
    folder = write(tmp_path / "a", 12, 12)
    rows = [f"images/{i:02d}.png,wall{i // 2}" for i in range(12)]
    (folder / "index.csv").write_text("\n".join(["image,photo", *rows]) + "\n")
    found = parts(folder)
    groups = [{one.example.group for one in part} for part in (found.learn, found.choose, found.report)]
    assert [len(one) for one in groups] == [4, 1, 1]
    assert not groups[0] & groups[1] | groups[1] & groups[2] | groups[0] & groups[2]


def test_too_few_too_many_and_none_with_a_crack_are_told(tmp_path):
    with pytest.raises(
        DataError, match="holds 4 photos that can be read; adapting takes 5 to 50 of one structure: label"
    ):
        parts(write(tmp_path / "few", 4, 4))
    with pytest.raises(DataError, match="holds 1 photo that can be read; adapting takes 5 to 50"):
        parts(write(tmp_path / "one", 1, 1))
    with pytest.raises(
        DataError, match=r"holds 51 photos that can be read; .* or train on them all with python -m models train"
    ):
        parts(write(tmp_path / "many", 51, 3))
    with pytest.raises(DataError, match="6 photos, but no crack is drawn in any of them; at least 3 must"):
        parts(write(tmp_path / "sound", 6, 0))
    with pytest.raises(DataError, match=r"holds no labelled photos: give a folder with images/ and masks/, or one"):
        intake.find(tmp_path, tmp_path / "work")


def test_damaged_photos_are_named_and_the_rest_goes_on_where_it_is_enough(tmp_path, caplog):
    folder = write(tmp_path / "a", 7, 7)
    for name in ("02", "05"):
        (folder / f"images/{name}.png").write_bytes((folder / f"images/{name}.png").read_bytes()[:2000])
    found = parts(folder)
    assert found.damaged == ("02.png", "05.png")
    assert len(found.learn) + len(found.choose) + len(found.report) == 5
    assert caplog.text.count("left out: Image") == 2
    for name in ("00", "06"):
        (folder / f"images/{name}.png").unlink()
        (folder / f"masks/{name}.png").unlink()
    with pytest.raises(DataError, match=r"holds 3 photos that can be read, and 2 damaged \(02.png, 05.png\)"):
        parts(folder)


def test_masks_of_another_structure_or_size_are_told(tmp_path):
    folder = write(tmp_path / "a", 8, 8)
    photos = handed(folder).photos
    masks.check_masks(photos, nothing)  # they stand out, though the network sees none of them
    for i in range(8):  # each photo with the mask of another
        cv2.imwrite(str(folder / f"masks/{i:02d}.png"), photos[(i + 3) % 8].mask * 255)
    others = handed(folder).photos
    with pytest.raises(DataError, match=r"masks do not lie on anything in their photos.*Look at 0\d\.png first"):
        masks.check_masks(others, nothing)
    cv2.imwrite(str(folder / "masks/00.png"), np.zeros((80, 90), np.uint8))
    with pytest.raises(DataError, match=r"00\.png"):
        handed(folder)


def test_labels_of_another_program_are_drawn(tmp_path):
    folder = write(tmp_path / "a", 6, 6)
    for i in range(6):
        path = folder / f"images/{i:02d}.png"
        path.rename(folder / path.name)
        line = {"label": "crack", "shape_type": "linestrip", "points": [[5, 5], [90, 60]], "width_px": 4}
        content = {"imagePath": path.name, "imageWidth": SIDE_PX, "imageHeight": SIDE_PX, "shapes": [line] if i else []}
        (folder / f"{i:02d}.json").write_text(json.dumps(content))
    for kind in ("images", "masks"):
        for path in (folder / kind).iterdir():
            path.unlink()
        (folder / kind).rmdir()
    found = parts(folder)
    sizes = [len(part) for part in (found.learn, found.choose, found.report)]
    assert sizes == [4, 1, 1]
    assert [one.cracked for one in found.learn].count(False) == 1
