"""From a message to a row: whatever arrives, nothing but a row or a ``RefusedError`` comes out.

Everything in a payload is somebody else's: it is checked for what the ground itself relies on (names, numbers, times,
places), and the bytes are kept as they are. Full validation against the JSON Schemas would cost milliseconds a message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from edge.detections.cracks import SCHEMA as CRACK_SCHEMA
from edge.detections.cracks import crack_id as crack_name
from edge.detections.wire import SCHEMA as DETECTION_SCHEMA
from edge.detections.wire import detection_id
from edge.ground import Batch, Box, CoverageRow, CrackRow, DetectionRow, RefusedRow, StateRow
from edge.mqtt.topics import check_vehicle
from edge.support.errors import ConfigError, SpanhawkError
from edge.support.strict_json import finite, no_constant, single_keys, whole

try:
    import orjson
except ImportError:  # it comes with the extra `ground`; without it the same is read more slowly
    orjson = None  # type: ignore[assignment]  # a module or None

MAX_PAYLOAD_BYTES = 1 << 20
"""Nothing that a drone sends is larger; coverage included."""
MAX_FILE_BYTES = 64 << 20
"""A document in a flight's folder may be as large: nothing held it to what fits into a message."""
KEPT_OF_REFUSED_BYTES = 64 << 10
_MAX_DEPTH = 24
_MOST = 2**31 - 1
_LARGEST = 1e12
_TEXT = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)
_STATE_SCHEMAS = {"status": "spanhawk/status/1", "telemetry": "spanhawk/telemetry/1"}
KINDS = ("detections", "cracks", "coverage", "status", "telemetry")
"""Last part of the topics that are listened to."""
RETAINED_KINDS = ("coverage", "status")
"""Those of which the broker keeps the last message for whoever comes later."""


class RefusedError(SpanhawkError):
    """A message that cannot be taken up, and why."""


def read(
    topic: str, payload: bytes, now: datetime, into: Batch, *, most_bytes: int = MAX_PAYLOAD_BYTES
) -> RefusedRow | None:
    """Put the row of a message into ``into``; what cannot be read goes into its ``refused`` and is returned."""
    try:
        vehicle, kind = _address(topic)
        _take(vehicle, kind, parsed(payload, most_bytes), payload, now, into)
    except RefusedError as error:
        return _refused(topic, error, payload, now, into)
    return None


def read_own(kind: str, payload: bytes, now: datetime, into: Batch, *, most_bytes: int) -> RefusedRow | None:
    """The same for a document that no topic came with: it is that of the vehicle which it names."""
    vehicle: Any = None
    try:
        document = parsed(payload, most_bytes)
        properties = document.get("properties")
        holder = properties if isinstance(properties, dict) else document
        vehicle = holder.get("vehicle")
        if not isinstance(vehicle, str):
            raise RefusedError("it names no vehicle")
        _check_vehicle(vehicle)
        _take(vehicle, kind, document, payload, now, into)
    except RefusedError as error:
        return _refused(f"spanhawk/{vehicle if isinstance(vehicle, str) else ''}/{kind}", error, payload, now, into)
    return None


def conflict(row: DetectionRow | CrackRow, now: datetime) -> RefusedRow:
    """A row whose name another content has, as it is kept among the refused."""
    return RefusedRow(
        f"spanhawk/{row.vehicle}", "another content under a stored name", now, row.payload[:KEPT_OF_REFUSED_BYTES]
    )


def _refused(topic: str, error: RefusedError, payload: bytes, now: datetime, into: Batch) -> RefusedRow:
    shown = topic[:200].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    refused = RefusedRow(shown, str(error), now, payload[:KEPT_OF_REFUSED_BYTES])
    into.refused.append(refused)
    return refused


def _take(vehicle: str, kind: str, document: Mapping[str, Any], payload: bytes, now: datetime, into: Batch) -> None:
    if kind == "detections":
        into.detections.append(_detection(vehicle, document, payload))
    elif kind == "cracks":
        into.cracks.append(_crack(vehicle, document, payload))
    elif kind == "coverage":
        into.coverage.append(CoverageRow(vehicle, _coverage_flight(vehicle, document), payload))
    elif kind in ("status", "telemetry"):
        _check_schema(document, _STATE_SCHEMAS[kind])
        what: Any = kind
        into.states.append(StateRow(vehicle, _owner(vehicle, document), what, now, payload))
    else:
        raise RefusedError(f"{kind[:40]!r} is no topic of the ground; known: {', '.join(KINDS)}")


def _address(topic: str) -> tuple[str, str]:
    parts = topic.split("/")
    if len(parts) != 3 or parts[0] != "spanhawk":
        raise RefusedError("the topic is not spanhawk/VEHICLE/…")
    _check_vehicle(parts[1], "the topic's ")
    return parts[1], parts[2]


def _check_vehicle(name: str, whose: str = "") -> None:
    try:
        check_vehicle(name)
    except ConfigError as error:
        raise RefusedError(f"{whose}{error}") from error


def parsed(payload: bytes, most_bytes: int = MAX_PAYLOAD_BYTES) -> dict[str, Any]:
    """A JSON object, strictly: UTF-8, no key twice, no NaN, nothing endless, not nested beyond reason.

    Raises RefusedError.
    """
    if len(payload) > most_bytes:
        raise RefusedError(f"{len(payload)} bytes, more than the {most_bytes} that the largest may have")
    document = _quickly(payload)
    if document is not None:
        return document
    try:
        document = _QUICK.decode(payload.decode("utf-8"))
        if not _keys_are_single(payload, document):
            document = _STRICT.decode(payload.decode("utf-8"))
        if _HALVES.search(payload):
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise RefusedError("a text holds half a character, which no UTF-8 has") from None
    except UnicodeDecodeError as error:
        raise RefusedError(f"not UTF-8 text (byte {error.start})") from error
    except RecursionError:
        raise RefusedError("nested too deeply") from None
    except ValueError as error:
        raise RefusedError(f"not a JSON object: {str(error)[:200]}") from error
    if not isinstance(document, dict):
        raise RefusedError("JSON, but not an object")
    return document


def _quickly(payload: bytes) -> dict[str, Any] | None:
    """The same by orjson, in a quarter of the time; None where it is not installed or anything is out of the ordinary.

    What is wrong and why is said by the standard library's decoder in any case, so that both say the same.
    """
    if orjson is None or not _is_shallow(payload):
        return None
    try:
        document = orjson.loads(payload)
    except ValueError:
        return None
    return document if isinstance(document, dict) and _keys_are_single(payload, document) else None


def _is_shallow(payload: bytes) -> bool:
    """True where brackets are nested no deeper than keys may be; innermost pairs go first, round by round."""
    brackets = payload.translate(None, _NO_BRACKETS)
    for _ in range(_MAX_DEPTH):
        if not brackets:
            return True
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return not brackets


_SPACE_BEHIND_TEXT = (b'" ', b'"\t', b'"\n', b'"\r')
_HALVES = re.compile(rb"\\u[dD][89a-fA-F]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _keys_are_single(payload: bytes, document: Any) -> bool:
    """True where it is plain that no key stands twice: as many ``":`` as keys, and no white space that may lie between
    the two characters. Much quicker than asking for pairs."""
    if not isinstance(document, dict) or any(space in payload for space in _SPACE_BEHIND_TEXT):
        return False
    return payload.count(b'":') == _count_keys(document)


def _count_keys(document: Mapping[str, Any]) -> int:
    # Lists are left out: objects in them make the counts differ, and the strict reader decides.
    keys, tables = 0, [document]
    for _ in range(_MAX_DEPTH + 1):
        keys += sum(map(len, tables))
        tables = [value for table in tables for value in table.values() if type(value) is dict]
        if not tables:
            return keys
    raise RefusedError("nested too deeply")


_STRICTLY: Mapping[str, Any] = {"parse_constant": no_constant, "parse_float": finite, "parse_int": whole}
_QUICK = json.JSONDecoder(**_STRICTLY)
_STRICT = json.JSONDecoder(**_STRICTLY, object_pairs_hook=single_keys)


def _detection(vehicle: str, document: Mapping[str, Any], payload: bytes) -> DetectionRow:
    properties = _feature(document, DETECTION_SCHEMA)
    flight_id, seq = _owner(vehicle, properties), _whole(properties, "seq", 1)
    id = _text(properties, "id")
    if id != detection_id(vehicle, flight_id, seq) or document.get("id") != id:
        raise RefusedError(f"the id is not that of detection {seq} of flight {flight_id!r}")
    return DetectionRow(
        vehicle, flight_id, seq, id, _text(properties, "kind"), _optional_text(properties, "crack_id"),
        _time(properties, "seen_at"), _number(properties, "score"), _box(document), payload,
    )  # fmt: skip


def _crack(vehicle: str, document: Mapping[str, Any], payload: bytes) -> CrackRow:
    properties = _feature(document, CRACK_SCHEMA)
    flight_id, number = _owner(vehicle, properties), _whole(properties, "number", 0)
    crack_id = _text(properties, "crack_id")
    if crack_id != crack_name(vehicle, flight_id, number):
        raise RefusedError(f"the crack_id is not that of crack {number} of flight {flight_id!r}")
    best = properties.get("best")
    sha256 = best.get("evidence_sha256") if isinstance(best, dict) else None
    if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise RefusedError("best.evidence_sha256 is no SHA-256")
    at_most = properties.get("width_at_most_mm")
    return CrackRow(
        vehicle, flight_id, crack_id, number, _whole(properties, "revision", 0), _text(properties, "state"),
        _text(properties, "kind"), _time(properties, "first_seen"), _time(properties, "last_seen"),
        _whole(properties, "views", 0), _value(properties, "length_mm"), _value(properties, "width_mm"),
        None if at_most is None else _number(properties, "width_at_most_mm"), sha256, _box(document), payload,
    )  # fmt: skip


def _coverage_flight(vehicle: str, document: Mapping[str, Any]) -> str:
    holder = document.get("properties") if document.get("type") == "Feature" else document
    if document.get("type") not in ("Feature", "FeatureCollection") or not isinstance(holder, dict):
        raise RefusedError("coverage must be a GeoJSON Feature or FeatureCollection")
    return _owner(vehicle, holder)


def _feature(document: Mapping[str, Any], schema: str) -> dict[str, Any]:
    properties = document.get("properties")
    if document.get("type") != "Feature" or not isinstance(properties, dict):
        raise RefusedError("it is no GeoJSON Feature")
    _check_schema(properties, schema)
    return properties


def _check_schema(table: Mapping[str, Any], schema: str) -> None:
    if table.get("schema") != schema:
        raise RefusedError(f"schema {str(table.get('schema'))[:60]!r}, this ground reads {schema}")


def _owner(vehicle: str, table: Mapping[str, Any]) -> str:
    """The flight, of the vehicle that the topic names and no other."""
    if table.get("vehicle") != vehicle:
        raise RefusedError(f"it says vehicle {str(table.get('vehicle'))[:64]!r} on the topic of {vehicle!r}")
    return _text(table, "flight_id")


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not _TEXT.fullmatch(value):
        raise RefusedError(f"{key} must be a text of 1 to 200 printable characters, got {str(value)[:60]!r}")
    return value


def _optional_text(table: Mapping[str, Any], key: str) -> str | None:
    return None if table.get(key) is None else _text(table, key)


def _whole(table: Mapping[str, Any], key: str, least: int) -> int:
    value = table.get(key)
    if type(value) is not int or not least <= value <= _MOST:
        raise RefusedError(f"{key} must be a whole number from {least}, got {str(value)[:60]!r}")
    return value


def _number(table: Mapping[str, Any], key: str) -> float:
    value: Any = table.get(key)
    if type(value) not in (int, float) or not abs(value) <= _LARGEST:
        raise RefusedError(f"{key} must be a number, got {str(value)[:60]!r}")
    return float(value)


def _value(table: Mapping[str, Any], key: str) -> float | None:
    interval = table.get(key)
    if interval is None:
        return None
    if not isinstance(interval, dict):
        raise RefusedError(f"{key} must be null or an object with value and interval")
    return _number(interval, "value")


def _time(table: Mapping[str, Any], key: str) -> datetime:
    value = table.get(key)
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    try:
        if found is not None:
            text = f"{found[1]}.{(found[2] or '0'):0<6.6}"
            return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
    except ValueError:
        pass
    raise RefusedError(f"{key} must be UTC as 2026-05-01T12:00:00.000Z, got {str(value)[:60]!r}")


def _box(document: Mapping[str, Any]) -> Box | None:
    geometry = document.get("geometry")
    if geometry is None:
        return None
    if not isinstance(geometry, dict) or geometry.get("type") not in ("Point", "LineString"):
        raise RefusedError("geometry must be null, a Point or a LineString")
    coordinates = geometry.get("coordinates")
    points = [coordinates] if geometry["type"] == "Point" else coordinates
    if not isinstance(points, list) or len(points) < (1 if geometry["type"] == "Point" else 2):
        raise RefusedError("geometry has no coordinates, or too few")
    if not all(map(_is_place, points)):
        raise RefusedError("geometry must be longitude, latitude and perhaps a height, degrees and metres")
    longitudes, latitudes = [point[0] for point in points], [point[1] for point in points]
    return float(min(longitudes)), float(min(latitudes)), float(max(longitudes)), float(max(latitudes))


def _is_place(point: Any) -> bool:
    if not isinstance(point, list) or len(point) not in (2, 3):
        return False
    if not all(type(one) in (int, float) and abs(one) <= _LARGEST for one in point):  # not of NaN or infinity
        return False
    return bool(abs(point[0]) <= 180 and abs(point[1]) <= 90)
