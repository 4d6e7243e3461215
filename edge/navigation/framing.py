"""Finds MAVLink 1 and 2 frames in bytes; what is in them is the vendor library's business.

Layout: mavlink.io, "Packet Serialization". Version 1: 0xFE, length, sequence, system, component, message,
payload, checksum. Version 2: 0xFD, length, incompatible flags, compatible flags, sequence, system, component,
message (3 bytes, little-endian), payload, checksum, signature of 13 bytes when flagged.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Bytes = bytes | bytearray
Decode = Callable[[Bytes], Any]
"""One whole frame to the vendor library's message; None when its checksum is wrong or its kind unknown."""

MAGIC = re.compile(rb"[\xfd\xfe]")
_V2 = 0xFD
_SIGNED = 0x01
_SIGNATURE_BYTES = 13

HEARTBEAT, SYSTEM_TIME, GPS_RAW_INT, ATTITUDE, GLOBAL_POSITION_INT = 0, 2, 24, 30, 33
TIMESYNC, GPS2_RAW, DISTANCE_SENSOR = 111, 124, 132
LOCAL_POSITION_NED, MOUNT_ORIENTATION, GIMBAL_ATTITUDE, ODOMETRY = 32, 265, 285, 331
GIMBAL = frozenset((MOUNT_ORIENTATION, GIMBAL_ATTITUDE))
"""What a gimbal may send under a component of its own."""
WANTED = GIMBAL | {
    HEARTBEAT, SYSTEM_TIME, GPS_RAW_INT, ATTITUDE, LOCAL_POSITION_NED, GLOBAL_POSITION_INT, TIMESYNC, GPS2_RAW,
    DISTANCE_SENSOR, ODOMETRY,
}  # fmt: skip


def frame_bytes(data: Bytes, start: int) -> int | None:
    """Length of the frame that begins at ``data[start]``; 0 when none can begin there, None when more bytes are needed.

    Only its first bytes are looked at: the frame itself may still be incomplete.
    """
    if start >= len(data):
        return None
    if data[start] == 0xFE:
        return None if start + 2 > len(data) else data[start + 1] + 8
    if data[start] != _V2:
        return 0
    if start + 3 > len(data):
        return None
    flags = data[start + 2]
    if flags & ~_SIGNED:  # a receiver must drop frames with a flag it does not know
        return 0
    return data[start + 1] + 12 + (_SIGNATURE_BYTES if flags & _SIGNED else 0)


def message_id(data: Bytes, start: int) -> int:
    """The message number of the whole frame at ``start``."""
    if data[start] == _V2:
        return int.from_bytes(data[start + 7 : start + 10], "little")
    return data[start + 5]


def source(data: Bytes, start: int) -> tuple[int, int]:
    """System and component that sent the whole frame at ``start``."""
    first = start + (5 if data[start] == _V2 else 3)
    return data[first], data[first + 1]


def boot_us(data: Bytes, start: int) -> int | None:
    """What the whole frame at ``start`` says of the time since its sender's start, us; None for a kind without it.

    Fields stand in order of size, and a version 2 frame leaves out zeros at the end of its payload.
    """
    size = {ATTITUDE: 4, GLOBAL_POSITION_INT: 4, DISTANCE_SENSOR: 4, GPS_RAW_INT: 8}.get(message_id(data, start))
    if size is None:
        return None
    first = start + (10 if data[start] == _V2 else 6)
    field = data[first : first + min(size, data[start + 1])]
    return int.from_bytes(field, "little") * (1000 if size == 4 else 1)


class Splitter:
    """Turns a stream of bytes into messages; noise and broken frames are stepped over one byte at a time."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """The wanted messages completed by ``data``, in order."""
        self._buffer += data
        messages: list[Any] = []
        start = 0
        while (found := MAGIC.search(self._buffer, start)) is not None:
            start = found.start()
            size = frame_bytes(self._buffer, start)
            if size is None or (size and start + size > len(self._buffer)):
                break
            start += self._take(start, size, messages) if size else 1
        else:
            start = len(self._buffer)
        del self._buffer[:start]
        return messages

    def _take(self, start: int, size: int, messages: list[Any]) -> int:
        """Keep the frame if it is whole and wanted; return how many bytes to step over."""
        end = start + size
        if message_id(self._buffer, start) in WANTED:
            message = self._decode(self._buffer[start:end])
            if message is None:
                return 1
            messages.append(message)
            return size
        # The checksum of an unknown message cannot be checked: believe its length if a frame follows it.
        return size if end == len(self._buffer) or MAGIC.match(self._buffer, end) else 1
