"""The page's own files, and Leaflet's: read once at the start, and served from memory.

Leaflet (BSD-2-Clause) is not part of the source: ``make leaflet`` takes it from the npm registry, and the wheel ships
it with its licence. ``leaflet.sha256`` pins its bytes; a file that differs is not served.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from edge.support.errors import ConfigError

_KINDS = {
    "html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "txt": "text/plain",
}  # fmt: skip
PAGE = "index.html"


@dataclass(frozen=True, slots=True)
class File:
    """One file of the page."""

    data: bytes
    kind: str
    """Its media type."""
    tag: str
    """Changes with its content (an HTTP entity tag, without quotes)."""


def load() -> dict[str, File]:
    """By name. Raises ConfigError where Leaflet is not there, or is another."""
    here = Path(__file__).parent
    files = {one.name: _file(one) for one in (here / "static").iterdir() if one.is_file()}
    for line in (here / "leaflet.sha256").read_text(encoding="ascii").splitlines():
        wanted, name = line.split()
        path = here / "leaflet" / name
        if not path.is_file():
            raise ConfigError(
                f"the live page needs Leaflet, and this installation has no {name}; run make leaflet in the source "
                "folder and then pip install again, or install a wheel (make wheel)"
            )
        if hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
            raise ConfigError(
                f"{path} is not the Leaflet that this version was tested with; run make leaflet and pip install again"
            )
        files[name] = _file(path)
    return files


def _file(path: Path) -> File:
    data = path.read_bytes()
    kind = _KINDS.get(path.suffix[1:], "application/octet-stream")
    return File(data, kind, hashlib.sha256(data).hexdigest()[:16])
