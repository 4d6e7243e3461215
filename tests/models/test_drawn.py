"""Masks as people really export them: one crack, saved in every way that programs save one."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from models import DamagedError, DataError
from models.drawn import read_mask, read_numbers

SHAPE = (60, 80)
CRACK = np.zeros(SHAPE, bool)
CRACK[20:23, 5:75] = True


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def tiff(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples)
    return file.getvalue()


def encoded(samples: np.ndarray, kind: str = ".png", *how: int) -> bytes:
    return cv2.imencode(kind, samples, list(how))[1].tobytes()


def palette(colours: list[int], indices: np.ndarray) -> bytes:
    image = Image.fromarray(indices.astype(np.uint8), "P")
    image.putpalette(colours)
    return png(image)


def rgba(crack: tuple[int, ...], ground: tuple[int, ...]) -> bytes:
    return png(Image.fromarray(np.where(CRACK[..., None], np.uint8(crack), np.uint8(ground))))


def pages(*samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, np.stack(samples), photometric="minisblack")
    return file.getvalue()


def smooth(highest: int = 255) -> np.ndarray:
    """Anti-aliased: drawn at five times the size, then shrunk."""
    large = np.zeros((300, 400), np.float32)
    cv2.line(large, (25, 107), (375, 107), highest, 15)
    return cv2.resize(large, (80, 60), interpolation=cv2.INTER_AREA)


GREY = CRACK.astype(np.uint8)
SAVED = {
    "0 and 255": lambda: encoded(GREY * 255),
    "0 and 1": lambda: encoded(GREY),
    "0 and 38, the grey of dark red": lambda: encoded(GREY * 38),
    "one bit": lambda: png(Image.fromarray(CRACK)),
    "16 bit, 0 and 1": lambda: encoded(CRACK.astype(np.uint16)),
    "16 bit, 0 and 255": lambda: encoded(CRACK.astype(np.uint16) * 255),
    "16 bit, 0 and 65535": lambda: encoded(CRACK.astype(np.uint16) * 65535),
    "32 bit": lambda: tiff(CRACK.astype(np.int32)),
    "fractions": lambda: tiff(CRACK.astype(np.float32)),
    "red": lambda: encoded(GREY[..., None] * np.uint8([0, 0, 255])),
    "dark blue": lambda: encoded(GREY[..., None] * np.uint8([60, 0, 0])),
    "palette of Pascal VOC": lambda: palette([0, 0, 0, 128, 0, 0], GREY),
    "palette without colours": lambda: palette([0, 0, 0, 0, 0, 0], GREY),
    "palette, index 0 white, index 1 red": lambda: palette([255, 255, 255, 255, 0, 0], GREY),
    "palette with black as number 1": lambda: palette([255, 255, 255, 0, 0, 0], 1 - GREY),
    "black on transparent": lambda: rgba((0, 0, 0, 255), (0, 0, 0, 0)),
    "black on transparent white": lambda: rgba((0, 0, 0, 255), (255, 255, 255, 0)),
    "white on transparent white": lambda: rgba((255, 255, 255, 255), (255, 255, 255, 0)),
    "white on opaque black": lambda: rgba((255, 255, 255, 255), (0, 0, 0, 255)),
    "BMP": lambda: encoded(GREY * 255, ".bmp"),
}


@pytest.fixture
def saved(tmp_path):
    def write(data):
        path = tmp_path / "mask"
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("kind", SAVED)
def test_one_crack_however_it_was_saved(saved, kind):
    drawn = read_mask(saved(SAVED[kind]()), SHAPE)
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn, GREY)


@pytest.mark.parametrize(
    "data",
    [
        encoded(smooth().astype(np.uint8)),
        encoded(smooth(40).astype(np.uint8)),
        encoded(smooth(65535).astype(np.uint16)),
        tiff(smooth(1)),
        encoded(smooth().astype(np.uint8), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 90),
        encoded(smooth().astype(np.uint8)[..., None] * np.float32([0, 0, 1]), ".png"),
    ],
    ids=["8 bit", "dim", "16 bit", "fractions", "JPEG", "red"],
)
def test_soft_edges_are_drawn_above_half_of_the_highest(saved, data):
    drawn = read_mask(saved(data), SHAPE)
    np.testing.assert_array_equal(drawn, smooth() > 127.5)


@pytest.mark.parametrize("data", [encoded(GREY * 0), palette([0, 0, 0], GREY * 0), tiff(np.zeros(SHAPE, np.float32))])
def test_nothing_drawn(saved, data):
    assert not read_mask(saved(data), SHAPE).any()


AREA = np.zeros(SHAPE, bool)
AREA[30:55, 10:40] = True
AMBIGUOUS = {
    "map of probabilities": (encoded(cv2.GaussianBlur(GREY * np.uint8(255), (0, 0), 5)), "fades over many pixels"),
    "pages": (pages(GREY * np.uint8(255), GREY * np.uint8(255)), "holds several pictures"),
    "inverted": (encoded(255 - GREY * 255), "seems to be inverted: 96%"),
    "everything": (encoded(np.full(SHAPE, 255, np.uint8)), "seems to be inverted: 100%"),
    "opaque ground, transparent crack": (rgba((0, 0, 0, 0), (0, 0, 0, 255)), "seems to be inverted"),
    "no zero": (encoded(GREY + 1), "values 1, 2 and no 0"),
    "class numbers": (encoded(GREY + 2 * AREA.astype(np.uint8)), "values 0, 1, 2, which look like class numbers"),
    "class and unknown": (encoded(GREY + 255 * AREA.astype(np.uint8)), "values 0, 1, 255, which look like class"),
    "classes as greys": (encoded(85 * GREY + 170 * AREA.astype(np.uint8)), "values 0, 85, 170, which look like"),
    "minus one": (tiff(GREY.astype(np.int16) - 1), "values -1, 0 and no 0"),
    "two colours": (
        encoded(GREY[..., None] * np.uint8([0, 0, 255]) + AREA[..., None] * np.uint8([0, 255, 0])),
        "2 different colours",
    ),
    "red on white": (encoded(np.where(CRACK[..., None], np.uint8([0, 0, 255]), np.uint8(255))), "2 different colours"),
    "not a number": (tiff(np.where(CRACK, np.float32("nan"), np.float32(0))), "holds values that are no numbers"),
    "a photograph": (
        encoded(cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, SHAPE).astype(np.uint8), (5, 5), 0)),
        "is a photograph",
    ),
    "an area of half": (
        encoded(np.maximum(smooth().astype(np.uint8), np.uint8(120) * AREA)), "has areas of 120 between 0 and 255",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_what_could_be_read_in_two_ways_is_refused(saved, kind):
    data, told = AMBIGUOUS[kind]
    with pytest.raises(DataError, match=f"Mask .*{told}"):
        read_mask(saved(data), SHAPE)


def test_of_several_classes_one_may_cover_most(saved):
    spalled = np.full(SHAPE, 255, np.uint8)
    spalled[:, :30] = 0
    assert read_mask(saved(encoded(spalled)), SHAPE, areas=True).mean() > 0.5
    with pytest.raises(DataError, match="inverted"):
        read_mask(saved(encoded(255 - GREY * 255)), SHAPE, areas=True)


def test_numbers_of_a_label_map_are_those_stored(saved):
    numbers = GREY + 2 * AREA.astype(np.uint8)
    for data in (
        encoded(numbers),
        palette([0, 0, 0, 128, 0, 0, 0, 128, 0], numbers),
        encoded(numbers.astype(np.uint16)),
    ):
        np.testing.assert_array_equal(read_numbers(saved(data), SHAPE), numbers)
    with pytest.raises(DataError, match="has colours, not class numbers"):
        read_numbers(saved(encoded(numbers[..., None] * np.uint8([0, 0, 100]))), SHAPE)


def test_a_damaged_mask_is_not_guessed(saved):
    data = bytearray(encoded(np.random.default_rng(1).integers(0, 2, SHAPE).astype(np.uint8)))
    data[len(data) // 2] ^= 1
    with pytest.raises(DamagedError, match="checksum of its IDAT"):
        read_mask(saved(bytes(data)), SHAPE)


@given(arrays.arrays(st.sampled_from([np.uint8, np.uint16]), (12, 14)))
def test_any_samples_are_read_or_refused(tmp_path_factory, samples):
    path = tmp_path_factory.mktemp("any") / "mask.png"
    path.write_bytes(encoded(samples))
    try:
        drawn = read_mask(path, (12, 14))
    except DataError:
        return
    assert set(np.unique(drawn)) <= {0, 1}
    assert drawn.mean() <= 0.5
    assert not drawn[samples == 0].any()
