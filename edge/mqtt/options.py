"""The ``[mqtt]`` table: where the broker is, and how it is spoken to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.mqtt.address import parse_url
from edge.support.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The ``[mqtt]`` table."""

    url: str = "mqtt://localhost:1883"
    """The broker: ``mqtt://host:1883`` or, encrypted, ``mqtts://host:8883``. No user name or password in it."""
    username: str | None = None
    """User name; None: none is sent."""
    password_file: Path | None = None
    """File with the password on its first line, read once; None: none is sent."""
    ca_file: Path | None = None
    """PEM file of the authorities that may sign the broker's certificate; None: the system's."""
    cert_file: Path | None = None
    """PEM file of this vehicle's own certificate; None: it has none."""
    key_file: Path | None = None
    """PEM file of its key; None: it stands in ``cert_file``."""
    protocol: Literal["5", "3.1.1"] = "5"
    """MQTT version; 3.1.1 only for brokers without 5: it hides refusals."""
    client_id: str | None = None
    """Must be unique at the broker; None: ``spanhawk-`` and the vehicle's name."""
    keepalive_s: int = 10
    """A silent connection is given up after twice this, seconds."""
    window: int = 20
    """Letters on their way at one time; at 200 ms round trip 20 give about 80 a second."""
    max_payload_bytes: int = 256 << 10
    """Larger letters are refused here rather than at the broker, bytes."""

    def __post_init__(self) -> None:
        address = parse_url(self.url)
        if not address.encrypted and (self.ca_file or self.cert_file or self.key_file):
            raise ConfigError(
                f"mqtt.ca_file, cert_file and key_file need an encrypted url, as mqtts://{address.host}:8883"
            )
        if self.key_file is not None and self.cert_file is None:
            raise ConfigError("mqtt.key_file is given without mqtt.cert_file; give the certificate that it belongs to")
        if self.password_file is not None and self.username is None:
            raise ConfigError("mqtt.password_file is given without mqtt.username; give the name it belongs to")
        for name, low, high in (("keepalive_s", 1, 3600), ("window", 1, 1000), ("max_payload_bytes", 1024, 256 << 20)):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"mqtt.{name}: got {getattr(self, name)}, needs {low} to {high}")
