"""Finding frames in noise; pymavlink packs and unpacks them."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from pymavlink.dialects.v20 import common

from edge.navigation import framing
from edge.navigation.mavlink import decoder
from tests.navigation.material import Autopilot

decode = decoder()


def names(messages: list[object]) -> list[str]:
    return [message.get_type() for message in messages]  # type: ignore[attr-defined]


def test_both_versions_byte_by_byte() -> None:
    splitter, heard = framing.Splitter(decode), []
    for version_1 in (False, True):
        pilot = Autopilot(3, 1, version_1=version_1)
        for byte in pilot.heartbeat() + pilot.attitude(1000) + pilot.place(1000):
            heard += splitter.feed(bytes([byte]))
    assert names(heard) == ["HEARTBEAT", "ATTITUDE", "GLOBAL_POSITION_INT"] * 2


def test_a_signed_frame_is_whole() -> None:
    mav = common.MAVLink(None, srcSystem=1, srcComponent=1)
    mav.signing.secret_key, mav.signing.sign_outgoing = b"k" * 32, True
    frame = common.MAVLink_attitude_message(1000, 0, 0, 0, 0, 0, 0).pack(mav)
    assert framing.frame_bytes(frame, 0) == len(frame)
    assert names(framing.Splitter(decode).feed(frame + frame)) == ["ATTITUDE"] * 2


def test_signed_and_plain_frames_of_both_versions_with_bad_checksums_between() -> None:
    mav = common.MAVLink(None, srcSystem=1, srcComponent=1)
    mav.signing.secret_key, mav.signing.sign_outgoing = b"k" * 32, True
    signed = [common.MAVLink_attitude_message(step, 0, 0, 0, 0, 0, 0).pack(mav) for step in range(30)]
    plain, old = Autopilot(), Autopilot(version_1=True)
    stream, good = bytearray(), []
    for step in range(30):
        for number, frame in enumerate((signed[step], plain.attitude(1000 + step), old.attitude(2000 + step))):
            broken = bytearray(frame)
            if (step + number) % 3 == 0:
                broken[12] ^= 0x55  # a byte of the payload, and of the signed frame too: its checksum is wrong
            else:
                good.append(number * 1000 + step)
            stream += broken
    assert [message.time_boot_ms for message in framing.Splitter(decode).feed(bytes(stream))] == good


def test_a_flag_nobody_knows_is_no_frame() -> None:
    frame = bytearray(Autopilot().attitude(1000))
    frame[2] = 0x02
    assert framing.frame_bytes(frame, 0) == 0


def test_source_and_number_of_both_versions() -> None:
    for version_1 in (False, True):
        frame = Autopilot(7, 9, version_1=version_1).place(1)
        assert framing.source(frame, 0) == (7, 9)
        assert framing.message_id(frame, 0) == framing.GLOBAL_POSITION_INT


def test_a_frame_after_a_broken_length_is_not_lost() -> None:
    """A flipped length swallows nothing but its own frame: the search goes on one byte later."""
    pilot = Autopilot()
    broken = bytearray(pilot.attitude(1000))
    broken[1] ^= 0x10
    good = b"".join(pilot.attitude(2000 + n) for n in range(20))
    times = [message.time_boot_ms for message in framing.Splitter(decode).feed(bytes(broken) + good)]
    assert times == [2000 + n for n in range(20)]


def test_bit_flips_random_bytes_and_dropped_runs_give_no_wrong_position() -> None:
    """Fault test 18: one bit per 200 bytes, noise, and missing pieces."""
    dice, pilot = random.Random(18), Autopilot()
    stream = bytearray()
    for step in range(3000):
        stream += pilot.place(step * 100, 48.0, 11.0) + pilot.attitude(step * 100)
        if step % 50 == 0:
            stream += dice.randbytes(40)
    for _ in range(len(stream) // 200):
        stream[dice.randrange(len(stream))] ^= 1 << dice.randrange(8)
    for _ in range(20):
        start = dice.randrange(len(stream))
        del stream[start : start + 300]
    splitter, heard = framing.Splitter(decode), []
    while stream:
        size = dice.randrange(1, 400)
        heard += splitter.feed(bytes(stream[:size]))
        del stream[:size]
    places = [m for m in heard if m.get_type() == "GLOBAL_POSITION_INT"]
    assert len(places) > 2000
    assert {(m.lat, m.lon) for m in places} == {(480_000_000, 110_000_000)}


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=64), max_size=20))
def test_noise_raises_nothing_and_is_not_kept(chunks: list[bytes]) -> None:
    splitter = framing.Splitter(decode)
    for chunk in chunks:
        splitter.feed(b"\xfd" + chunk)
    assert len(splitter._buffer) <= 300
