"""Damage inside a file, in every format that can tell: a picture with shifted blocks must not pass for a whole one."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge.frames import stills, tiff
from edge.frames.decode import UnreadableImageError, decode


def noise(height: int = 240, width: int = 320) -> np.ndarray:
    """Structure enough that no part of a compressed file is trivial."""
    small = np.random.default_rng(3).integers(0, 255, (height // 4, width // 4, 3)).astype(np.uint8)
    rough = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    return np.clip(rough + np.random.default_rng(4).integers(-9, 9, rough.shape), 0, 255).astype(np.uint8)


def saved(kind: str, **how: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise()).save(file, kind, **how)
    return file.getvalue()


KINDS = {
    "JPEG": lambda: saved("JPEG", quality=92),
    "progressive JPEG": lambda: saved("JPEG", quality=92, progressive=True),
    "JPEG with restarts": lambda: saved("JPEG", quality=92, restart_marker_rows=1),
    "grey JPEG": lambda: cv2.imencode(".jpg", noise()[..., 0])[1].tobytes(),
    "PNG": lambda: saved("PNG"),
    "TIFF, deflate": lambda: saved("TIFF", compression="tiff_adobe_deflate"),
    "TIFF, LZW": lambda: saved("TIFF", compression="tiff_lzw"),
    "TIFF, PackBits": lambda: saved("TIFF", compression="packbits"),
    "TIFF, JPEG": lambda: saved("TIFF", compression="jpeg", quality=90),
}


def zeroed(data: bytes, at: int) -> bytes:
    """A cluster of the card that was never written."""
    return data[:at] + bytes(4096) + data[at + 4096 :]


def lost(data: bytes, at: int) -> bytes:
    """A cluster of the card that is missing."""
    return data[:at] + data[at + 4096 :]


def overwritten(data: bytes, at: int) -> bytes:
    """A cluster of the card that belongs to another file."""
    return data[:at] + np.random.default_rng(at).bytes(4096) + data[at + 4096 :]


def ended(data: bytes, at: int) -> bytes:
    """Cut short, and finished by a rescue program."""
    return data[:at] + data[-2:]


@pytest.mark.parametrize("harm", [zeroed, lost, overwritten, ended])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_inside_is_heard(kind, harm):
    whole = KINDS[kind]()
    assert decode(whole, 1).shape == (240, 320, 3)
    for at in np.linspace(len(whole) // 5, len(whole) * 4 // 5, 12).astype(int).tolist():
        with pytest.raises(UnreadableImageError):
            decode(harm(whole, at), 1)


@pytest.mark.parametrize("harm", [zeroed, lost, overwritten, ended])
@pytest.mark.parametrize("kind", ["JPEG", "progressive JPEG", "grey JPEG"])
def test_damage_is_heard_in_a_picture_read_smaller(kind, harm):
    whole = KINDS[kind]()
    assert decode(whole, 1, reduce=8).shape == (30, 40, 3)
    for at in np.linspace(len(whole) // 5, len(whole) * 4 // 5, 8).astype(int).tolist():
        with pytest.raises(UnreadableImageError):
            decode(harm(whole, at), 1, reduce=8)


def test_the_reason_is_the_decoder_s():
    whole = KINDS["JPEG"]()
    with pytest.raises(UnreadableImageError, match=r"damaged inside: the JPEG decoder says .*premature end of data"):
        decode(lost(whole, len(whole) // 2), 1)
    whole = KINDS["PNG"]()
    with pytest.raises(UnreadableImageError, match="damaged inside: the checksum of its IDAT chunk at byte"):
        decode(zeroed(whole, len(whole) // 2), 1)
    whole = KINDS["TIFF, deflate"]()
    with pytest.raises(UnreadableImageError, match=r"damaged inside: part \d+ of \d+ does not decode"):
        decode(zeroed(whole, len(whole) // 2), 1)


@pytest.mark.parametrize("lossless", [False, True])
def test_a_lost_sector_of_a_webp(lossless):
    whole = saved("WEBP", lossless=lossless, quality=95)
    decode(whole, 1)
    with pytest.raises(UnreadableImageError, match="damaged inside: nothing but zeros for 512 bytes"):
        decode(zeroed(whole, len(whole) // 2), 1)


@pytest.mark.parametrize("kind", ["BMP", "TIFF"])
def test_a_lost_cluster_among_uncompressed_pixels(kind):
    whole = saved(kind)
    for at in range(8192, len(whole) - 8192, 30 * 512):
        with pytest.raises(UnreadableImageError, match=f"nothing but zeros from byte {at} to {at + 4096}"):
            decode(zeroed(whole, at), 1)


@pytest.mark.parametrize("kind", ["BMP", "TIFF"])
@pytest.mark.parametrize("width", [320, 512, 1024, 341])
def test_what_is_black_in_a_picture_is_not_lost(kind, width):
    picture = cv2.resize(noise(), (width, 240)) | 1
    picture[50:90] = 0
    picture[120:160, 30:-30] = 0
    picture[:, :9] = 0
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind)
    np.testing.assert_array_equal(decode(file.getvalue(), 1), picture)


def tags(data: bytes) -> dict[int, object]:
    return dict(tiff._directory(data)[0])


LAYOUTS = {
    "tiles": {"tile": (64, 48), "photometric": "rgb"},
    "tiles, deflate": {"tile": (64, 48), "photometric": "rgb", "compression": "zlib"},
    "planes": {"photometric": "rgb", "planarconfig": "separate"},
    "planes, deflate": {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib", "rowsperstrip": 17},
    "strips of 7 rows": {"photometric": "rgb", "rowsperstrip": 7},
    "BigTIFF, big-endian": {"photometric": "rgb", "bigtiff": True, "byteorder": ">"},
    "predictor": {"photometric": "rgb", "compression": "zlib", "predictor": True},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_a_tiff_is_followed(layout):
    how, picture = LAYOUTS[layout], noise()
    file = io.BytesIO()
    stored = np.moveaxis(picture, 2, 0).copy() if "planes" in layout else picture
    tifffile.imwrite(file, stored, **how)
    data = file.getvalue()
    np.testing.assert_array_equal(decode(data, 1), picture)
    offsets = tags(data).get(324) or tags(data)[273]
    last = max(offsets)
    with pytest.raises(UnreadableImageError, match=r"ends early|damaged"):
        decode(data[: last + 3], 1) if last + 3 < len(data) else None
    if how.get("compression"):
        with pytest.raises(UnreadableImageError, match="damaged inside"):
            decode(data[: last + 9] + bytes([data[last + 9] ^ 0x55]) + data[last + 10 :], 1)


@pytest.mark.parametrize("shape", [(1, 1), (3, 1000), (700, 5), (64, 64)])
@pytest.mark.parametrize("flat", [True, False])
def test_lzw_of_a_sound_file_adds_up(shape, flat):
    """Long strings and short ones, with tables that are filled and cleared."""
    picture = np.full((*shape, 3), 7, np.uint8) if flat else np.random.default_rng(1).integers(0, 255, (*shape, 3))
    file = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(file, "TIFF", compression="tiff_lzw")
    np.testing.assert_array_equal(decode(file.getvalue(), 1), picture)


@pytest.mark.parametrize("bands", [5, 8])
def test_more_bands_than_colours_are_named(bands):
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((24, 36, bands), np.uint8), photometric="rgb", planarconfig="contig")
    with pytest.raises(UnreadableImageError, match=f"it has {bands} bands"):
        decode(file.getvalue(), 1)


def test_a_jpeg_of_twelve_bits_is_named():
    data = bytearray(KINDS["JPEG"]())
    frame = data.index(b"\xff\xc0")
    data[frame + 4] = 12  # the sample precision of SOF (ITU-T T.81, B.2.2)
    with pytest.raises(UnreadableImageError, match="a JPEG of 12 bits a sample, only 8 are read"):
        decode(bytes(data), 1)


@given(
    st.sampled_from(sorted(KINDS)), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=9)
)
@settings(max_examples=60, deadline=None)
def test_any_damage_is_read_or_told(kind, harm):
    data = bytearray(KINDS[kind]())
    for where, value in harm:
        data[int(where * (len(data) - 1))] = value
    try:
        samples = decode(bytes(data), 1)
    except UnreadableImageError:
        return
    assert samples.ndim == 3


def heic(picture: np.ndarray, **how: object) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(picture)).save(file, quality=95, **how)
    return file.getvalue()


def test_heic_is_read():
    picture = cv2.GaussianBlur(noise(), (0, 0), 4)
    rgb = decode(heic(picture), 1)
    assert rgb.shape == picture.shape
    assert np.abs(rgb.astype(int) - picture).mean() < 4


def test_a_heic_s_time_is_read_and_its_turn_is_undone_once(tmp_path):
    tags = Image.Exif()
    tags[0x0112] = 6
    tags.get_ifd(0x8769)[0x9003] = "2026:05:01 10:00:00"
    (tmp_path / "a.HEIC").write_bytes(heic(noise(64, 96), exif=tags.tobytes()))
    still = stills.inspect(tmp_path / "a.HEIC")
    assert still.exif.taken_local == datetime(2026, 5, 1, 10)
    assert still.exif.orientation == 1
    assert still.decode().shape == stills.read_rgb(tmp_path / "a.HEIC").shape == (96, 64, 3)


def test_heic_without_its_library_is_named(monkeypatch):
    data = heic(noise())
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(UnreadableImageError, match=r"a HEIC picture, and pillow-heif is not installed; pip install"):
        decode(data, 1)


def test_heic_cut_short():
    data = heic(noise())
    with pytest.raises(UnreadableImageError, match="the HEIC decoder says"):
        decode(data[: len(data) // 2], 1)


@pytest.mark.parametrize("padding", [b"\0", b"\x12\x34", bytes(8)])
def test_what_some_cameras_write_behind_the_last_block_is_no_damage(padding):
    whole = KINDS["JPEG"]()
    np.testing.assert_array_equal(decode(whole[:-2] + padding + whole[-2:], 1), decode(whole, 1))
    with pytest.raises(UnreadableImageError, match=r"3\d extraneous bytes"):
        decode(whole[:-2] + bytes(40) + whole[-2:], 1)


def test_a_wrong_checksum_of_a_note_does_not_cost_the_picture():
    note = len(b"Title\0x").to_bytes(4, "big") + b"tEXt" + b"Title\0x" + b"\1\2\3\4"
    whole = KINDS["PNG"]()
    np.testing.assert_array_equal(decode(whole[:33] + note + whole[33:], 1), noise())


def test_grey_from_white_down():
    grey = noise()[..., 0]
    file = io.BytesIO()
    tifffile.imwrite(file, 255 - grey, photometric="miniswhite")
    np.testing.assert_array_equal(decode(file.getvalue(), 1)[..., 0], grey)
    file = io.BytesIO()
    tifffile.imwrite(file, grey.astype(np.uint16), photometric="miniswhite")
    with pytest.raises(UnreadableImageError, match="count from white down"):
        decode(file.getvalue(), 1)


def test_colours_that_would_be_read_wrong_are_named():
    file = io.BytesIO()
    Image.fromarray(noise()).convert("LAB").save(file, "TIFF")
    with pytest.raises(UnreadableImageError, match=r"colours are of kind 8 \(TIFF tag 262\)"):
        decode(file.getvalue(), 1)


def test_a_progressive_jpeg_that_ends_between_two_scans_is_not_whole() -> None:
    """Cut where a scan begins and closed again: every scan that is there is sound, so libjpeg says nothing."""
    data = saved("JPEG", quality=92, progressive=True)
    assert decode(data, 1).shape == (240, 320, 3)
    for at in (data.rfind(b"\xff\xda"), data.rfind(b"\xff\xda", 0, data.rfind(b"\xff\xda"))):
        with pytest.raises(UnreadableImageError, match="scans of the progressive JPEG are missing"):
            decode(data[:at] + b"\xff\xd9", 1)
    grey = io.BytesIO()
    Image.fromarray(noise()[..., 0]).save(grey, "JPEG", progressive=True)
    assert decode(grey.getvalue(), 1).shape == (240, 320, 3)


def tiff_of(*pages: np.ndarray, **how: object) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as out:
        for page in pages:
            out.write(page, photometric="rgb", **how)  # type: ignore[arg-type]
    return file.getvalue()


def test_a_preview_in_front_is_not_taken_for_the_picture() -> None:
    picture = noise()
    with pytest.raises(UnreadableImageError, match="first picture is a preview of 40 x 30, a later one has 320 x 240"):
        decode(tiff_of(picture[::8, ::8], picture), 1)
    assert (decode(tiff_of(picture, picture[::8, ::8], subfiletype=1), 1) == picture).all()


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (tiff_of(noise()), False),
        (tiff_of(noise(), noise()), True),
        (saved("PNG"), False),
        (saved("PNG", save_all=True, append_images=[Image.fromarray(255 - noise())]), True),
        (saved("WEBP"), False),
        (saved("WEBP", save_all=True, append_images=[Image.fromarray(255 - noise())]), True),
    ],
    ids=["TIFF", "pages", "PNG", "APNG", "WebP", "animated WebP"],
)
def test_several_pictures_in_one_file_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes, count: bool
) -> None:
    path = tmp_path / "picture"
    path.write_bytes(data)
    assert stills.read_rgb(path).shape == (240, 320, 3)
    assert ("holds several pictures; the first is read" in caplog.text) is count


@given(st.integers(0, 2**16), st.integers(0, 255))
@settings(max_examples=200)
def test_pages_of_a_damaged_tiff_are_counted_without_end(at: int, value: int) -> None:
    data = bytearray(tiff_of(noise(24, 32), noise(24, 32)))
    data[at % len(data)] = value
    assert tiff.pages(bytes(data)) >= 0
