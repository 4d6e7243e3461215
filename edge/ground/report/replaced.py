"""What an earlier report left in a folder and the new one does not write: it goes, and the folder tells of one flight.

Nothing else there is touched: a photo goes only where the earlier report names it and its bytes are still those.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from edge.ground.report.photos import sha256_of

GEO = "geo.txt"
"""The cameras' places, beside the photos."""


def clear(out: Path, files: Iterable[str], originals: Mapping[Path, str], *, geo: bool) -> None:
    """Remove ``files`` from ``out``, and the earlier report's photos, except what is read or written next.

    ``originals``: by each picture that is about to be copied its name in the report. ``geo``: geo.txt is about to be
    written. Raises OSError.
    """
    photos = out / "photos"
    earlier = _photos_of(out / "cracks.geojson")
    for name in files:
        (out / name).unlink(missing_ok=True)
    if earlier is None:
        return
    kept = {(photos / name).resolve() for name in originals.values()} | {path.resolve() for path in originals}
    for name, sha256 in earlier.items():
        path = photos / name
        if path.resolve() not in kept and not path.is_symlink() and path.is_file() and sha256_of(path) == sha256:
            path.unlink()
    if not geo:
        (photos / GEO).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it is not there, or holds something of the user's
        photos.rmdir()


def _photos_of(cracks: Path) -> dict[str, str] | None:
    """By name the SHA-256 of the photos that a report's cracks.geojson names; None where there is no such file."""
    try:
        rows = [one["properties"] for one in json.loads(cracks.read_bytes())["features"]]
        named = {str(one["photo"]).removeprefix("photos/"): str(one["photo_sha256"]) for one in rows if one["photo"]}
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
    return {name: sha256 for name, sha256 in named.items() if Path(name).name == name}
