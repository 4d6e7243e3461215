"""Who may ask a server of ours: where it listens, the token that is asked for, and how fast tokens can be tried.

The ground's page and the drone's pictures stand behind the same door. Without a token only the loopback is listened to.
A page of the wider web that a browser shows could still ask 127.0.0.1 under a name of its own (DNS rebinding): so
without a token the request must name the loopback too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
import ssl
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from edge.support.clock import Clock
from edge.support.errors import ConfigError
from edge.support.password import PREFIX, Hashed
from edge.support.secret import read_secret

LEAST_TOKEN = 16
"""Characters: 16 of a password generator are beyond trying."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a server listens."""

    host: str
    """A name or an address, without brackets."""
    port: int
    """0: any that is free."""

    @property
    def loopback(self) -> bool:
        """True where only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def listen(text: str, key: str) -> Listen:
    """``HOST:PORT``, an IPv6 address in brackets. Raises ConfigError, which names ``key``."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})", text, re.ASCII)
    if found is None or int(found[3]) > 65535:
        raise ConfigError(f"{key}: got {text!r}, needs HOST:PORT, as 127.0.0.1:8080 or [::1]:8080")
    return Listen(found[1] or found[2], int(found[3]))


@dataclass(frozen=True, slots=True)
class Guard:
    """How the configuration guards a server; the names of its keys begin with ``prefix``, as ``ground.http``."""

    key: str
    """Of the address, as ``ground.http``."""
    prefix: str
    """Of the other keys, as ``http_`` in ``[ground] http_token_file``."""
    token_file: Path | None
    cert_file: Path | None
    key_file: Path | None
    allow_plaintext: bool

    def check(self, text: str) -> None:
        """Refuse an address that others could reach unguarded. Raises ConfigError."""
        address = listen(text, self.key)
        if self.key_file is not None and self.cert_file is None:
            raise ConfigError(
                f"{self._table}.{self.prefix}key_file is given without {self.prefix}cert_file; give the certificate too"
            )
        if address.loopback:
            return
        lacking = [] if self.token_file is not None else [f"{self.prefix}token_file"]
        if self.cert_file is None and not self.allow_plaintext:
            lacking.append(
                f"{self.prefix}cert_file (or allow_plaintext = true, on a network that nobody else listens to)"
            )
        if lacking:
            raise ConfigError(
                f"{self.key}: got {text!r}, where other machines can connect; that needs [{self._table}] "
                f"{' and '.join(lacking)}. 127.0.0.1:{address.port} needs neither"
            )

    def context(self) -> ssl.SSLContext | None:
        """For TLS; None where it is not wanted. Raises ConfigError."""
        if self.cert_file is None:
            return None
        key = f"{self._table}.{self.prefix}cert_file"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # An encrypted key would otherwise ask for its password on the terminal, and wait without end.
            context.load_cert_chain(self.cert_file, self.key_file, password=lambda: "")
        except ssl.SSLError as error:
            raise ConfigError(
                f"{key}: {self.cert_file} and its key must be PEM files that belong together, the key not encrypted "
                f"({error.reason or 'no key could be read'})"
            ) from error
        except OSError as error:
            files = f"{self.cert_file}{'' if self.key_file is None else f' or {self.key_file}'}"
            raise ConfigError(f"{key}: cannot read {files} ({error.strerror})") from error
        return context

    def door(self) -> Door:
        """Raises ConfigError for a token that cannot be."""
        key = f"{self._table}.{self.prefix}token_file"
        return Door(None if self.token_file is None else read_token(self.token_file, key), key)

    @property
    def _table(self) -> str:
        return self.key.partition(".")[0]


def read_token(path: Path, key: str) -> str:
    """The token in ``path``, or the line of a hashed password; ``key`` is its name in the configuration.

    Raises ConfigError.
    """
    secret = read_secret(path, key)
    token = secret.text.strip()
    if len(token) < LEAST_TOKEN:
        raise ConfigError(
            f"{key}: the first line of {path} has {len(token)} characters, a token has {LEAST_TOKEN} or more; make one "
            "with: openssl rand -hex 16, or keep a password with: spanhawk ground password"
        )
    if secret.open_to_all:
        raise ConfigError(f"{key}: every user of this machine can read {path}; chmod 600 it")
    return token


class Door:
    """``token`` None: none is asked for, and only names of the loopback are answered to."""

    def __init__(self, token: str | None, key: str = "token") -> None:
        """``token``: itself, or a line of ``edge.support.password``, in a file named ``key``. Raises ConfigError."""
        self._mark = None if token is None else _digest(token.encode())
        self._hashed = Hashed(token, key) if token is not None and token.startswith(PREFIX) else None

    @property
    def asks(self) -> bool:
        """True where a token is asked for."""
        return self._mark is not None

    def admits(self, authorization: str | None) -> bool:
        """Whether this header (Bearer, or Basic with any user) brings the token; True where none is asked for."""
        if self._hashed is not None:
            return self._hashed.admits(_brought(authorization))
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


class Guesses:
    """Holds up an address that brings wrong tokens: after some, each further try of it waits for the one before.

    A right token is never refused for good: it waits in the same short row, and being right ends the waiting. Only
    where more requests wait than ``_MOST_WAIT_S`` has room for is one sent away, to come again. Used from any thread.
    """

    _FREE = 5
    """Wrong tokens of one address that cost nothing: a person mistypes."""
    _LONGEST_S = 1.0
    _MOST_WAIT_S = 4.0
    _FORGOTTEN_NS = 600_000_000_000
    _MOST_ADDRESSES = 2000

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # By address: wrong tokens in a row, and when the next may be looked at. The longest unheard of comes first.
        self._known: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def wait_s(self, address: str) -> float | None:
        """How long this request must wait before its token is looked at; None: too many wait, it must come again."""
        place, now_ns = _neighbourhood(address), self._clock.monotonic_ns()
        with self._lock:
            wrong, free_ns = self._known.get(place, (0, 0))
            if wrong < self._FREE:
                return 0.0
            if now_ns - free_ns > self._FORGOTTEN_NS:
                del self._known[place]
                return 0.0
            at_ns = max(now_ns, free_ns)
            if at_ns - now_ns > self._MOST_WAIT_S * 1e9:
                return None
            between_s = min(self._LONGEST_S, 0.1 * 2 ** (wrong - self._FREE))
            self._known[place] = wrong, at_ns + round(between_s * 1e9)
            return (at_ns - now_ns) / 1e9

    def told(self, address: str, *, right: bool) -> None:
        """What came of it."""
        place = _neighbourhood(address)
        with self._lock:
            if right:
                self._known.pop(place, None)
                return
            wrong, free_ns = self._known.pop(place, (0, self._clock.monotonic_ns()))
            self._known[place] = min(wrong + 1, self._FREE + 10), free_ns
            if len(self._known) > self._MOST_ADDRESSES:
                self._known.popitem(last=False)


def _neighbourhood(address: str) -> str:
    """The address itself; of IPv6 the network of 64 bits, which one machine has to itself."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    mapped = found.ipv4_mapped
    return str(mapped) if mapped is not None else str(ipaddress.ip_network((found, 64), strict=False))
