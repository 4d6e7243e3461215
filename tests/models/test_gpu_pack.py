"""What goes into a pack: masks as training reads them, and one source by one name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from models import DataError
from models.gpu.pack import write_packs
from models.gpu.recipe import Recipe, SourceRecipe, StudentRecipe

SOURCE = SourceRecipe(name="deck", images="images", masks="masks", wide="wide", weight=0.2)
BARE = SourceRecipe(name="deck", images="images")


def recipe(source: SourceRecipe) -> Recipe:
    return Recipe(students=(StudentRecipe(name="small"),), sources=(source,))


@pytest.fixture
def half_turned(tmp_path: Path) -> Path:
    """A photo that is shown turned by half, with a mask and a band that fit its stored and its turned rows alike."""
    for name in ("images", "masks", "wide"):
        (tmp_path / name).mkdir()
    tags = Image.Exif()
    tags[0x0112] = 3  # TIFF 6.0, Orientation: row 0 is shown at the bottom, column 0 on the right
    Image.fromarray(np.full((40, 60, 3), 120, np.uint8)).save(tmp_path / "images" / "a.jpg", exif=tags)
    for name, thick in (("masks", 2), ("wide", 8)):
        drawn = np.zeros((40, 60), np.uint8)
        drawn[4 : 4 + thick] = 255
        cv2.imwrite(str(tmp_path / name / "a.png"), drawn)
    return tmp_path


def test_a_mask_that_may_lie_on_the_unturned_rows_is_refused(half_turned: Path) -> None:
    with pytest.raises(DataError, match=r"masks/a\.png: its photo has EXIF orientation 3, and nothing shows"):
        write_packs([recipe(SOURCE)], half_turned, half_turned / "packs")


def test_so_is_its_band(half_turned: Path) -> None:
    tags = Image.Exif()
    tags[0x0112] = 3
    stored = Image.fromarray(np.array(Image.open(half_turned / "masks" / "a.png")))
    stored.save(half_turned / "masks" / "a.png", exif=tags)  # a mask that says itself how it is turned
    with pytest.raises(DataError, match=r"wide/a\.png: its photo has EXIF orientation 3, and nothing shows"):
        write_packs([recipe(SOURCE)], half_turned, half_turned / "packs")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SOURCE, replace(SOURCE, wide=None)),
        (SOURCE, replace(SOURCE, per_photo=2)),
        (SOURCE, replace(SOURCE, quality=40)),
        (BARE, replace(BARE, unlabelled=True)),
    ],
)
def test_a_source_differs_between_recipes_in_its_weight_alone(
    tmp_path: Path, one: SourceRecipe, other: SourceRecipe
) -> None:
    with pytest.raises(DataError, match="source 'deck' differs between the recipes"):
        write_packs([recipe(one), recipe(other)], tmp_path, tmp_path / "packs")
    assert not (tmp_path / "packs").exists()


def test_another_weight_is_no_difference(half_turned: Path) -> None:
    recipes = [recipe(BARE), recipe(replace(BARE, weight=0.7))]
    assert len(write_packs(recipes, half_turned, half_turned / "packs")) == 1
