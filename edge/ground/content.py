"""When two payloads are the same letter: a repeat may say that it came late, and nothing else."""

from __future__ import annotations

import hashlib

_LATE, _IN_TIME = b'"historical":true', b'"historical":false'


def digest(payload: bytes) -> bytes:
    """16 bytes that are the same for a letter and for its repeat marked as late (``mark_historical``)."""
    return hashlib.blake2b(payload.replace(_LATE, _IN_TIME), digest_size=16).digest()
