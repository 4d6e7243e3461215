"""The cracks of a flight as bytes, so that a daemon that is started again goes on with the same names.

One compressed archive of arrays and a JSON text; nothing in it is run. It holds lines, what is known of them, the
surfaces and the newest keyframes, which the next frame is looked for in. Its size grows with the length of cracks, some
48 bytes a point, and with KEYFRAMES pictures of 58 kB, never with frames.

What is written is some seconds old when it is read, so two things are moved on by a margin: numbers and revisions that
may have been told since then are not given again.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.support.errors import TryAgainError
from edge.surface.anchor import Anchor
from edge.surface.best import Best
from edge.surface.inventory import Inventory
from edge.surface.judgement import Judgement
from edge.surface.lines import READING, Line
from edge.surface.record import Entry, Scale, Told
from edge.surface.rims import is_rim
from edge.surface.surfaces import Surfaces
from edge.surface.widths import Across

VERSION = 7
KEYFRAMES = 4
NUMBERS_MARGIN = 1000
"""So many numbers are passed over: lines that began after the writing had them."""
REVISIONS_MARGIN = 100
_ACROSS = ("weight", "mm", "doubt")


def to_bytes(inventory: Inventory) -> bytes:
    """All that the next run needs."""
    lines = list(inventory.map.lines.values())
    arrays: dict[str, Any] = {
        "ends": np.cumsum([len(line.xy) for line in lines], dtype=np.int64),
        "xy": np.concatenate([line.xy for line in lines]) if lines else np.zeros((0, 2)),
        "read": np.concatenate([line.read for line in lines]) if lines else np.zeros((0, READING), np.float32),
        "counts": np.concatenate([np.stack([line.hits, line.looks, line.passes], 1) for line in lines])
        if lines
        else np.zeros((0, 3), np.int32),
    }
    for number, anchor in inventory.anchors.items():
        arrays[f"anchor-{number}"] = anchor.sums()
    arrays["axes"], arrays["places"] = inventory.surfaces.rows()
    keys = inventory.registrar.newest(KEYFRAMES)
    for place, (grey, numbers) in enumerate(keys):
        arrays[f"grey-{place}"], arrays[f"key-{place}"] = grey, numbers
    head = {
        "version": VERSION,
        "next": inventory.map.next_number,
        "frames": inventory.frames,
        "surface": inventory.surfaces.last,
        "frame_name": inventory.frame_name,
        "registrar": inventory.registrar.counters(),
        "lines": [[line.number, line.chart, line.step] for line in lines],
        "entries": {str(number): _entry(entry) for number, entry in inventory.entries.items()},
        "keys": len(keys),
    }
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    out = io.BytesIO()
    np.savez_compressed(out, allow_pickle=False, **arrays)
    return out.getvalue()


def from_bytes(data: bytes) -> Inventory:
    """The inventory that ``to_bytes`` wrote. Raises TryAgainError where the bytes are damaged or of another version."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return _inventory(dict(arrays))
    except (ValueError, KeyError, TypeError, IndexError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise TryAgainError(f"the cracks of the last run cannot be read ({type(error).__name__}: {error})") from error


def _inventory(arrays: dict[str, npt.NDArray[Any]]) -> Inventory:
    head = json.loads(arrays["head"].tobytes())
    if head["version"] != VERSION:
        raise ValueError(f"version {head['version']}, this is {VERSION}")
    inventory = Inventory()
    xy, counts = np.asarray(arrays["xy"], np.float64), np.asarray(arrays["counts"], np.int32)
    read = np.asarray(arrays["read"], np.float32).reshape(-1, READING)
    if not (np.isfinite(xy).all() and np.isfinite(read).all() and len(xy) == len(counts) == len(read)):
        raise ValueError("points and counts do not fit")
    ends = arrays["ends"].tolist()
    for (number, chart, step), first, last in zip(head["lines"], [0, *ends], ends, strict=False):
        hits, looks, passes = (counts[first:last, i].copy() for i in range(3))
        line = Line(int(number), int(chart), float(step), xy[first:last].copy(), hits, looks, passes)
        line.read = read[first:last].copy()
        inventory.map.put(line)
    inventory.map.next_number = int(head["next"]) + NUMBERS_MARGIN
    inventory.frames, inventory.frame_name = int(head["frames"]), head["frame_name"]
    inventory.entries = {
        int(number): _from_entry(one) for number, one in head["entries"].items() if int(number) in inventory.map.lines
    }
    for line in list(inventory.map.lines.values()):
        if line.number not in inventory.entries:
            inventory.map.forget(line.number)
        inventory.anchors.setdefault(line.chart, Anchor())
    for name in arrays:
        if name.startswith("anchor-"):
            inventory.anchors[int(name.removeprefix("anchor-"))] = Anchor.of(arrays[name])
    inventory.surfaces = Surfaces.of_rows(arrays["axes"], arrays["places"], int(head["surface"]))
    for number, entry in inventory.entries.items():
        entry.judgement.rim = is_rim(inventory.map.lines[number], was=False)
    inventory.registrar.go_on(
        head["registrar"], [(arrays[f"grey-{i}"], arrays[f"key-{i}"]) for i in range(int(head["keys"]))]
    )
    return inventory


def _entry(entry: Entry) -> dict[str, Any]:
    best, judgement = entry.best, entry.judgement
    return {
        "judgement": [
            judgement.ratio,
            judgement.views,
            judgement.missed,
            judgement.state == "confirmed" or judgement.was_confirmed,
            judgement.beyond,
        ],
        "seen": [entry.first_seen.isoformat(), entry.last_seen.isoformat(), entry.last_frame],
        "best": [best.frame_seq, best.frame_name, best.evidence_sha256, best.quality, best.gsd_mm_per_px],
        "score": entry.score,
        "unit_per_px": entry.unit_per_px,
        "across": [getattr(entry.across, one) for one in _ACROSS],
        "surfaces": list(entry.surfaces.items()),
        "scale": [entry.scale.units, entry.scale.mm, entry.scale.doubt_mm],
        "revision": entry.revision,
        "told": None if entry.told is None else entry.told[:3],
    }


def _from_entry(one: dict[str, Any]) -> Entry:
    ratio, views, missed, confirmed, beyond = one["judgement"]
    first, last, frame = one["seen"]
    told = one["told"]
    return Entry(
        judgement=Judgement(float(ratio), int(views), int(missed), bool(confirmed), beyond=float(beyond)),
        first_seen=datetime.fromisoformat(first),
        last_seen=datetime.fromisoformat(last),
        last_frame=int(frame),
        best=Best(*one["best"]),
        score=float(one["score"]),
        unit_per_px=float(one["unit_per_px"]),
        across=Across(*map(float, one["across"])),
        revision=int(one["revision"]) + REVISIONS_MARGIN,  # also where nobody was told before the writing
        told=None if told is None else Told(told[0], float(told[1]), int(told[2]), None, None),
        surfaces={int(surface): int(views) for surface, views in one["surfaces"]},
        scale=Scale(*one["scale"]),
    )
