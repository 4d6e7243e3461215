"""What people hand in to be adapted to: found, checked, and shared out so that nothing is judged on what it learned."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from models import DataError, Example
from models.adapt import conversion, intake, masks, run
from tests.models.photographs import SIDE_PX, handed, names, parts, photo, write


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


def test_a_picture_that_lies_there_twice_is_in_one_part(tmp_path, caplog):
    """By name alone it would be learned from under one name and judge what was learned under the other."""
    folder = write(tmp_path / "a", 9, 9)
    for i in (6, 7, 8):
        for kind in ("images", "masks"):
            picture = cv2.imread(str(folder / f"{kind}/{i:02d}.png"))
            cv2.imwrite(str(folder / f"{kind}/!copy{i}.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    found = parts(folder)
    shown = [{one.rgb.tobytes() for one in part} for part in (found.learn, found.choose, found.report)]
    assert [len(one) for one in shown] == [6, 1, 2]  # of nine photographs a third is kept apart
    assert len(set().union(*shown)) == 9
    assert "06.png is the same picture as !copy6.png: they count as one photo" in caplog.text
    few = write(tmp_path / "few", 4, 4)
    for kind in ("images", "masks"):
        cv2.imwrite(str(few / kind / "again.png"), cv2.imread(str(few / kind / "00.png")))
    with pytest.raises(DataError, match="holds 4 photos that can be read"):
        parts(few)


def test_neighbours_by_number_are_neighbours(tmp_path):
    """IMG_10 follows IMG_9, not IMG_1: what is kept apart are the last places that were flown past."""
    folder = write(tmp_path / "a", 12, 12)
    for kind in ("images", "masks"):
        for i in range(12):
            (folder / f"{kind}/{i:02d}.png").rename(folder / f"{kind}/IMG_{i + 1}.png")
    found = parts(folder)
    numbers = [[int(name.removeprefix("IMG_")) for name in names(part)] for part in (found.learn, found.choose)]
    assert numbers == [[1, 2, 3, 4, 5, 6, 7, 8], [9, 10]]


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


def in_memory(count: int, cracked: set[int]) -> list[intake.Photo]:
    """Photographs of which those numbers show a crack; the first pixel is the number."""
    made = []
    for i in range(count):
        rgb, mask = photo(i, cracked=i in cracked)
        rgb[0, 0] = i
        example = Example(image=Path(f"{i:02d}.png"), mask=None, group=str(i))
        made.append(intake.Photo(example=example, rgb=rgb, mask=mask))
    return made


def test_masks_are_checked_on_photographs_that_show_a_crack():
    """Of twenty only the numbers 4, 10 and 16, so that whoever looks at every third one sees none."""
    seen = []

    def score(rgb: np.ndarray) -> np.ndarray:
        seen.append(int(rgb[0, 0, 0]))
        return nothing(rgb)

    masks.check_masks(in_memory(20, {4, 10, 16}), score)
    assert seen == [4, 10, 16]


def test_photos_kept_apart_are_not_learned_from_too(tmp_path):
    mine, held = write(tmp_path / "mine", 8, 8), write(tmp_path / "held", 4, 4, first=20)
    with pytest.raises(DataError, match=r"mine \(--held\) holds 8 photos that .*mine holds too, 00.png is 00.png"):
        parts(mine, mine)
    bgr = cv2.imread(str(mine / "images/05.png"))  # another name and other bytes, the same picture
    cv2.imwrite(str(held / "images/new.png"), bgr, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    cv2.imwrite(str(held / "masks/new.png"), cv2.imread(str(mine / "masks/05.png")))
    with pytest.raises(DataError, match=r"held \(--held\) holds 1 photo that .*mine holds too, new.png is 05.png ther"):
        parts(mine, held)
    for kind in ("images", "masks"):
        (held / kind / "new.png").unlink()
    assert len(parts(mine, held).learn) == 8


def test_what_is_wrong_with_photos_kept_apart_names_their_folder(tmp_path):
    mine = write(tmp_path / "mine", 8, 8)
    with pytest.raises(DataError, match=r"held: 4 photos, but only 1 of them show a crack; at least 2 must, since one"):
        parts(mine, write(tmp_path / "held", 4, 1, first=20))
    with pytest.raises(DataError, match=r"mine: 5 photos, but no crack is drawn in any of them; at least 1 must"):
        parts(write(tmp_path / "other/mine", 5, 0), write(tmp_path / "more", 4, 4, first=20))


def test_photos_kept_apart_that_are_all_damaged_do_not_end_in_a_third_of_the_others(tmp_path):
    mine, held = write(tmp_path / "mine", 8, 8), write(tmp_path / "held", 2, 2, first=20)
    for path in (held / "images").iterdir():
        path.write_bytes(path.read_bytes()[:2000])
    asked = run.Request(bundle=tmp_path / "base", data=mine, held=held, out=tmp_path / "new")
    with pytest.raises(DataError, match=r"held \(--held\) holds no photo that can be read, and 2 damaged \(00.png, 01"):
        run._read(asked, tmp_path / "work")


@pytest.mark.parametrize("form", ["labelme", "coco"])
def test_pictures_of_one_photograph_stay_together_whatever_the_form_of_their_labels(tmp_path, form):
    folder = tmp_path / "a"
    below = "" if form == "labelme" else "images/"
    (folder / below).mkdir(parents=True)
    points = [[5, 5], [90, 60], [90, 66], [5, 9]]
    size = {"imageWidth": SIDE_PX, "imageHeight": SIDE_PX}
    for i in range(12):
        cv2.imwrite(str(folder / f"{below}{i:02d}.png"), photo(i, cracked=True)[0][..., ::-1])
        if form == "labelme":
            shapes = [{"label": "crack", "shape_type": "polygon", "points": points}]
            (folder / f"{i:02d}.json").write_text(json.dumps({"imagePath": f"{i:02d}.png", "shapes": shapes, **size}))
    if form == "coco":
        flat = [[at for point in points for at in point]]
        images = [{"id": i, "file_name": f"{i:02d}.png", "width": SIDE_PX, "height": SIDE_PX} for i in range(12)]
        drawn = [{"image_id": i, "category_id": 1, "segmentation": flat} for i in range(12)]
        document = {"images": images, "annotations": drawn, "categories": [{"id": 1, "name": "crack"}]}
        (folder / "annotations.json").write_text(json.dumps(document))
    rows = [f"{below}{i:02d}.png,wall{i // 4}" for i in range(12)]
    (folder / "index.csv").write_text("\n".join(["image,photo", *rows]) + "\n")
    found = intake.read(folder, intake.find(folder, tmp_path / "work")).photos
    groups = {one.example.image.stem: one.example.group for one in found}
    assert len(groups) == 12
    assert len(set(groups.values())) == 3
    assert all(groups[f"{i:02d}"] == groups[f"{i // 4 * 4:02d}"] for i in range(12))


@pytest.mark.parametrize("count", [4, 20, 7])
def test_every_photograph_calibrates_about_as_often(monkeypatch, count):
    monkeypatch.setattr(conversion.judge, "crack_free", lambda size, rng: np.full((8, 8, 3), 255, np.uint8))
    photos = [
        intake.Photo(example=one.example, rgb=np.full((8, 8, 3), i, np.uint8), mask=one.mask)
        for i, one in enumerate(in_memory(1, set()) * count)
    ]
    made = [int(rgb[0, 0, 0]) for rgb in conversion.calibration(photos, np.random.default_rng(1))]
    assert made.count(255) == 35
    often = [made.count(i) for i in range(count)]
    assert sum(often) == 105
    assert max(often) - min(often) <= 1
