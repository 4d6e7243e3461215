"""Receipts from the ground: which letters of a flight are safely stored there, schema ``spanhawk/receipt/1``.

A receipt names detections by their ``seq`` and cracks by their revisions; the ids of letters follow from both, so the
outbox needs to know nothing of flights. The JSON Schema is ``edge/detections/schema/receipt-1.json``.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, TypeAlias

from edge.detections.cracks import revision_id
from edge.detections.wire import detection_id, to_bytes
from edge.support.strict_json import no_constant

SCHEMA = "spanhawk/receipt/1"
MOST_LETTERS = 10_000
"""Letters that one receipt may name: a mistake must not keep a drone busy for minutes."""
MAX_BYTES = 64 << 10
_MAX_FLIGHT_ID = 200

Ranges: TypeAlias = Sequence[Sequence[int]]
"""First and last of each run of numbers, both included."""


class ReceiptError(ValueError):
    """A message on the receipts topic that is none."""


def receipt(flight_id: str, ranges: Ranges, cracks: Mapping[str, Ranges]) -> bytes:
    """The message: stored are these ``seq`` of detections, and of each crack (by its id) these revisions."""
    return to_bytes(
        {
            "schema": SCHEMA,
            "flight_id": flight_id,
            "ranges": [list(one) for one in ranges],
            "cracks": [
                {"crack_id": crack_id, "revisions": [list(one) for one in revisions]}
                for crack_id, revisions in cracks.items()
            ],
        }
    )


def letter_ids(vehicle: str, payload: bytes) -> list[str]:
    """The ids of the letters of ``vehicle`` that a receipt names. Raises ReceiptError, and nothing else."""
    table = _table(payload)
    flight_id = table.get("flight_id")
    if not isinstance(flight_id, str) or not 0 < len(flight_id) <= _MAX_FLIGHT_ID or not flight_id.isprintable():
        raise ReceiptError(f"flight_id must be a text, got {str(flight_id)[:60]!r}")
    left = MOST_LETTERS
    seqs = _numbers(table.get("ranges"), "ranges", left)
    ids = [detection_id(vehicle, flight_id, seq) for seq in seqs]
    cracks = table.get("cracks", [])
    if not isinstance(cracks, list):
        raise ReceiptError("cracks must be a list of objects with crack_id and revisions")
    for crack in cracks:
        crack_id = crack.get("crack_id") if isinstance(crack, dict) else None
        if not isinstance(crack_id, str) or not _is_uuid(crack_id):
            raise ReceiptError("cracks must be a list of objects with crack_id and revisions")
        ids += [revision_id(crack_id, one) for one in _numbers(crack.get("revisions"), "revisions", left - len(ids))]
    return ids


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) every receipt validates against."""
    text = resources.files("edge.detections").joinpath("schema/receipt-1.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def _table(payload: bytes) -> dict[str, Any]:
    if len(payload) > MAX_BYTES:
        raise ReceiptError(f"{len(payload)} bytes, more than the {MAX_BYTES} of a receipt")
    try:
        table = json.loads(payload.decode("utf-8"), parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise ReceiptError(f"not a JSON object ({str(error)[:80]})") from error
    if not isinstance(table, dict) or table.get("schema") != SCHEMA:
        raise ReceiptError(f"its schema is not {SCHEMA}")
    return table


def _numbers(ranges: Any, name: str, most: int) -> list[int]:
    if not isinstance(ranges, list):
        raise ReceiptError(f"{name} must be a list of pairs, as [[1, 57], [60, 61]]")
    numbers: list[int] = []
    for pair in ranges:
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(one) is int for one in pair):
            raise ReceiptError(f"{name} must be a list of pairs, as [[1, 57], [60, 61]]")
        first, last = pair
        if not 0 <= first <= last or last - first >= most - len(numbers):
            raise ReceiptError(f"{name} holds [{first}, {last}]: not rising, or over {MOST_LETTERS} letters")
        numbers += range(first, last + 1)
    return numbers


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
