import io
import struct
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from edge.frames.exif import Exif, read_exif

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")
ORIENTATION, EXIF_IFD, GPS_IFD = 0x0112, 0x8769, 0x8825
EXPOSURE, TAKEN, OFFSET, SUBSEC = 0x829A, 0x9003, 0x9011, 0x9291
GPS_TIME, GPS_DATE = 0x0007, 0x001D


def photo(kind="JPEG", *, main=None, exif=None, gps=None) -> bytes:
    """An image file with these tags, written by Pillow."""
    tags = Image.Exif()
    tags.update(main or {})
    tags.get_ifd(EXIF_IFD).update(exif or {})
    tags.get_ifd(GPS_IFD).update(gps or {})
    if kind == "TIFF":  # Pillow leaves the Exif directory out of its TIFF files, but its EXIF block is one by itself
        return tags.tobytes().removeprefix(b"Exif\0\0")
    file = io.BytesIO()
    Image.new("RGB", (16, 12), (200, 30, 60)).save(file, kind, exif=tags)
    return file.getvalue()


def read(data: bytes) -> Exif:
    return read_exif(io.BytesIO(data))


@pytest.mark.parametrize("kind", FORMATS)
def test_all_tags_in_every_container(kind):
    data = photo(
        kind,
        main={ORIENTATION: 6},
        exif={EXPOSURE: IFDRational(1, 800), TAKEN: "2025:06:01 14:03:59", SUBSEC: "25", OFFSET: "+02:00"},
    )
    assert read(data) == Exif(
        orientation=6,
        taken_local=datetime(2025, 6, 1, 14, 3, 59, 250_000),
        taken_at=datetime(2025, 6, 1, 12, 3, 59, 250_000, tzinfo=timezone.utc),
        exposure_us=1250,
    )


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_by_hand(order):
    """A block written byte by byte from the TIFF 6.0 rules: header, one entry, the Exif directory with one more."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    main = struct.pack(order + "H HHIHH HHII I", 2, ORIENTATION, 3, 1, 8, 0, EXIF_IFD, 4, 1, 38, 0)
    exif = struct.pack(order + "H HHII I", 1, EXPOSURE, 5, 1, 56, 0)
    block = mark + struct.pack(order + "I", 8) + main + exif + struct.pack(order + "II", 3, 2000)
    assert read(block) == Exif(orientation=8, exposure_us=1500)


def test_local_time_without_a_zone_is_not_utc():
    exif = read(photo(exif={TAKEN: "2025:06:01 14:03:59"}))
    assert exif.taken_local == datetime(2025, 6, 1, 14, 3, 59)
    assert exif.taken_at is None


def test_gps_time_when_there_is_no_zone():
    exif = read(photo(exif={TAKEN: "2025:06:01 14:03:59"}, gps={GPS_DATE: "2025:06:01", GPS_TIME: (12.0, 3.0, 58.5)}))
    assert exif.taken_at == datetime(2025, 6, 1, 12, 3, 58, 500_000, tzinfo=timezone.utc)


def test_zone_goes_before_gps_time():
    exif = read(
        photo(
            exif={TAKEN: "2025:01:01 00:30:00", OFFSET: "+01:00"},
            gps={GPS_DATE: "2024:12:31", GPS_TIME: (23.0, 29.0, 11.0)},
        )
    )
    assert exif.taken_at == datetime(2024, 12, 31, 23, 30, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("exif", "gps"),
    [
        ({TAKEN: "0000:00:00 00:00:00", OFFSET: "+00:00"}, {}),
        ({TAKEN: "    :  :     :  :  ", OFFSET: "+00:00"}, {}),
        ({TAKEN: "2025:13:01 10:00:00", OFFSET: "+00:00"}, {}),
        ({TAKEN: "2025-06-01T10:00:00", OFFSET: "+00:00"}, {}),
        ({TAKEN: "2025:06:01 10:00:00", OFFSET: "+27:00"}, {}),
        ({TAKEN: "2025:06:01 10:00:00", OFFSET: "   :  "}, {}),
        ({TAKEN: "0001:01:01 00:00:00", OFFSET: "+14:00"}, {}),
        ({OFFSET: "+02:00"}, {}),
        ({}, {GPS_DATE: "2025:06:01"}),
        ({}, {GPS_DATE: "2025:06:31", GPS_TIME: (1.0, 2.0, 3.0)}),
        ({}, {GPS_DATE: "2025:06:01", GPS_TIME: (25.0, 2.0, 3.0)}),
    ],
)
def test_times_that_say_nothing(exif, gps):
    assert read(photo(exif=exif, gps=gps)).taken_at is None


@pytest.mark.parametrize(
    ("value", "exposure_us"),
    [((1, 800), 1250), ((30, 1), 30_000_000), ((0, 1), None), ((1, 0), None), ((0, 0), None), ((1, 10**7), None)],
)
def test_exposure(value, exposure_us):
    # Pillow turns a fraction with a zero below into something else, so this one is laid down by hand.
    block = b"II*\0" + struct.pack("<I H HHII I", 8, 1, EXIF_IFD, 4, 1, 26, 0)
    block += struct.pack("<H HHII I II", 1, EXPOSURE, 5, 1, 44, 0, *value)
    assert read(block).exposure_us == exposure_us


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_impossible_orientation_is_upright(orientation):
    assert read(photo(main={ORIENTATION: orientation})).orientation == 1


def test_image_without_exif():
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "JPEG")
    assert read(file.getvalue()) == Exif()


def test_webp_chunks_are_padded_to_even_sizes():
    block = b"II*\0" + struct.pack("<I H HHII I", 8, 1, ORIENTATION, 3, 1, 6, 0)
    chunks = b"ICCP" + struct.pack("<I", 3) + b"abc\0" + b"EXIF" + struct.pack("<I", len(block)) + block
    assert read(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks).orientation == 6


def test_a_value_cut_off_by_the_end_of_the_file():
    block = b"II*\0" + struct.pack("<I H HHII I", 8, 1, GPS_IFD, 4, 1, 26, 0)
    block += struct.pack("<H HHII HHII I", 2, GPS_DATE, 2, 11, 56, GPS_TIME, 5, 3, 67, 0)
    whole = block + b"2025:06:01\0" + struct.pack("<6I", 12, 1, 30, 1, 9, 1)
    assert read(whole).taken_at == datetime(2025, 6, 1, 12, 30, 9, tzinfo=timezone.utc)
    for missing in range(1, 30):
        assert read(whole[:-missing]) == Exif()


def test_values_outside_the_segment_do_not_count():
    """The exposure stands behind the APP1 segment, where its directory points to but must not look."""
    block = b"II*\0" + struct.pack("<I H HHII I", 8, 1, EXIF_IFD, 4, 1, 26, 0)
    block += struct.pack("<H HHII I", 1, EXPOSURE, 5, 1, 44, 0)
    for inside, exposure_us in ((8, 2500), (0, None)):
        head = b"\xff\xd8\xff\xe1" + struct.pack(">H", len(block) + 8 + inside)
        assert read(head + b"Exif\0\0" + block + struct.pack("<II", 1, 400)).exposure_us == exposure_us


def test_no_large_reads_whatever_the_counts_say():
    class Metered(io.BytesIO):
        largest = 0

        def read(self, size=-1, /):
            Metered.largest = max(Metered.largest, size)
            return super().read(size)

    entries = struct.pack("<HHII HHII", TAKEN, 2, 2**32 - 1, 8, EXPOSURE, 5, 2**29, 8)
    block = b"II*\0" + struct.pack("<I H HHII I", 8, 1, EXIF_IFD, 4, 1, 26, 0) + struct.pack("<H", 65535) + entries
    read_exif(Metered(block + b"x" * 100_000))
    assert 0 < Metered.largest <= 16_384


def test_directory_that_points_to_itself():
    block = b"II*\0" + struct.pack("<I H HHII HHII I", 8, 2, EXIF_IFD, 4, 1, 8, GPS_IFD, 4, 1, 8, 0)
    assert read(block) == Exif()


def test_failing_card():
    class Torn(io.BytesIO):
        def read(self, size=-1, /):
            if self.tell() > 12:
                raise OSError(5, "Input/output error")
            return super().read(size)

    assert read_exif(Torn(photo(main={ORIENTATION: 6}))) == Exif()


WHOLE = [
    photo(
        kind, main={ORIENTATION: 3}, exif={EXPOSURE: IFDRational(1, 50), TAKEN: "2025:06:01 14:03:59", OFFSET: "-03:30"}
    )
    for kind in FORMATS
]


def is_sound(exif: Exif) -> bool:
    return (
        1 <= exif.orientation <= 8
        and (exif.exposure_us is None or exif.exposure_us > 0)
        and (exif.taken_local is None or exif.taken_local.tzinfo is None)
        and (exif.taken_at is None or exif.taken_at.utcoffset() == timedelta(0))
    )


@given(st.binary(max_size=400), st.sampled_from([b"", b"\xff\xd8\xff\xe1", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*"]))
def test_any_bytes(data, start):
    assert is_sound(read(start + data))


@given(st.sampled_from(WHOLE), st.data())
def test_any_damage_to_a_sound_file(whole, data):
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    places = st.tuples(st.integers(0, max(0, len(damaged) - 1)), st.integers(0, 255))
    for place, value in data.draw(st.lists(places, max_size=12)):
        if damaged:
            damaged[place] = value
    assert is_sound(read(bytes(damaged)))
