"""The manifest that Raspberry Pi Imager 2 wants: without one it offers no settings page for a local image.

Fields as its doc/json-schema/os-list-schema.json and doc/os_customisation_formats.md have them.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

from edge import __version__

_DEVICES = ("pi3-64bit", "pi4-64bit", "pi5-64bit")
_ICON = "https://downloads.raspberrypi.com/raspios_arm64/Raspberry_Pi_OS_(64-bit).png"
SUFFIX = ".rpi-imager-manifest"


def text(image: Path, vehicle: str, system: str, made: date) -> str:
    """The manifest of an unpacked image; opened in Imager with a double click, or as ``rpi-imager --repo FILE``."""
    digest = hashlib.sha256()
    with image.open("rb") as file:
        while chunk := file.read(4 << 20):
            digest.update(chunk)
    size = image.stat().st_size
    entry = {
        "name": f"spanhawk {__version__}, {vehicle}",
        "description": f"{system}; spanhawk installs itself at the first boot, without a network",
        "icon": _ICON,
        "url": image.resolve().as_uri(),
        "extract_size": size,
        "extract_sha256": digest.hexdigest(),
        "image_download_size": size,
        "release_date": made.isoformat(),
        "init_format": "cloudinit-rpi",
        "devices": list(_DEVICES),
    }
    return json.dumps({"os_list": [entry]}, indent=2) + "\n"
