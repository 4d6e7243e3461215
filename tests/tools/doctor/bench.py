"""A bench for the checks: any configuration, on real backends."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge import settings
from edge.support.clock import Clock, ManualClock
from edge.tools.doctor import Bench

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)


def table(folder: Path, **rooms: dict[str, Any]) -> dict[str, Any]:
    """A whole configuration that needs no hardware; ``rooms`` replace its tables."""
    return {
        "vehicle": "drone1",
        "camera": {"backend": "synthetic", "fps": 50.0, "width_px": 320, "height_px": 180},
        "masks": {"backend": "dark"},
        "navigation": {"backend": "fixed", "lat_deg": 51.0, "lon_deg": 3.7, "alt_amsl_m": 10.0},
        "outbox": {"path": str(folder / "box" / "outbox.db"), "min_free_bytes": 0, "ballast_bytes": 0},
        "mqtt": {"backend": "memory"},
        "flight": {"snapshot_dir": str(folder / "snapshots"), "min_free_mb": 0, "max_temperature_deg_c": 1000.0},
        **rooms,
    }


def bench(folder: Path, clock: Clock | None = None, **rooms: dict[str, Any]) -> Bench:
    """A bench with that configuration; the clock stands at noon of a summer day unless another is given."""
    return Bench(settings.from_table(table(folder, **rooms), "test"), clock or ManualClock(NOON))


def toml(folder: Path, **rooms: dict[str, Any]) -> Path:
    """The same as a file."""
    path = folder / "spanhawk.toml"
    path.write_text(settings.effective(bench(folder, **rooms).settings), encoding="utf-8")
    return path
