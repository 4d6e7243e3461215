"""settings.json: the configuration as flown, as JSON, without secrets."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from edge.support.address import masked

SCHEMA = "spanhawk/settings/1"
_SECRET = re.compile(r"pass|secret|token|credential|sign_key", re.IGNORECASE)


def settings_document(**tables: object) -> dict[str, Any]:
    """``tables`` as what JSON can hold; what a name marks as a secret is left out.

    What may be one in an address is masked (see ``edge.support.address``).
    """
    return {"schema": SCHEMA, **{name: _plain(table) for name, table in tables.items()}}


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain({one.name: getattr(value, one.name) for one in dataclasses.fields(value)})
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items() if not _SECRET.search(str(key))}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return masked(str(value))
