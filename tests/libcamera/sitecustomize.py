"""What a Raspberry Pi has and a container has not; Python loads this file by itself in the container.

picamera2 imports DRM preview, DNG and EXR writing, which spanhawk never calls: names that answer to nothing stand for
them. It takes sensor modes from raw streams and buffers from the kernel's dma heap; the virtual camera has neither, so
there is one mode, and libcamera's own allocator serves. Nothing else of picamera2 is changed.
"""

from __future__ import annotations

import sys
import types
from typing import Any


class _Names(type):
    """A class whose every attribute is its own name: picamera2 reads enumerations when it is imported."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _Absent(types.ModuleType):
    """A module each of whose names is such a class."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Names(name, (), {})


for absent in ("kms", "pykms", "pidng", "pidng.core", "pidng.camdefs", "OpenEXR", "Imath"):
    sys.modules[absent] = _Absent(absent)

from picamera2 import picamera2  # noqa: E402
from picamera2.allocators.libcameraallocator import LibcameraAllocator  # noqa: E402

_begin = picamera2.Picamera2.__init__


def _init(self: Any, *arguments: Any, **options: Any) -> None:
    _begin(self, *arguments, **options)
    self.allocator = LibcameraAllocator(self.camera)


picamera2.DmaAllocator = lambda: None
picamera2.Picamera2.__init__ = _init
picamera2.Picamera2._get_raw_modes = lambda self: [{"format": "SRGGB10", "size": (640, 480)}]
