"""Where the broker is: the URL of the configuration, checked."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from edge.support.address import masked
from edge.support.errors import ConfigError

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Address:
    """A broker."""

    host: str
    port: int
    encrypted: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.encrypted else 'mqtt'}://{host}:{self.port}"


def parse_url(url: str) -> Address:
    """``mqtt://host[:1883]`` or, encrypted, ``mqtts://host[:8883]``. Raises ConfigError that shows no password."""
    if "@" in url:
        raise ConfigError(
            "mqtt.url holds a user name: move it to mqtt.username, and the password to a mqtt.password_file"
        )
    shown = repr(masked(url))
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"mqtt.url: got {shown} ({error}); write it as mqtt://host:1883") from error
    if parts.scheme not in _PORTS:
        raise ConfigError(f"mqtt.url: got {shown}; write it as mqtt://host:1883 or, encrypted, mqtts://host:8883")
    if not host or any(c.isspace() for c in url):
        raise ConfigError(f"mqtt.url: got {shown}, which names no host; write it as mqtt://host:1883")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigError(f"mqtt.url: got {shown}; nothing may follow the port, as in mqtt://{host}:1883")
    if port == 0:
        raise ConfigError(f"mqtt.url: got {shown}; port 0 cannot be connected to")
    return Address(host, port or _PORTS[parts.scheme], parts.scheme == "mqtts")
