"""Who may look: a token where one is set, this machine alone where none is; and headers that hold a page to itself.

Without a token only loopback is listened to (``edge.ground.settings``). A page of the wider web that an inspector's
browser shows could still ask 127.0.0.1 under a name of its own (DNS rebinding): so without a token the request must
name the loopback too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import ssl
import stat
from pathlib import Path

from edge.support.errors import ConfigError

LEAST_TOKEN = 16
"""Characters: 16 of a password generator are beyond trying."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
ASK = {"WWW-Authenticate": 'Basic realm="spanhawk ground", charset="UTF-8"'}


class Door:
    """``token`` None: none is asked for, and only names of the loopback are answered to."""

    def __init__(self, token: str | None) -> None:
        self._mark = None if token is None else _digest(token.encode())

    @property
    def asks(self) -> bool:
        """True where a token is asked for."""
        return self._mark is not None

    def admits(self, authorization: str | None) -> bool:
        """Whether this header (Bearer, or Basic with any user) brings the token; True where none is asked for."""
        return self._mark is None or hmac.compare_digest(self._mark, _digest(_brought(authorization)))

    def answers_to(self, host: str) -> bool:
        """Whether a request that names this host is for us."""
        if self._mark is not None:
            return True
        name = host.rsplit("]", 1)[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
        if name.rstrip(".").lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False


def read_token(path: Path) -> str:
    """The first line of ``path``. Raises ConfigError, which never shows what the file holds."""
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"ground.http_token_file: cannot read {path} ({error.strerror})") from error
    except UnicodeDecodeError:
        raise ConfigError(f"ground.http_token_file: {path} is not UTF-8 text; save it again, as UTF-8") from None
    token = text.split("\n", 1)[0].strip()
    if len(token) < LEAST_TOKEN:
        raise ConfigError(
            f"ground.http_token_file: the first line of {path} has {len(token)} characters, a token has {LEAST_TOKEN} "
            "or more; make one with: openssl rand -hex 16"
        )
    if mode & stat.S_IROTH:
        raise ConfigError(f"ground.http_token_file: every user of this machine can read {path}; chmod 600 it")
    return token


def tls_context(cert_file: Path, key_file: Path | None) -> ssl.SSLContext:
    """A server's context. Raises ConfigError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # An encrypted key would otherwise ask for its password on the terminal, and wait without end.
        context.load_cert_chain(cert_file, key_file, password=lambda: "")
    except ssl.SSLError as error:
        raise ConfigError(
            f"ground.http_cert_file: {cert_file} and its key must be PEM files that belong together, the key not "
            f"encrypted ({error.reason or 'no key could be read'})"
        ) from error
    except OSError as error:
        files = f"{cert_file}{'' if key_file is None else f' or {key_file}'}"
        raise ConfigError(f"ground.http_cert_file: cannot read {files} ({error.strerror})") from error
    return context


def _brought(authorization: str | None) -> bytes:
    kind, _, value = (authorization or "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip().encode("utf-8", "replace")
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""


def _digest(token: bytes) -> bytes:
    # Of one length whatever was brought, so that comparing tells nothing of the token's.
    return hashlib.sha256(token).digest()
