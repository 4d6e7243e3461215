"""Sound videos are whole, and cut ones are told, whatever their containers count."""

from __future__ import annotations

import struct
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.frames.container import Length, read_length
from edge.frames.video import Options, open_camera
from edge.support.clock import ManualClock

CLOCK = ManualClock(datetime(2026, 1, 1, tzinfo=timezone.utc), synced=False)
FRAMES, FPS = 40, 25


def film(path: Path, codec: str = "mp4v") -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), FPS, (64, 48))
    assert writer.isOpened()
    rng = np.random.default_rng(0)
    for _ in range(FRAMES):
        writer.write(rng.integers(0, 255, (48, 64, 3)).astype(np.uint8))
    writer.release()
    return path


def played(path: Path) -> tuple[int, list[str]]:
    with open_camera(Options(source=str(path)), CLOCK) as camera:
        count = sum(1 for _ in camera.frames())
        return count, [one.reason for one in camera.skipped]


KINDS = {"mp4": "mp4v", "mov": "mp4v", "mkv": "mp4v", "avi": "MJPG"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_film_is_whole(tmp_path, kind):
    assert played(film(tmp_path / f"a.{kind}", KINDS[kind])) == (FRAMES, [])


@pytest.mark.parametrize("kind", ["mkv", "avi"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_film_cut_short_is_told_with_its_bytes(tmp_path, kind, share):
    path = film(tmp_path / f"a.{kind}", KINDS[kind])
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: int(size * share)])
    count, (reason,) = played(path)
    assert count < FRAMES
    assert f"frames: cut off: {int(size * share)} of {size} bytes are there" in reason


def box(name: bytes, *content: bytes) -> bytes:
    inner = b"".join(content)
    return struct.pack(">I4s", 8 + len(inner), name) + inner


def trimmed(path: Path, shown_s: float) -> Path:
    """Trimmed as phones do: the edit list shows a part, the frames stay (ISO/IEC 14496-12, 8.6.6)."""
    data = bytearray(path.read_bytes())
    scale = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
    struct.pack_into(">I", data, data.index(b"elst") + 12, round(shown_s * scale))
    path.write_bytes(data)
    return path


def test_a_trimmed_film_is_whole(tmp_path):
    count, reasons = played(trimmed(film(tmp_path / "a.mp4"), 1.0))
    assert 24 <= count <= 26, "25 of the 40 frames that are stored"
    assert reasons == []


def test_a_film_damaged_inside_is_told(tmp_path):
    path = film(tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + len(data) // 2
    data[start : start + 20_000] = bytes(20_000)
    path.write_bytes(data)
    count, reasons = played(path)
    assert count < FRAMES - 2
    assert reasons == [f"ends after {count} of {FRAMES} frames: damaged"]


def element(name: int, content: bytes) -> bytes:
    head = name.to_bytes((name.bit_length() + 7) // 8, "big")
    return head + (len(content) | 1 << 56).to_bytes(8, "big") + content


def matroska(duration_ms: float, start_ms: int) -> bytes:
    checksum = element(0xBF, b"\1\2\3\4")
    info = element(0x1549A966, checksum + element(0x2AD7B1, struct.pack(">I", 1_000_000)) + element(
        0x4489, struct.pack(">d", duration_ms)))  # fmt: skip
    cluster = element(0x1F43B675, checksum + element(0xE7, start_ms.to_bytes(4, "big")) + element(0xA3, bytes(50)))
    return element(0x1A45DFA3, b"") + element(0x18538067, element(0xEC, bytes(9)) + info + cluster)


def test_the_time_of_a_matroska_file_begins_at_its_first_cluster(tmp_path):
    path = tmp_path / "late.mkv"
    data = matroska(102_000, 100_000)
    path.write_bytes(data)
    assert read_length(path) == Length(duration_s=2.0)
    path.write_bytes(data[:-7])
    assert read_length(path).cut_off == f"cut off: {len(data) - 7} of {len(data)} bytes are there"


def test_fragments_promise_no_number_of_frames(tmp_path):
    path = tmp_path / "live.mp4"
    path.write_bytes(box(b"ftyp", b"isom\0\0\0\0") + box(b"moov", box(b"mvex")) + box(b"moof") + box(b"mdat", bytes(9)))
    assert read_length(path) == Length()
    path.write_bytes(path.read_bytes()[:-4])
    assert read_length(path).cut_off is not None


@pytest.mark.parametrize("data", [b"", b"\0\0\0\x08moov", b"\x1aE\xdf\xa3", b"RIFF", b"\0\0\0\x00ftyp" + bytes(40)])
def test_a_header_of_nothing_promises_nothing(tmp_path, data):
    path = tmp_path / "a"
    path.write_bytes(data)
    assert read_length(path).shown is None
    assert read_length(path).duration_s is None


def test_any_byte_of_the_header_may_be_wrong(tmp_path):
    path = film(tmp_path / "a.mp4")
    data = path.read_bytes()
    moov = data.index(b"moov")
    for at in range(moov - 4, min(moov + 600, len(data))):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        assert isinstance(read_length(path), Length)
