"""An nbdkit plugin: a disk whose cache is lost with the power, as an SD card's is.

    nbdkit python cutdisk.py file=IMAGE held=COUNTER

A write is told to be done at once, and lies in the cache until a flush (or ``FUA``) puts it into the image. A coin
decides which reach the image before that, so that after a cut later writes may be there and earlier ones not. Killed
with SIGKILL, everything in the cache is gone. COUNTER holds how many bytes that is, 8 bytes, little endian.
"""

from __future__ import annotations

import os
import random
import struct

import nbdkit

API_VERSION = 2
_SECTOR = 512
_CACHE = 8 << 20  # a full cache empties itself

_file = -1
_counter = -1
_held: dict[int, bytes] = {}
_chance = random.Random()


def config(key: str, value: str) -> None:
    """``file=`` and ``held=``."""
    global _file, _counter
    if key == "file":
        _file = os.open(value, os.O_RDWR)
    elif key == "held":
        _counter = os.open(value, os.O_RDWR | os.O_CREAT, 0o600)
    else:
        raise RuntimeError(f"unknown key {key}; there are file and held")


def thread_model() -> int:
    """One request after the other."""
    return int(nbdkit.THREAD_MODEL_SERIALIZE_ALL_REQUESTS)


def open(readonly: bool) -> int:  # noqa: A001 - the plugin's interface
    """One disk for all who ask."""
    return 1


def get_size(handle: int) -> int:
    """Bytes."""
    return os.fstat(_file).st_size


def can_flush(handle: int) -> bool:
    """The cache can be written out."""
    return True


def can_fua(handle: int) -> int:
    """A single write can be told to pass it by."""
    return int(nbdkit.FUA_NATIVE)


def pread(handle: int, buffer: bytearray, offset: int, flags: int) -> None:
    """The newest of cache and image."""
    data = memoryview(buffer)
    data[:] = os.pread(_file, len(data), offset)
    if _held:
        for at in range(0, len(data), _SECTOR):
            held = _held.get(offset + at)
            if held is not None:
                data[at : at + _SECTOR] = held


def pwrite(handle: int, buffer: bytearray, offset: int, flags: int) -> None:
    """Into the cache, or past it."""
    if flags & nbdkit.FLAG_FUA or _chance.random() < 0.5:
        for at in range(offset, offset + len(buffer), _SECTOR):
            _held.pop(at, None)
        os.pwrite(_file, buffer, offset)
    else:
        data = bytes(buffer)
        for at in range(0, len(data), _SECTOR):
            _held[offset + at] = data[at : at + _SECTOR]
        if len(_held) * _SECTOR > _CACHE:
            flush(handle, 0)
    _count()


def flush(handle: int, flags: int) -> None:
    """The cache into the image. The image's own host keeps running, so it needs no fsync."""
    for at, sector in _held.items():
        os.pwrite(_file, sector, at)
    _held.clear()
    _count()


def _count() -> None:
    os.pwrite(_counter, struct.pack("<Q", len(_held) * _SECTOR), 0)
