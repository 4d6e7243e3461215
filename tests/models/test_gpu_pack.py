"""What goes into a pack: masks as training reads them, and one source by one name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from models import DataError
from models.gpu.pack import held_photos, write_packs
from models.gpu.packed import read_packs
from models.gpu.recipe import Recipe, SourceRecipe, StudentRecipe
from tests.models.gpu_runs import packed

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


def test_a_pack_holds_every_picture_once_with_what_nobody_knows(data: Path) -> None:
    _, found = packed(data)
    assert len(found) == 18
    for one in found:
        rgb, mask = one.decode()
        original = cv2.imread(str(next(data.glob(f"{one.entry.source}*/**/{one.entry.name}"), data / "sound")))
        assert rgb.shape == (96, 96, 3)
        if one.entry.source != "cracked":
            assert one.mask is None
            assert not mask.any()
            continue
        drawn = cv2.imread(str(data / "cracked" / "masks" / one.entry.name), cv2.IMREAD_GRAYSCALE) > 0
        band = cv2.imread(str(data / "cracked" / "wide" / one.entry.name), cv2.IMREAD_GRAYSCALE) > 0
        np.testing.assert_array_equal(mask == 1, drawn)
        np.testing.assert_array_equal(mask == 128, band & ~drawn)
        assert np.abs(rgb[..., ::-1].astype(int) - original).mean() < 10  # WebP, not another picture


def test_the_last_photographs_are_held_out_and_never_all() -> None:
    source = SourceRecipe(name="a", images="a", hold=0.3)
    photos = [f"a/{i}" for i in range(10)]
    assert held_photos(source, photos) == {"a/7", "a/8", "a/9"}
    assert held_photos(SourceRecipe(name="a", images="a", hold=0.99), photos) == set(photos[1:])
    assert held_photos(SourceRecipe(name="a", images="a", hold=1), photos) == set(photos)
    assert held_photos(SourceRecipe(name="a", images="a", hold_photos=("3",)), photos) == {"a/3"}


def test_a_source_of_one_photograph_is_refused_in_a_sentence() -> None:
    with pytest.raises(DataError, match="is one photograph"):
        held_photos(SourceRecipe(name="a", images="a", hold=0.3), ["a/1", "a/1"])
    with pytest.raises(DataError, match="not all photographs"):
        held_photos(SourceRecipe(name="a", images="a", hold_photos=("9",)), ["a/1", "a/2"])


def test_a_file_that_is_no_pack_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "pack.npz", blob=np.zeros(3, np.uint8))
    with pytest.raises(DataError, match=r"pack\.npz is no pack of pictures; make it with"):
        read_packs([tmp_path / "pack.npz"])


def test_a_file_of_arrays_that_is_absent_cut_off_or_something_else_is_told(tmp_path: Path) -> None:
    path = tmp_path / "pack.npz"
    with pytest.raises(DataError, match=r"pack\.npz does not exist; it is to hold a pack of pictures"):
        read_packs([path])
    np.savez_compressed(path, blob=np.arange(300, dtype=np.uint8), index=np.frombuffer(b"[]", np.uint8))
    whole = path.read_bytes()
    assert read_packs([path]) == []
    flipped = bytearray(whole)
    flipped[80] ^= 0xFF
    np.save(tmp_path / "single.npy", np.zeros(3))
    told = r"pack\.npz cannot be read as a pack of pictures \(it is no whole \.npz file\); copy it again"
    broken = [whole[:length] for length in range(0, len(whole), 7)]
    for content in [*broken, bytes(flipped), b"nothing", (tmp_path / "single.npy").read_bytes()]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=told):
            read_packs([path])
