"""One picture from one drone: asked for by its SHA-256, from where the last try ended, checked before it is kept."""

from __future__ import annotations

import contextlib
import http.client
import logging
import re
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from edge.ground.pictures import MAX_BYTES, Pictures
from edge.ground.settings import Drone
from edge.support.access import Listen, read_token
from edge.support.address import masked
from edge.support.clock import Clock
from edge.support.disk import make_folder
from edge.support.errors import ConfigError, SpanhawkError, TryAgainError
from edge.support.pace import Pace

log = logging.getLogger(__name__)

CONNECT_S = 5.0
SILENT_S = 10.0
AT_MOST_S = 120.0
"""One try takes no longer, however slowly the other side drips; the next goes on from where it ended."""
_PIECE_BYTES = 32 << 10
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)


class AwayError(SpanhawkError):
    """The drone cannot be reached, or the link broke: what came is kept."""


class NotNowError(SpanhawkError):
    """The drone asks for patience."""

    def __init__(self, why: str, after_s: float) -> None:
        super().__init__(why)
        self.after_s = after_s


class NotThereError(SpanhawkError):
    """The drone has no such picture (any more)."""


class NotLetInError(SpanhawkError):
    """The drone does not know our token, or its certificate is not one that we trust."""


class WrongPictureError(SpanhawkError):
    """What came is not the picture of that name, or cannot be one; nothing of it is kept."""


@dataclass(frozen=True, slots=True)
class _Address:
    secure: bool
    host: str
    port: int
    path: str


class Link:
    """To one drone. Raises ConfigError for a token or an authority that cannot be."""

    def __init__(self, name: str, drone: Drone, pictures: Pictures, pace: Pace, clock: Clock) -> None:
        self._name = name
        self._address = _address(drone, name)
        self._token = None if drone.token_file is None else read_token(drone.token_file, _key(name, "token_file"))
        self._context = _trusting(drone.ca_file, name) if self._address.secure else None
        self._pictures = pictures
        self._pace = pace
        self._clock = clock

    def fetch(self, sha256: str, stop: threading.Event) -> int:
        """Bring this picture into the folder; returns the bytes that it took. Raises the errors above, TryAgainError.

        ``stop`` ends it early, as AwayError.
        """
        part = self._pictures.part(sha256)
        try:
            make_folder(part.parent)
            have = part.stat().st_size if part.is_file() else 0
        except OSError as error:
            raise _no_room(part, error) from error
        connection = self._connection()
        # The library's own limit begins anew with every byte: who drips headers would hold us indefinitely.
        limit = threading.Timer(AT_MOST_S, _cut, (connection,))
        limit.daemon = True
        limit.start()
        try:
            taken = self._converse(connection, sha256, part, have, stop)
        except ssl.SSLCertVerificationError as error:
            raise NotLetInError(f"{self._name}'s certificate is not trusted ({error.verify_message})") from error
        except (OSError, http.client.HTTPException) as error:
            raise AwayError(f"{self._name} cannot be reached ({_words(error)})") from error
        finally:
            limit.cancel()
            connection.close()
        if not self._pictures.take(sha256, part):
            raise WrongPictureError(f"{self._name} sent something else than the picture {sha256}: it is not kept")
        return taken

    def forget(self, sha256: str) -> None:
        """Nobody wants the rest of this picture any more."""
        with contextlib.suppress(OSError):
            self._pictures.part(sha256).unlink(missing_ok=True)

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._address.host, self._address.port
        if self._context is None:
            return http.client.HTTPConnection(host, port, timeout=CONNECT_S)
        return http.client.HTTPSConnection(host, port, timeout=CONNECT_S, context=self._context)

    def _converse(
        self, connection: http.client.HTTPConnection, sha256: str, part: Path, have: int, stop: threading.Event
    ) -> int:
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        if have:
            headers["Range"] = f"bytes={have}-"
        connection.connect()
        connection.sock.settimeout(SILENT_S)
        connection.request("GET", f"{self._address.path}/pictures/{sha256}", headers=headers)
        answer = connection.getresponse()
        self._check(answer, sha256)
        if answer.status == 416:  # all of it is here, and was cut before it was checked; or the part is of another file
            return 0
        begin, whole = _extent(answer, have)
        if whole > MAX_BYTES:
            self.forget(sha256)
            raise WrongPictureError(
                f"{self._name} says that the picture {sha256} has {whole} bytes, more than the {MAX_BYTES} that one may"
            )
        return self._receive(answer, part, begin, whole, stop)

    def _check(self, answer: http.client.HTTPResponse, sha256: str) -> None:
        status = answer.status
        if status in (200, 206, 416):
            return
        if status in (401, 403):
            raise NotLetInError(
                f"{self._name} does not accept our token ({status}); see {_key(self._name, 'token_file')}"
            )
        if status == 404:
            raise NotThereError(f"{self._name} does not have the picture {sha256} (any more)")
        if status in (429, 503):
            said = answer.getheader("Retry-After", "")
            after_s = float(said) if re.fullmatch(r"\d{1,5}", said, re.ASCII) else 30.0
            raise NotNowError(f"{self._name} asks for patience ({status})", max(1.0, min(after_s, 600.0)))
        raise AwayError(f"{self._name} answered {status}, which is none of our pictures' answers")

    def _receive(
        self, answer: http.client.HTTPResponse, part: Path, begin: int, whole: int, stop: threading.Event
    ) -> int:
        at = begin
        try:
            with part.open("r+b" if begin else "wb", buffering=0) as file:
                file.seek(begin)
                while at < whole:
                    piece = self._piece(answer, min(_PIECE_BYTES, whole - at))
                    if not piece:
                        raise AwayError(f"{self._name}: the link was cut after {at} of {whole} bytes")
                    file.write(piece)
                    at += len(piece)
                    if self._pace.wait(len(piece), stop):
                        raise AwayError("stopped")
                file.truncate()
        except OSError as error:
            raise _no_room(part, error) from error
        return at - begin

    def _piece(self, answer: http.client.HTTPResponse, most: int) -> bytes:
        try:
            return answer.read1(most)
        except (OSError, http.client.HTTPException) as error:  # of the network; the disk's are told from them here
            raise AwayError(f"{self._name}: the link was cut ({_words(error)})") from error


def _extent(answer: http.client.HTTPResponse, have: int) -> tuple[int, int]:
    """Where what comes begins, and how large the picture is in all. Raises WrongPictureError, AwayError."""
    if answer.status == 206:
        found = _RANGE.fullmatch(answer.getheader("Content-Range", ""))
        if found is None or int(found[1]) != have:
            raise AwayError("a part came that was not asked for")
        return have, int(found[3])
    length = answer.getheader("Content-Length", "")
    if not re.fullmatch(r"\d{1,18}", length, re.ASCII):
        raise AwayError("the picture came without its length, as when a link is cut while it begins")
    return 0, int(length)


def _address(drone: Drone, name: str) -> _Address:
    parts = urlsplit(drone.url)  # checked when the settings were read
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    assert parts.hostname is not None, name
    return _Address(secure, parts.hostname, port, parts.path.rstrip("/"))


def check(drone: Drone, name: str) -> None:
    """Refuse an address that cannot be, and a token in plain sight. Raises ConfigError."""
    key, shown = _key(name, "url"), masked(drone.url)[:80]
    try:
        parts = urlsplit(drone.url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or parts.username is not None:
        raise ConfigError(f"{key}: got {shown!r}, needs an address as https://drone1.local:8765")
    here = Listen(str(parts.hostname), 0).loopback
    if parts.scheme == "http" and not here and not drone.allow_plaintext:
        raise ConfigError(
            f"{key}: got {shown!r}, which sends the token where others may listen; use https, or "
            "allow_plaintext = true on a network that nobody else listens to"
        )


def _key(name: str, key: str) -> str:
    return f"pictures.drones.{name}.{key}"


def _trusting(ca_file: Path | None, name: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"{_key(name, 'ca_file')}: no certificate can be read from {ca_file} ({_words(error)})"
        ) from error


def _cut(connection: http.client.HTTPConnection) -> None:
    with contextlib.suppress(OSError):
        if connection.sock is not None:
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)


def _no_room(part: Path, error: OSError) -> TryAgainError:
    return TryAgainError(f"{part.parent}: cannot keep pictures ({error.strerror or error}); free disk space there")


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)[:120]
