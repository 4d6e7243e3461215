"""What the reporting filter holds back at several limits, on pictures whose pieces are known by hand."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from models import DataError
from models.cli import main
from models.data import find_examples
from models.limits import sweep
from models.scoring import line_class
from tests.models.sets import Darkness


@pytest.fixture
def folder(tmp_path):
    """Two cracked pictures 80 x 120 and a sound one, with bars of known length and darkness.

    0: a true bar of 100 px, score 1.0, and a false one of 40 px, 0.8; 1: a true bar of 40 px, 0.8; 2: a false one of
    100 px, 0.61. Held back: 40 px from a limit of 200 px on, 100 px at 0.61 from 256 px on.
    """
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    bars = [[(20, 100, 0, 255), (60, 40, 51, 0)], [(40, 40, 51, 255)], [(40, 100, 100, 0)]]
    for i, drawn in enumerate(bars):
        image, mask = np.full((80, 120, 3), 230, np.uint8), np.zeros((80, 120), np.uint8)
        for row, length, grey, truth in drawn:
            image[row : row + 4, 10 : 10 + length] = grey
            mask[row : row + 4, 10 : 10 + length] = truth
        cv2.imwrite(str(tmp_path / f"images/{i}.png"), image)
        cv2.imwrite(str(tmp_path / f"masks/{i}.png"), mask)
    return tmp_path


def test_counts_at_every_limit(folder):
    rows = sweep(Darkness(), find_examples(folder / "images", folder / "masks"), [0, 220, 300])
    assert [row["sure_length_px"] for row in rows] == [0, 220, 300]
    assert [(row["cracked"], row["found"], row["crack_free"], row["fires"]) for row in rows] == [
        (2, 2, 1, 1), (2, 1, 1, 1), (2, 1, 1, 0),
    ]  # fmt: skip
    assert [(row["pieces_true"], row["pieces_false"]) for row in rows] == [(2, 1), (1, 0), (1, 0)]
    assert rows[0]["true_pixels_lost"] == 0
    assert rows[1]["true_pixels_lost"] == rows[2]["true_pixels_lost"] == pytest.approx(40 / 140, abs=1e-5)


def test_nothing_true_traced_loses_no_share(folder):
    alone = [one for one in find_examples(folder / "images", folder / "masks") if one.image.name == "2.png"]
    (row,) = sweep(Darkness(), alone, [0])
    assert row["true_pixels_lost"] is None
    assert (row["cracked"], row["fires"]) == (0, 1)


def test_a_negative_limit_is_refused(folder):
    with pytest.raises(DataError, match="--px: sure_length_px is -1"):
        sweep(Darkness(), [], [-1])


def test_command_prints_a_row_for_each_limit(folder, tmp_path, capsys):
    sets = ["--set", f"bars={folder}/images,{folder}/masks"]
    assert main(["limits", "tests/masks/fixtures/pixel", *sets, "--px", "0", "1e6"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["sure_length_px"] for row in told["limits"]] == [0, 1e6]
    assert told["limits"][0]["cracked"] == 2
    assert told["limits"][1]["pieces_false"] == told["limits"][1]["found"] == 0


@pytest.fixture
def coloured(tmp_path):
    """For the bundle `kinds`, spalling before crack: a crack of 60 px in blue, and beside it spalling, without red."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    rgb, truth = np.full((64, 96, 3), (230, 128, 0), np.uint8), np.zeros((64, 96), np.uint8)
    rgb[10:14, 10:70, 2] = truth[10:14, 10:70] = 255
    rgb[40:48, 8:72, 0] = 0
    cv2.imwrite(str(tmp_path / "images/0.png"), rgb[..., ::-1])
    cv2.imwrite(str(tmp_path / "masks/0.png"), truth)
    return tmp_path


def test_of_several_classes_the_first_that_is_measured_as_lines_is_traced(coloured, capsys):
    words = ["limits", "tests/masks/fixtures/kinds", "--set", f"a={coloured}/images,{coloured}/masks", "--px", "0"]
    assert main(words) == 0
    (row,) = json.loads(capsys.readouterr().out)["limits"]
    assert (row["found"], row["pieces_true"], row["pieces_false"]) == (1, 1, 0)
    assert main([*words, "--class", "crack"]) == 0
    assert json.loads(capsys.readouterr().out)["limits"] == [row]
    assert main([*words, "--class", "spalling"]) == 2
    assert "the class is measured as areas, and [report] sure_length_px holds back lines" in capsys.readouterr().err
    assert main([*words, "--class", "rust"]) == 2
    assert "knows the classes spalling, crack, not 'rust'" in capsys.readouterr().err


def test_a_bundle_that_knows_areas_alone_has_no_limit(coloured, capsys):
    bundle = coloured / "bundle"
    shutil.copytree("tests/masks/fixtures/kinds", bundle)
    card = json.loads((bundle / "card.json").read_text())
    card["measure"] = {"crack": "area"}
    (bundle / "card.json").write_text(json.dumps(card))
    assert main(["limits", str(bundle), "--set", f"a={coloured}/images,{coloured}/masks"]) == 2
    told = capsys.readouterr()
    assert "the class is measured as areas" in told.err
    assert not told.out


def test_the_classes_of_a_float_network_stand_in_its_record(tmp_path):
    assert line_class(tmp_path / "model.keras") == "crack"
    for classes, expected in ((["rust", "crack"], "crack"), (["rust", "spalling"], None)):
        (tmp_path / "run.json").write_text(json.dumps({"classes": classes}))
        assert line_class(tmp_path / "model.keras") == expected
