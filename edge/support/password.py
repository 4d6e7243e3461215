"""A password as its file holds it: not the password but a hash of it that is slow to try (scrypt, RFC 7914).

A token of ``openssl rand`` is beyond trying, and its file holds it as it is. A password that a person can remember is
not: whoever reads its file shall have to try each guess at the price of a tenth of a second and 32 MB.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading

from edge.support.errors import ConfigError, UsageError

PREFIX = "scrypt:"
"""How a line begins that holds such a hash."""
LEAST_PASSWORD = 10
"""Characters. The door lets one address try once a second, so that ten are enough against trying from outside."""

_LOG_N, _R, _P = 15, 8, 1
_MOST_LOG_N = 18
_MOST_PASSWORD_BYTES = 1024
_LINE = re.compile(PREFIX + r"(\d{1,2}):([0-9a-f]{32}):([0-9a-f]{64})")


def line_of(password: str) -> str:
    """What the file shall hold: ``scrypt:LOG2_N:SALT:HASH``. Raises UsageError for one too short or long."""
    if len(password) < LEAST_PASSWORD:
        raise UsageError(f"a password has {LEAST_PASSWORD} characters or more, this one has {len(password)}")
    if len(password.encode()) > _MOST_PASSWORD_BYTES:
        raise UsageError(f"a password has at most {_MOST_PASSWORD_BYTES} bytes")
    salt = secrets.token_bytes(16)
    return f"{PREFIX}{_LOG_N}:{salt.hex()}:{_hash(password.encode(), salt, _LOG_N).hex()}"


class Hashed:
    """The password behind such a line. Used from any thread."""

    def __init__(self, line: str, key: str) -> None:
        """``key`` is what the configuration calls its file. Raises ConfigError for a line that is no such hash."""
        found = _LINE.fullmatch(line)
        if found is None or not 1 <= int(found[1]) <= _MOST_LOG_N:
            raise ConfigError(
                f"{key}: its line begins with {PREFIX!r} and is no hash of a password; make one with: "
                "spanhawk ground password"
            )
        self._log_n, self._salt, self._hash = int(found[1]), bytes.fromhex(found[2]), bytes.fromhex(found[3])
        self._lock = threading.Lock()
        # A browser brings the password with each request: the last right one is known again by a quick hash with a
        # key that lives as long as this process.
        self._own = secrets.token_bytes(32)
        self._right: bytes | None = None

    def admits(self, password: bytes) -> bool:
        """Whether this is the password; the first time takes a tenth of a second."""
        if not password or len(password) > _MOST_PASSWORD_BYTES:
            return False
        mark = hmac.digest(self._own, password, "sha256")
        with self._lock:  # one at a time: each takes 32 MB
            if self._right is not None and hmac.compare_digest(self._right, mark):
                return True
            right = hmac.compare_digest(_hash(password, self._salt, self._log_n), self._hash)
            if right:
                self._right = mark
            return right


def _hash(password: bytes, salt: bytes, log_n: int) -> bytes:
    n = 1 << log_n
    return hashlib.scrypt(password, salt=salt, n=n, r=_R, p=_P, maxmem=256 * _R * n, dklen=32)
