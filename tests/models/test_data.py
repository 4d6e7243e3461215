"""Folders as people really hand them over."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

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


def test_grey_mask_is_read_above_127_and_said_so(pair, caplog):
    images, masks = pair(values=(0, 90, 128, 255))
    _, mask = data.read_example(data.find_examples(images, masks)[0])
    assert mask.sum() == 60
    assert "4 grey values; read as crack above 127" in caplog.text


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
