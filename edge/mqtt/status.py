"""The retained status of a vehicle, which is also the last will that a broker publishes when the vehicle is gone."""

from __future__ import annotations

import json
from collections.abc import Sequence

STATUS_SCHEMA = "spanhawk/status/1"


def status_payload(
    vehicle: str, flight_id: str, state: str, reasons: Sequence[str], *, flying: bool, confirm: str = "broker"
) -> bytes:
    """A status message as UTF-8 JSON: ``state`` is online, flying, degraded (with ``reasons``) or offline.

    ``confirm`` tells whose word ends a letter: the broker's or the ground's.
    """
    document = {
        "schema": STATUS_SCHEMA,
        "vehicle": vehicle,
        "flight_id": flight_id,
        "state": state,
        "flying": flying,
        "reasons": list(reasons),
        "confirm": confirm,
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
