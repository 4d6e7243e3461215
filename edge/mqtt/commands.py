"""Commands from the ground and their replies, as bytes. Whatever arrives, nothing but CommandError comes out.

A command is a JSON object of at most 4 kB::

    {"command": "snapshot", "id": "7f3a", "expires_at": "2026-05-01T12:00:00Z"}

``id`` (optional, at most 64 printable characters) comes back in the reply; ``expires_at`` (optional, RFC 3339) is the
moment after which the command must not be carried out any more. ``resend`` may say what it wants, by the seqs of one
flight's detections: ``"flight_id": "…", "ranges": [[1, 57], [60, 61]]``. A command's reply::

    {"command": "snapshot", "id": "7f3a", "ok": true, "error": null, "result": {...}}
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edge.support.errors import SpanhawkError
from edge.support.strict_json import finite, no_constant, single_keys

MAX_COMMAND_BYTES = 4096
# A command has one level, and perhaps some ranges.
_MAX_BRACKETS = 80
MOST_RANGES = 64
MOST_SEQS = 10_000
"""Numbers that the ranges of one command may hold."""
_RANGED = "resend"
_MAX_ID_CHARACTERS = 64
_KEYS = ("command", "id", "expires_at")
_RANGE_KEYS = ("flight_id", "ranges")
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Command:
    """A command that is well formed, known, and in time."""

    name: str
    id: str | None
    """The asker's own mark; None when it gave none."""
    flight_id: str = ""
    """Of which flight, where ``seqs`` are given."""
    seqs: tuple[int, ...] | None = None
    """What ``ranges`` name; None: no ranges were given."""


class CommandError(SpanhawkError):
    """A command that is not carried out; give it to ``reply`` to tell its sender."""

    def __init__(self, sentence: str, command: str | None = None, id: str | None = None) -> None:
        super().__init__(sentence)
        self.command = command
        """Its name where it could be read."""
        self.id = id
        """Its id where it could be read."""


def parse(payload: bytes, known: Sequence[str], now: datetime | None = None) -> Command:
    """Read a command strictly; ``known`` are the names carried out here.

    ``now`` is the trusted UTC; with None (the clock is not set) a command that expires is refused, because nothing
    can tell whether it has. Raises CommandError, and nothing else for any bytes.
    """
    table = _table(payload)
    id = _id(table)
    name = table.get("command")
    if not isinstance(name, str):
        raise CommandError(f'needs "command": one of {_list(known)}', None, id)
    if name not in known:
        raise CommandError(_unknown(name, known), name[:_MAX_ID_CHARACTERS] if name.isprintable() else None, id)
    keys = _KEYS + (_RANGE_KEYS if name == _RANGED else ())
    extra = sorted(set(table) - set(keys))
    if extra:
        raise CommandError(f"unknown key {extra[0][:_MAX_ID_CHARACTERS]!r}; known: {', '.join(keys)}", name, id)
    if table.get("expires_at") is not None:
        _check_expiry(table["expires_at"], now, name, id)
    if "ranges" not in table and "flight_id" not in table:
        return Command(name, id)
    flight_id = table.get("flight_id")
    if not isinstance(flight_id, str) or not 0 < len(flight_id) <= 200 or not flight_id.isprintable():
        raise CommandError('"ranges" needs "flight_id", a text', name, id)
    return Command(name, id, flight_id, _seqs(table.get("ranges"), name, id))


def reply(
    to: Command | CommandError | None, *, error: str | None = None, result: Mapping[str, Any] | None = None
) -> bytes:
    """The reply to a command; ``to`` is None when nothing of it could be read. With ``error`` it says not ok.

    ``result`` must be JSON without NaN or infinity (raises ValueError).
    """
    if isinstance(to, CommandError) and error is None:
        error = str(to)
    document = {
        "command": to.name if isinstance(to, Command) else to.command if to else None,
        "id": to.id if to else None,
        "ok": error is None,
        "error": error,
        "result": dict(result or {}),
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _table(payload: bytes) -> dict[str, Any]:
    if len(payload) > MAX_COMMAND_BYTES:
        raise CommandError(f"a command has at most {MAX_COMMAND_BYTES} bytes, this one is longer")
    if payload.count(b"{") + payload.count(b"[") > _MAX_BRACKETS:
        raise CommandError("a command is one flat JSON object, this one is nested")
    try:
        text = payload.decode("utf-8")
        table = json.loads(text, object_pairs_hook=single_keys, parse_constant=no_constant, parse_float=finite)
    except UnicodeDecodeError as error:
        raise CommandError(f"not UTF-8 text (byte {error.start})") from error
    except ValueError as error:
        raise CommandError(f"not a JSON object: {error}") from error
    if not isinstance(table, dict):
        raise CommandError(f'not a JSON object but {_kind(table)}; send {{"command": "ping"}}')
    return table


def _seqs(ranges: Any, name: str, id: str | None) -> tuple[int, ...]:
    wrong = CommandError(
        f'"ranges" must be 1 to {MOST_RANGES} pairs of rising numbers from 1, {MOST_SEQS} numbers in all', name, id
    )
    if not isinstance(ranges, list) or not 0 < len(ranges) <= MOST_RANGES:
        raise wrong
    seqs: list[int] = []
    for pair in ranges:
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(one) is int for one in pair):
            raise wrong
        if not 1 <= pair[0] <= pair[1] or pair[1] - pair[0] >= MOST_SEQS - len(seqs):
            raise wrong
        seqs += range(pair[0], pair[1] + 1)
    return tuple(seqs)


def _id(table: Mapping[str, Any]) -> str | None:
    id = table.get("id")
    if id is None:
        return None
    if not isinstance(id, str) or not id.isprintable() or len(id) > _MAX_ID_CHARACTERS:
        raise CommandError(f'"id" must be a text of at most {_MAX_ID_CHARACTERS} printable characters')
    return id


def _check_expiry(value: Any, now: datetime | None, name: str, id: str | None) -> None:
    moment = _moment(value)
    if moment is None:
        raise CommandError('"expires_at" must be RFC 3339 with a zone, as 2026-05-01T12:00:00Z', name, id)
    if now is None:
        raise CommandError('"expires_at" cannot be checked: the clock on board is not set; leave it out', name, id)
    if moment <= now:
        raise CommandError(f"expired at {value}, here it is {now.isoformat(timespec='seconds')}", name, id)


def _moment(value: Any) -> datetime | None:
    found = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    begin, fraction, zone = found.groups()
    try:  # Python 3.10 reads neither Z nor any number of decimals
        return datetime.fromisoformat(
            f"{begin.upper()}.{(fraction or '0'):0<6.6}{'+00:00' if zone in 'Zz' else zone}"
        )  # fmt: skip
    except ValueError:
        return None


def _unknown(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name[:_MAX_ID_CHARACTERS], known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"unknown command {name[:_MAX_ID_CHARACTERS]!r}; {hint}known: {_list(known)}"


def _list(known: Sequence[str]) -> str:
    return ", ".join(sorted(known))


def _kind(value: Any) -> str:
    return {list: "an array", str: "a text", bool: "true or false", type(None): "null"}.get(type(value), "a number")
