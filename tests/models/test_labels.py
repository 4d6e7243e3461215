"""Labels of other programs: a crack that cannot be drawn, or is named otherwise, is never taken for no crack."""

from __future__ import annotations

import base64
import json
import os
import resource
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from edge.support.errors import TryAgainError
from models.brushes import of_coco
from models.cli import main
from models.rendered import picture as picture_of
from models.rendered import write_set

HIGH, WIDE = 40, 60
BRUSHED = np.zeros((HIGH, WIDE), bool)
BRUSHED[8:31, 21:24] = BRUSHED[29:32, 21:44] = True
LINE = {"label": "crack", "shape_type": "linestrip", "points": [[5, 5], [50, 30]]}


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((HIGH, WIDE, 3), 128, np.uint8))
    return path


def labelme(folder: Path, name: str, *shapes: dict[str, Any]) -> None:
    """A picture with its labelme file."""
    image = picture(folder / f"{name}.png")
    document = {"imagePath": image.name, "imageWidth": WIDE, "imageHeight": HIGH, "shapes": shapes}
    (folder / f"{name}.json").write_text(json.dumps(document))


def coco(folder: Path, *segmentations: Any, kinds: tuple[str, ...] = ("crack",), category: int = 1) -> None:
    """A picture for each segmentation, of the first category but for `category`."""
    names = [picture(folder / f"images/{i}.png").name for i in range(len(segmentations))]
    document = {
        "images": [{"id": i, "file_name": name, "width": WIDE, "height": HIGH} for i, name in enumerate(names)],
        "categories": [{"id": i, "name": kind} for i, kind in enumerate(kinds, 1)],
        "annotations": [
            {"image_id": i, "category_id": category, "segmentation": one} for i, one in enumerate(segmentations)
        ],
    }
    (folder / "annotations.json").write_text(json.dumps(document))


def cvat(folder: Path, *shapes: str) -> None:
    """A picture for each shape."""
    names = [picture(folder / f"images/{i}.png").name for i in range(len(shapes))]
    head = f'width="{WIDE}" height="{HIGH}"'
    images = [f'<image name="{name}" {head}>{one}</image>' for name, one in zip(names, shapes, strict=True)]
    (folder / "annotations.xml").write_text(f"<annotations>{''.join(images)}</annotations>")


def taken(out: Path) -> dict[str, list[str]]:
    """Names of what was written, by folder."""
    return {
        name: sorted(path.stem for path in (out / name).iterdir())
        for name in ("images", "negatives") if (out / name).is_dir()
    }  # fmt: skip


def mask(out: Path, name: str) -> np.ndarray:
    return cv2.imread(str(out / f"masks/crack/{name}.png"), cv2.IMREAD_UNCHANGED) == 255


def column_runs(painted: np.ndarray) -> list[int]:
    """COCO's counts, pixel by pixel down the columns."""
    runs, last = [0], False
    for x in range(painted.shape[1]):
        for y in range(painted.shape[0]):
            if bool(painted[y, x]) != last:
                runs.append(0)
                last = not last
            runs[-1] += 1
    return runs


def test_run_length_masks_of_coco_are_drawn(tmp_path):
    coco(tmp_path / "c", {"size": [HIGH, WIDE], "counts": column_runs(BRUSHED)})
    assert main(["import", str(tmp_path / "c"), "--out", str(tmp_path / "o"), "--class", "crack"]) == 0
    assert taken(tmp_path / "o") == {"images": ["0"]}
    assert (mask(tmp_path / "o", "0") == BRUSHED).all()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_compressed_run_lengths_are_those_of_pycocotools():
    its = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(1)
    for painted in (BRUSHED, ~BRUSHED, rng.random((33, 47)) < 0.5, np.zeros((300, 400), bool), np.ones((7, 5), bool)):
        told = its.encode(np.asfortranarray(painted.astype(np.uint8)))
        found = of_coco({"size": told["size"], "counts": told["counts"].decode()})
        assert (found == painted).all()


def test_a_brush_of_cvat_is_drawn_along_its_rows(tmp_path):
    """The run lengths are the example of CVAT's own page on its format, a disc of 13 x 15 pixels."""
    rle = "3, 5, 7, 7, 5, 9, 3, 11, 2, 11, 2, 12, 1, 12, 1, 26, 1, 12, 1, 12, 2, 11, 3, 9, 5, 7, 7, 5, 3"
    cvat(tmp_path / "c", f'<mask label="crack" rle="{rle}" left="40" top="20" width="13" height="15"/>')
    assert main(["import", str(tmp_path / "c"), "--out", str(tmp_path / "o")]) == 0
    found = mask(tmp_path / "o", "0")
    assert [int(row.sum()) for row in found[20:35]] == [5, 7, 9, 11, 11, 12, 12, 13, 13, 12, 12, 11, 9, 7, 5]
    assert found[:, :40].sum() == found[:, 53:].sum() == 0
    assert (np.flatnonzero(found[20]) == [43, 44, 45, 46, 47]).all()


def test_a_mask_of_labelme_is_drawn_where_its_corners_say(tmp_path):
    part = BRUSHED[8:32, 21:44]
    content = cv2.imencode(".png", part.astype(np.uint8))[1].tobytes()  # labelme stores 0 and 1
    shape = {"label": "crack", "shape_type": "mask", "points": [[21, 8], [43, 31]]}
    labelme(tmp_path / "l", "a", {**shape, "mask": base64.b64encode(content).decode()})
    assert main(["import", str(tmp_path / "l"), "--out", str(tmp_path / "o")]) == 0
    assert (mask(tmp_path / "o", "a") == BRUSHED).all()


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ({"label": "crack", "shape_type": "ellipse", "points": [[5, 5], [9, 9]]}, "a shape of type 'ellipse' is not"),
        ({"label": "crack", "shape_type": "mask", "points": [[5, 5], [9, 9]], "mask": "AAAA"}, "a brushed mask cannot"),
        ({"label": "crack", "shape_type": "mask", "points": [[5, 5], [9, 9]], "mask": None}, "a brushed mask cannot"),
        ({**LINE, "points": []}, "a shape has no points"),
        ({**LINE, "points": [[500, 500], [700, 900]]}, "its shapes lie outside the picture"),
        ({"shape_type": "line", "points": [[5, 5], [9, 9]]}, "a shape has no class"),
    ],
)
@pytest.mark.parametrize("others", [(), (LINE,)])
def test_a_picture_with_a_crack_that_cannot_be_drawn_is_left_out_and_counted(tmp_path, capsys, shape, reason, others):
    labelme(tmp_path / "l", "unread", *(() if "outside" in reason else others), shape)
    labelme(tmp_path / "l", "sound")
    labelme(tmp_path / "l", "whole", LINE)
    assert main(["import", str(tmp_path / "l"), "--out", str(tmp_path / "o"), "--class", "crack"]) == 0
    assert taken(tmp_path / "o") == {"images": ["whole"], "negatives": ["sound"]}
    told = capsys.readouterr().out.splitlines()[0]
    assert "1 pictures with crack, 1 without damage, 1 left out: " + reason in told


@pytest.mark.parametrize(
    ("segmentation", "category", "reason"),
    [
        ([], 1, "a box has no outline"),
        ({"size": [HIGH, WIDE], "counts": [5, 9]}, 1, "a run-length mask cannot be read"),
        ({"size": [HIGH, WIDE], "counts": "oX"}, 1, "a run-length mask cannot be read"),
        ({"size": [WIDE, HIGH], "counts": [9, HIGH * WIDE - 9]}, 1, "a brushed mask does not fit into it"),
        (
            {"size": [HIGH - 20, WIDE - 20], "counts": [9, (HIGH - 20) * (WIDE - 20) - 9]},
            1,
            "a brushed mask does not fit into it",
        ),
        ({"size": [HIGH, float("inf")], "counts": [9]}, 1, "a run-length mask cannot be read"),
        ([[1, 1, 30, 1, 30, 30]], 7, "a shape is of no category"),
    ],
)
def test_so_is_one_of_coco(tmp_path, capsys, segmentation, category, reason):
    coco(tmp_path / "c", segmentation, category=category)
    assert main(["import", str(tmp_path / "c"), "--out", str(tmp_path / "o"), "--class", "crack"]) == 2
    assert f"no picture with labels that can be used, 1 left out: {reason} (1)" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ('<box label="crack" xtl="3" ytl="3" xbr="9" ybr="9"/>', "a shape of type 'box' is not known"),
        ('<mask label="crack" rle="3, 5" left="1" top="1" width="9" height="9"/>', "a brushed mask cannot be read"),
        ('<mask label="crack" rle="1, 8" left="-1" top="1" width="3" height="3"/>', "a brushed mask does not fit"),
        ('<polyline label="crack" points=""/>', "a shape has no points"),
    ],
)
def test_so_is_one_of_cvat(tmp_path, capsys, shape, reason):
    cvat(tmp_path / "c", shape, '<polyline label="crack" points="5,5;40,30"/>', "")
    assert main(["import", str(tmp_path / "c"), "--out", str(tmp_path / "o")]) == 0
    assert f"1 pictures with crack, 1 without damage, 1 left out: {reason}" in capsys.readouterr().out
    assert taken(tmp_path / "o") == {"images": ["1"], "negatives": ["2"]}


def test_two_entries_of_one_picture_are_refused(tmp_path, capsys):
    """One says that it holds a crack, the other that it is sound: neither is to be believed."""
    coco(tmp_path / "c", [[1, 1, 30, 1, 30, 30]], [[1, 1, 30, 1, 30, 30]])
    path = tmp_path / "c/annotations.json"
    document = json.loads(path.read_text())
    document["images"][1]["file_name"], document["annotations"] = "elsewhere/0.png", document["annotations"][:1]
    path.write_text(json.dumps(document))
    assert main(["import", str(tmp_path / "c"), "--out", str(tmp_path / "new/o"), "--class", "crack"]) == 2
    assert "two entries of the labels are of 0.png and 0.png" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_what_is_corrected_away_is_gone_when_it_is_imported_again(tmp_path):
    words = ["import", str(tmp_path / "l"), "--out", str(tmp_path / "o"), "--overwrite"]
    for name in ("a", "b"):
        labelme(tmp_path / "l", name, LINE)
    assert main(words) == 0
    assert mask(tmp_path / "o", "a").any()
    labelme(tmp_path / "l", "a", {**LINE, "label": "rust"})
    assert main(words) == 0
    assert mask(tmp_path / "o", "b").any()
    assert not mask(tmp_path / "o", "a").any()


@pytest.mark.parametrize("image", [{"id": [1]}, {"id": 0, "width": float("inf")}])
def test_annotations_that_nobody_writes_end_in_one_sentence(tmp_path, capsys, image):
    coco(tmp_path / "c", [[1, 1, 30, 1, 30, 30]])
    path = tmp_path / "c/annotations.json"
    document = json.loads(path.read_text())
    document["images"][0] |= image
    path.write_text(json.dumps(document))
    code = main(["import", str(tmp_path / "c"), "--out", str(tmp_path / "o"), "--class", "crack"])
    assert code == (2 if "width" not in image else 0)
    assert "Traceback" not in capsys.readouterr().err


def test_a_class_that_no_label_names_is_refused_and_those_that_are_named_are_told(tmp_path, capsys):
    labelme(tmp_path / "l", "a", {**LINE, "label": "Crack"}, {**LINE, "label": "rust"})
    labelme(tmp_path / "l", "b")
    asked = ["import", str(tmp_path / "l"), "--out", str(tmp_path / "o"), "--class", "crack"]
    assert main(asked) == 2
    assert "nothing is of the class 'crack', so every" in (told := capsys.readouterr().err)
    assert "the labels name 'Crack', 'rust':" in told
    assert not (tmp_path / "o").exists()
    labelme(tmp_path / "l", "c", LINE)  # now one names it: the others are without it
    assert main([*asked[:-1], "rust"]) == 0
    assert taken(tmp_path / "o") == {"images": ["a"], "negatives": ["b", "c"]}
    assert main([*asked, "--overwrite", "--class", "spalling"]) == 2
    assert "nothing is of the class 'spalling'" in capsys.readouterr().err
    coco(tmp_path / "c", {"size": [HIGH, WIDE], "counts": column_runs(BRUSHED)}, kinds=("Crack",))
    assert main(["import", str(tmp_path / "c"), "--out", str(tmp_path / "x"), "--class", "crack"]) == 2
    cvat(tmp_path / "v", '<polyline label="Crack" points="5,5;40,30"/>')
    assert main(["import", str(tmp_path / "v"), "--out", str(tmp_path / "x"), "--class", "crack"]) == 2
    (tmp_path / "p/masks/Crack").mkdir(parents=True)
    picture(tmp_path / "p/negatives/n.png")
    assert main(["import", str(tmp_path / "p"), "--out", str(tmp_path / "x"), "--class", "crack"]) == 2
    assert not (tmp_path / "x").exists()


def test_a_class_that_is_defined_but_not_drawn_makes_pictures_without_it(tmp_path):
    coco(tmp_path / "c", [[1, 1, 30, 1, 30, 30]], kinds=("rust", "crack"))
    assert main(["import", str(tmp_path / "c"), "--out", str(tmp_path / "o"), "--class", "crack"]) == 0
    assert taken(tmp_path / "o") == {"negatives": ["0"]}


def test_labels_over_earlier_ones_leave_nothing_of_them_and_everything_else(tmp_path):
    spalling = {"label": "spalling", "shape_type": "polygon", "points": [[5, 5], [50, 5], [50, 30]]}
    for name in ("erased", "no crack now", "no spalling now"):
        labelme(tmp_path / "l", name, LINE, spalling)
    labelme(tmp_path / "l", "gone", LINE, {**spalling, "label": "rust"})
    asked = ["import", str(tmp_path / "l"), "--out", str(tmp_path / "o")]
    assert main(asked) == 0
    (tmp_path / "o/images/notes.txt").write_text("mine")
    labelme(tmp_path / "l", "erased")
    labelme(tmp_path / "l", "no crack now", spalling)
    labelme(tmp_path / "l", "no spalling now", LINE)
    (tmp_path / "l/gone.json").unlink()
    assert main([*asked, "--overwrite"]) == 0
    kept = ["no crack now", "no spalling now"]
    assert taken(tmp_path / "o") == {"images": [*kept, "notes"], "negatives": ["erased"]}
    masks = {path.relative_to(tmp_path / "o/masks").as_posix() for path in (tmp_path / "o/masks").rglob("*.png")}
    assert masks == {f"{kind}/{name}.png" for kind in ("crack", "spalling") for name in kept}
    for kind, name in (("crack", kept[0]), ("spalling", kept[1])):
        assert not cv2.imread(str(tmp_path / f"o/masks/{kind}/{name}.png"), cv2.IMREAD_GRAYSCALE).any()
    assert not (tmp_path / "o/masks/rust").exists()


def test_labels_that_are_read_where_they_are_written_stay(tmp_path):
    coco(tmp_path / "c", [[1, 1, 30, 1, 30, 30]])
    unnamed = picture(tmp_path / "c/images/nobody labelled it yet.png")
    assert main(["import", str(tmp_path / "c"), "--out", str(tmp_path / "c"), "--overwrite"]) == 0
    assert mask(tmp_path / "c", "0").any()
    assert unnamed.is_file()


@pytest.mark.parametrize("command", ["render", "import"])
def test_a_full_disk_ends_with_one_sentence_and_exit_code_75(tmp_path, capsys, command):
    """A limit on the size of files stands for the full disk: the same calls fail (with EFBIG instead of ENOSPC)."""
    labelme(tmp_path / "l", "a", LINE)
    os.truncate(tmp_path / "l/a.png", 100_000)  # what comes behind the end of a PNG is not read
    words = {"render": [str(tmp_path / "o"), "--count", "2", "--size", "256"],
             "import": [str(tmp_path / "l"), "--out", str(tmp_path / "o")]}  # fmt: skip
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        code = main([command, *words[command]])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    told = capsys.readouterr().err.splitlines()
    assert code == TryAgainError.exit_code
    assert len(told) == 1
    assert f"nothing was written to {tmp_path / 'o'}: make room and run the same command again" in told[0]
    assert not (tmp_path / "o").exists()


def test_a_rendered_set_is_written_whole_and_in_its_colours(tmp_path):
    write_set(tmp_path, 3, 96, seed=1, spalling=True)
    for folder in ("images", "masks/crack", "masks/spalling"):
        assert sorted(path.stem[-1] for path in (tmp_path / folder).iterdir()) == ["0", "1", "2"]
    rgb, crack = picture_of(96, np.random.default_rng([1, 0]), cracked=True)  # the first has no spalling
    with Image.open(tmp_path / "images/rendered_0000.png") as image:
        assert (np.asarray(image) == rgb).all()
    with Image.open(tmp_path / "masks/crack/rendered_0000.png") as image:
        assert (np.asarray(image) == crack * 255).all()
