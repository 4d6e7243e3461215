"""Folders as people really hand them over."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from models import DataError, Example, data


@pytest.fixture
def pair(tmp_path):
    def write(stem="a", size=(20, 30), mask_size=None, values=(0, 255)):
        for kind in ("images", "masks"):
            (tmp_path / kind).mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "images" / f"{stem}.jpg"), np.full((*size, 3), 120, np.uint8))
        mask = np.zeros(mask_size or size, np.uint8)
        for i, value in enumerate(values):
            mask[i] = value
        cv2.imwrite(str(tmp_path / "masks" / f"{stem}.png"), mask)
        return tmp_path / "images", tmp_path / "masks"

    return write


def test_pairs_are_matched_by_stem_and_read(pair):
    pair("b")
    images, masks = pair("a")
    found = data.find_examples(images, masks)
    assert [example.image.name for example in found] == ["a.jpg", "b.jpg"]
    rgb, mask = data.read_example(found[0])
    assert rgb.shape == (20, 30, 3)
    assert mask.shape == (20, 30)
    assert set(np.unique(mask)) == {0, 1}


def test_colour_order_is_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "red.png"), np.full((4, 4, 3), (0, 0, 255), np.uint8))
    assert data.read_rgb(tmp_path / "red.png")[0, 0].tolist() == [255, 0, 0]


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match=r"image folder .*nowhere does not exist"):
        data.find_examples(tmp_path / "nowhere", None)


def test_empty_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match="holds no pictures"):
        data.find_examples(tmp_path, None)


def test_image_without_mask_names_the_missing_file(pair):
    images, masks = pair("a")
    (masks / "a.png").rename(masks / "b.png")
    with pytest.raises(DataError, match=r"a\.jpg .* has no mask: a file a\.png is missing"):
        data.find_examples(images, masks)


def test_damaged_image(tmp_path):
    (tmp_path / "half.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    with pytest.raises(DataError, match=r"half\.jpg cannot be read"):
        data.read_rgb(tmp_path / "half.jpg")


def test_mask_of_another_size_names_both_sizes(pair):
    images, masks = pair(size=(20, 30), mask_size=(10, 15))
    with pytest.raises(DataError, match=r"15 x 10 px but its image is 30 x 20 px"):
        data.read_example(data.find_examples(images, masks)[0])


def test_label_map_is_refused_with_its_values(pair):
    images, masks = pair(values=(1, 2, 3, 4))
    with pytest.raises(DataError, match=r"values 0, 1, 2, 3, 4, which look like class numbers"):
        data.read_example(data.find_examples(images, masks)[0])


def test_zero_one_mask_is_read_as_it_is(pair):
    images, masks = pair(values=(0, 1))
    assert data.read_example(data.find_examples(images, masks)[0])[1].sum() == 30


def test_two_pictures_of_one_name_do_not_share_a_mask(pair):
    images, masks = pair("a")
    cv2.imwrite(str(images / "a.png"), np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(DataError, match=r"holds a\.jpg and a\.png: two images of one name"):
        data.find_examples(images, masks)
    (images / "a.png").unlink()
    cv2.imwrite(str(masks / "a.bmp"), np.zeros((20, 30), np.uint8))
    with pytest.raises(DataError, match=r"holds a\.bmp and a\.png: two masks of one name"):
        data.find_examples(images, masks)


@pytest.mark.parametrize("name", ["a_mask", "mask-a", "A", "a.jpg", "label_a_gt"])
def test_a_mask_of_nearly_the_name_is_told_to_be_renamed(pair, name):
    images, masks = pair("a")
    (masks / "a.png").rename(masks / f"{name}.png")
    with pytest.raises(DataError, match=rf"but {name}\.png is there; .* rename it to a\.png"):
        data.find_examples(images, masks)


def test_what_the_system_hides_in_a_folder_is_no_picture(pair):
    images, masks = pair("a")
    (images / "._a.jpg").write_bytes(b"\0\5\x16\7")
    assert [example.image.name for example in data.find_examples(images, masks)] == ["a.jpg"]


def damage_inside(path):
    """Zeros over a tenth of a JPEG, as a lost cluster leaves it: libjpeg shifts what follows, and only warns."""
    noise = np.random.default_rng(1).integers(0, 255, (200, 300, 3)).astype(np.uint8)
    raw = bytearray(cv2.imencode(".jpg", noise)[1].tobytes())
    raw[len(raw) // 2 : len(raw) // 2 + len(raw) // 10] = bytes(len(raw) // 10)
    path.write_bytes(raw)
    return path


def test_damaged_pictures_are_left_out_by_name_and_counted(pair, caplog):
    pair("b", size=(200, 300))
    images, masks = pair("a", size=(200, 300))
    damage_inside(images / "a.jpg")
    found = list(data.read_examples(data.find_examples(images, masks)))
    assert [example.image.name for example, _, _ in found] == ["b.jpg"]
    assert "a.jpg cannot be read: damaged inside" in caplog.text
    assert "1 of 2 pictures are damaged and were left out" in caplog.text
    damage_inside(images / "b.jpg")
    with pytest.raises(DataError, match=r"All 2 pictures are damaged, first a\.jpg"):
        list(data.read_examples(data.find_examples(images, masks)))


def test_masks_without_one_pixel_of_damage_are_refused(pair):
    images, masks = pair(values=(0,))
    examples = data.find_examples(images, masks)
    with pytest.raises(DataError, match=r"Not one pixel of damage is drawn in the 1 masks in .*masks"):
        list(data.read_examples(examples))
    assert len(list(data.read_examples(examples, must_show=False))) == 1
    assert len(list(data.read_examples(data.find_examples(images, None)))) == 1


def test_twelve_bits_of_sixteen_are_as_bright_as_eight(tmp_path):
    grey = np.linspace(0, 4095, 600).astype(np.uint16).reshape(20, 30)
    cv2.imwrite(str(tmp_path / "a.png"), grey)
    np.testing.assert_array_equal(data.read_rgb(tmp_path / "a.png")[..., 1], grey // 16)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_as_its_tag_says(tmp_path, orientation):
    stored = np.zeros((6, 8, 3), np.uint8)
    stored[0, 0] = 255, 0, 0  # the first row's first column
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    rgb = data.read_rgb(tmp_path / "a.tif")
    # TIFF 6.0, Orientation: where row 0 and column 0 are shown.
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    assert rgb.shape == ((6, 8, 3) if orientation < 5 else (8, 6, 3))
    assert rgb[corner[orientation]].tolist() == [255, 0, 0]


def turned_photo(path, orientation, size=(20, 30)):
    tags = Image.Exif()
    tags[0x0112] = orientation
    Image.fromarray(np.full((*size, 3), 120, np.uint8)).save(path, exif=tags)


def test_a_mask_on_the_stored_rows_of_a_turned_photo_is_told(pair):
    images, masks = pair()
    turned_photo(images / "a.jpg", 6)
    with pytest.raises(DataError, match=r"a\.png lies like the stored rows of its photo, which has EXIF orientation 6"):
        data.read_example(data.find_examples(images, masks)[0])


@pytest.mark.parametrize(("orientation", "size"), [(3, (20, 30)), (2, (20, 30)), (6, (20, 20))])
def test_a_mask_that_fits_a_turned_photo_both_ways_is_refused(pair, orientation, size):
    images, masks = pair(size=size)
    turned_photo(images / "a.jpg", orientation, size)
    with pytest.raises(DataError, match=rf"EXIF orientation {orientation}, and nothing shows"):
        data.read_example(data.find_examples(images, masks)[0])


def test_a_mask_on_the_upright_photo_is_read(pair):
    images, masks = pair(size=(20, 30), mask_size=(30, 20))
    turned_photo(images / "a.jpg", 6)
    rgb, mask = data.read_example(data.find_examples(images, masks)[0])
    assert rgb.shape[:2] == mask.shape == (30, 20)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"image,photo\nimages/a.jpg,P1\nimages/b.jpg,P1\n", None),
        (b"\xef\xbb\xbfimage,dataset,photo\nimages/a.jpg,,P1\nimages/b.jpg,,P1\n", None),
        (b"image;photo\r\nimages/a.jpg;P1\r\nimages/b.jpg;P1\r\n", None),
        ("Datei;Brücke\n1;2\n".encode("latin-1"), "is not UTF-8 (byte 8)"),
        (b"photo,date,author\nIMG_1.jpg,2026-01-01,me\n", "has no column image: it needs image, photo"),
        (b"image,photo\nimages/x.jpg,P1\n", "names 1 images that are not in"),
        (b"", "has no column image and no column photo"),
    ],
)
def test_an_index_is_read_or_told_what_is_wrong(pair, content, told):
    pair("b")
    images, masks = pair("a")
    (images.parent / "index.csv").write_bytes(content)
    if told is None:
        groups = [example.group for example in data.find_examples(images, masks, images.parent)]
        assert groups == ["/P1", "/P1"]
    else:
        with pytest.raises(DataError, match=re.escape(told)):
            data.find_examples(images, masks, images.parent)


def test_index_groups_pictures_of_one_photograph(pair):
    pair("a")
    pair("b")
    images, masks = pair("c")
    (images.parent / "index.csv").write_text(
        "dataset,split,image,mask,photo,licence\nset,train,images/a.jpg,,P1,x\nset,train,images/b.jpg,,P1,x\n"
    )
    groups = [example.group for example in data.find_examples(images, masks, images.parent)]
    assert groups == ["set/P1", "set/P1", "images/c"]


def examples(tmp_path, groups):
    return [Example(image=tmp_path / f"{i}.jpg", mask=None, group=group) for i, group in enumerate(groups)]


def test_split_keeps_photographs_together_and_is_repeatable(tmp_path):
    items = examples(tmp_path, [f"photo{i // 4}" for i in range(120)])
    kept, held = data.split(items, 0.15, seed=5)
    assert not {one.group for one in kept} & {one.group for one in held}
    assert len(kept) + len(held) == 120
    assert 12 <= len(held) <= 24
    assert data.split(items, 0.15, seed=5) == (kept, held)
    assert data.split(items, 0.15, seed=6) != (kept, held)


def test_split_holds_out_at_least_one_photograph(tmp_path):
    kept, held = data.split(examples(tmp_path, ["a"] * 50 + ["b"] * 50), 0.1, seed=1)
    assert len(kept) == len(held) == 50


def test_content_hash_sees_a_changed_mask(pair):
    images, masks = pair()
    before = data.content_hash(data.find_examples(images, masks))
    cv2.imwrite(str(masks / "a.png"), np.full((20, 30), 255, np.uint8))
    assert data.content_hash(data.find_examples(images, masks)) != before


def test_mask_without_image_is_named(pair):
    pair("b")
    images, masks = pair("a")
    (images / "a.jpg").unlink()
    with pytest.raises(DataError, match=r"Mask a\.png in .*masks has no image in .*images"):
        data.find_examples(images, masks)
