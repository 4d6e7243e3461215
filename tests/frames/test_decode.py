import io

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from edge.frames.decode import UnreadableImageError, decode, known_kind, quiet_opencv, significant_bits, to_eight_bits

quiet_opencv()

# The oracle of CIPA DC-008, tag Orientation: what the stored row 0 and column 0 are in the upright picture.
UPRIGHT = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


def scene(height=24, width=36) -> np.ndarray:
    """An RGB picture without symmetry, smooth enough for JPEG."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * x / width, 255 * y / height, 128 + 100 * np.sin(x / 9) * (y > 6)], axis=2).astype(np.uint8)


def saved(image: Image.Image, kind: str, **how) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def tiff(array, **how) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **how)
    return file.getvalue()


LOSSLESS = {
    "PNG": lambda a: saved(Image.fromarray(a), "PNG"),
    "BMP": lambda a: saved(Image.fromarray(a), "BMP"),
    "TIFF": lambda a: saved(Image.fromarray(a), "TIFF"),
    "TIFF, LZW": lambda a: saved(Image.fromarray(a), "TIFF", compression="tiff_lzw"),
    "BigTIFF": lambda a: tiff(a, bigtiff=True),
    "TIFF in planes": lambda a: tiff(np.moveaxis(a, 2, 0).copy(), photometric="rgb", planarconfig="separate"),
    "WebP": lambda a: saved(Image.fromarray(a), "WEBP", lossless=True),
    "PNG with alpha": lambda a: saved(Image.fromarray(np.dstack([a, a[..., 0]])), "PNG"),
    "WebP with alpha": lambda a: saved(
        Image.fromarray(np.dstack([a, 255 - a[..., 0] // 4])), "WEBP", lossless=True, exact=True
    ),
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_colours_are_red_first(kind):
    rgb = decode(LOSSLESS[kind](scene()), orientation=1)
    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    np.testing.assert_array_equal(rgb, scene())


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg(progressive):
    rgb = decode(saved(Image.fromarray(scene()), "JPEG", quality=98, subsampling=0, progressive=progressive), 1)
    assert np.abs(rgb.astype(int) - scene()).mean() < 2


def test_cmyk_jpeg():
    rgb = decode(saved(Image.fromarray(scene()).convert("CMYK"), "JPEG", quality=98, subsampling=0), 1)
    assert np.abs(rgb.astype(int) - scene()).mean() < 3


@pytest.mark.parametrize("reduce", [2, 4, 8])
@pytest.mark.parametrize("kind", ["JPEG", "CMYK JPEG", "PNG", "16-bit PNG"])
def test_a_picture_read_smaller_is_the_mean_of_its_pixels(kind, reduce):
    whole = scene(200, 328)
    data = {
        "JPEG": lambda: saved(Image.fromarray(whole), "JPEG", quality=98, subsampling=0, exif=_turned(6)),
        "CMYK JPEG": lambda: saved(Image.fromarray(whole).convert("CMYK"), "JPEG", quality=98, subsampling=0),
        "PNG": lambda: saved(Image.fromarray(whole), "PNG"),
        "16-bit PNG": lambda: cv2.imencode(".png", np.ascontiguousarray(whole[..., ::-1]).astype(np.uint16) * 256)[
            1
        ].tobytes(),
    }[kind]()
    orientation = 6 if kind == "JPEG" else 1
    found = decode(data, orientation, reduce)
    upright = UPRIGHT[orientation](whole)
    rows, columns = (size // reduce for size in upright.shape[:2])
    mean = upright.astype(float).reshape(rows, reduce, columns, reduce, 3).mean(axis=(1, 3))
    assert found.shape == mean.shape
    off = np.abs(found / (256 if kind == "16-bit PNG" else 1) - mean)
    assert off.mean() < (6 if kind == "CMYK JPEG" else 1.0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_size_of_a_picture_read_smaller_is_rounded_up(kind):
    assert decode(saved(Image.fromarray(scene(201, 333)), kind), 1, 8).shape == (26, 42, 3)


def _turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P"])
def test_grey_and_palette(mode):
    image = Image.fromarray(scene()).convert(mode)
    rgb = decode(saved(image, "PNG"), 1)
    np.testing.assert_array_equal(rgb, np.asarray(image.convert("RGB")))


def test_colour_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(decode(saved(Image.fromarray(scene()), "PNG", icc_profile=profile), 1), scene())


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_once_and_in_the_right_direction(kind, orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    how = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    rgb = decode(saved(Image.fromarray(scene()), kind, exif=tags, **how), orientation)
    wanted = UPRIGHT[orientation](scene())
    assert rgb.shape == wanted.shape
    assert rgb.flags.c_contiguous
    assert np.abs(rgb.astype(int) - wanted).mean() < 2


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_orientation_of_16_bit(orientation):
    deep = scene().astype(np.uint16) << 8
    png = cv2.imencode(".png", deep[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(decode(png, orientation), UPRIGHT[orientation](deep))
    turned = tiff(deep, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    np.testing.assert_array_equal(decode(turned, orientation), UPRIGHT[orientation](deep))


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_16_bit_samples_use_the_bits_there_are(bits):
    grey = np.linspace(0, 2**bits - 1, 600).astype(np.uint16).reshape(20, 30)
    for data in (tiff(grey), saved(Image.fromarray(grey), "PNG")):
        rgb = decode(data, 1)
        assert rgb.dtype == np.uint16
        assert significant_bits(rgb) == bits
        eight = to_eight_bits(rgb, bits)
        np.testing.assert_array_equal(eight[..., 1], grey // 2 ** (bits - 8))
        assert eight.min() == 0
        assert eight.max() == 255


def test_a_dark_16_bit_picture_is_not_stretched():
    assert significant_bits(np.full((4, 4, 3), 100, np.uint16)) == 10


def test_a_sample_beyond_the_agreed_bits_saturates():
    assert to_eight_bits(np.full((1, 1, 3), 5000, np.uint16), 12).tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize("array", [np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.int16)])
def test_other_samples_are_refused_by_name(array):
    with pytest.raises(UnreadableImageError, match=f"samples are {array.dtype}"):
        decode(tiff(array, photometric="rgb" if array.ndim == 3 else "minisblack"), 1)


BROKEN_ENDS = {
    "JPEG": lambda: saved(Image.fromarray(scene(240, 360)), "JPEG"),
    "progressive JPEG": lambda: saved(Image.fromarray(scene(240, 360)), "JPEG", progressive=True),
    "PNG": lambda: saved(Image.fromarray(scene(240, 360)), "PNG"),
    "WebP": lambda: saved(Image.fromarray(scene(240, 360)), "WEBP"),
    "BMP": lambda: saved(Image.fromarray(scene(240, 360)), "BMP"),
    "TIFF": lambda: saved(Image.fromarray(scene(240, 360)), "TIFF"),
    "TIFF, LZW": lambda: saved(Image.fromarray(scene(240, 360)), "TIFF", compression="tiff_lzw"),
}


@pytest.mark.parametrize("share", [0.03, 0.5, 0.9, 0.995])
@pytest.mark.parametrize("kind", BROKEN_ENDS)
def test_a_file_cut_short_is_not_a_picture(kind, share):
    whole = BROKEN_ENDS[kind]()
    decode(whole, 1)
    with pytest.raises(UnreadableImageError):
        decode(whole[: int(len(whole) * share)], 1)


@pytest.mark.parametrize("filler", [b"\0", b"\xff"])
@pytest.mark.parametrize("kind", ["JPEG", "progressive JPEG", "PNG"])
def test_a_file_whose_rest_was_never_written(kind, filler):
    whole = BROKEN_ENDS[kind]()
    with pytest.raises(UnreadableImageError, match=r"ends early|damaged inside"):
        decode(whole[: len(whole) // 2].ljust(len(whole), filler), 1)


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_photo():
    thumbnail = saved(Image.fromarray(scene()), "JPEG")
    whole = saved(Image.fromarray(scene(240, 360)), "JPEG")
    segment = b"\xff\xe1" + (len(thumbnail) + 8).to_bytes(2, "big") + b"Exif\0\0" + thumbnail
    photo = whole[:2] + segment + whole[2:]
    assert decode(photo, 1).shape == (240, 360, 3)
    with pytest.raises(UnreadableImageError, match="no end marker"):
        decode(photo[: len(photo) * 3 // 4], 1)


def test_what_cameras_append_is_ignored():
    assert decode(saved(Image.fromarray(scene()), "JPEG") + b"\0" * 64 + b"trailer", 1).shape == (24, 36, 3)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"BM", b"II*\0", b"not an image at all", b"\0" * 500])
def test_not_an_image(data):
    with pytest.raises(UnreadableImageError):
        decode(data, 1)


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff\xdb", b"\x89PNG\r\n\x1a\n", b"RIFF", b"BM", b"II*\0"])
)
@settings(max_examples=60)
def test_any_bytes(data, start):
    try:
        rgb = decode(start + data, 1)
    except UnreadableImageError:
        return
    assert rgb.ndim == 3


@pytest.mark.parametrize("kind", BROKEN_ENDS)
def test_kinds_are_known_by_their_first_bytes(kind):
    assert known_kind(BROKEN_ENDS[kind]()[:12])


def test_unknown_kinds():
    assert not known_kind(b"RIFF\0\0\0\0AVI ")
    assert known_kind(b"\0\0\0\x18ftypheic")
    assert not known_kind(b"\0\0\0\x18ftypavif")
    assert not known_kind(b"")
