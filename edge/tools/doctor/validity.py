"""From when to when a certificate is valid, read from its DER (RFC 5280, 4.1): no library on board does it."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge.mqtt.address import parse_url
from edge.support.clock import UTC
from edge.support.errors import ConfigError

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_DIAL_S = 5.0
_SEQUENCE, _VERSION, _UTC_TIME = 0x30, 0xA0, 0x17
_BEFORE_VALIDITY = 3  # serial number, signature algorithm, issuer


@dataclass(frozen=True, slots=True)
class Validity:
    """Both ends, UTC."""

    begins: datetime
    ends: datetime


def of_file(key: str, path: Path) -> list[Validity]:
    """Of every certificate in a PEM file. Raises ConfigError when it cannot be read or holds none."""
    try:
        blocks = _PEM.findall(path.read_text(encoding="ascii", errors="replace"))
    except OSError as error:
        raise ConfigError(f"mqtt.{key}: cannot read {path} ({error.strerror}); check name and owner") from error
    try:
        found = [of_der(ssl.PEM_cert_to_DER_cert(block)) for block in blocks]
    except (ValueError, IndexError) as error:
        raise ConfigError(f"mqtt.{key}: {path} holds a damaged certificate ({error}); copy it again") from error
    if not found:
        raise ConfigError(f"mqtt.{key}: {path} holds no certificate in PEM form; name the right file")
    return found


def of_broker(url: str) -> Validity | None:
    """Of the certificate the broker shows; None when it shows none now (why, the check of the broker says)."""
    address = parse_url(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Nothing is sent and nothing believed here: an expired certificate is what is looked for.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address.host, address.port), timeout=_DIAL_S) as plain,
            context.wrap_socket(plain, server_hostname=address.host) as encrypted,
        ):
            der = encrypted.getpeercert(binary_form=True)
    except OSError:
        return None
    return None if der is None else of_der(der)


def of_der(der: bytes) -> Validity:
    """Raises ValueError or IndexError for bytes that are no certificate."""
    certificate = next(_elements(der))[1]
    fields = [field for field in _elements(next(_elements(certificate))[1]) if field[0] != _VERSION]
    begins, ends = _elements(fields[_BEFORE_VALIDITY][1])
    return Validity(_time(*begins), _time(*ends))


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of the elements that lie one after the other in ``data``."""
    at = 0
    while at < len(data):
        tag, size, at = data[at], data[at + 1], at + 2
        if size & 0x80:  # the length is in the next so many bytes
            count = size & 0x7F
            size, at = int.from_bytes(data[at : at + count], "big"), at + count
        if at + size > len(data):
            raise ValueError("cut short")
        yield tag, data[at : at + size]
        at += size


def _time(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag == _UTC_TIME:  # two digits of the year, 50 and above in the last century (RFC 5280, 4.1.2.5.1)
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
