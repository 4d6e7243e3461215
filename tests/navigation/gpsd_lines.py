"""Reports as gpsd writes them."""

from __future__ import annotations

import json
from typing import Any

S = 1_000_000_000


def tpv(**fields: Any) -> dict[str, Any]:
    report = {"class": "TPV", "device": "/dev/ttyACM0", "mode": 3, "time": "2026-05-04T10:15:00.000Z"}
    return report | {"lat": 48.0, "lon": 11.0, "altHAE": 547.0, "altMSL": 500.0, "eph": 3.0, "epv": 5.0} | fields


def line(report: Any) -> bytes:
    return json.dumps(report).encode() + b"\r\n"
