"""The configuration of ``spanhawk ground``: its file's tables, and what the command line says over them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.ground.pictures import default_folder
from edge.mqtt.paho import Options as MqttOptions
from edge.support import config
from edge.support.access import Guard
from edge.support.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundOptions:
    """The ``[ground]`` table."""

    store: str = "ground.db"
    """A file (SQLite), or ``postgresql://user@host/database``; a password belongs into ``~/.pgpass``."""
    http: str | None = None
    """``HOST:PORT`` of the live page and its services (docs/ground.md); None: there is none."""
    http_token_file: Path | None = None
    """Its first line (16 characters or more) is asked of everybody who connects: as the password of any user, or as a
    bearer token. Needed where other machines can connect."""
    http_cert_file: Path | None = None
    """Certificate (PEM, the chain below it): then the page speaks HTTPS only."""
    http_key_file: Path | None = None
    """Its private key (PEM, not encrypted); None: it stands in ``http_cert_file``."""
    allow_plaintext: bool = False
    """Other machines may connect without TLS: whoever can listen on that network reads the token and all the rest."""
    pictures: Path | None = None
    """Folder of the cracks' pictures; None: beside an SQLite store, ``ground-pictures`` of ``ground.db``; with
    PostgreSQL, none."""
    tiles: Path | None = None
    """A folder of map tiles, ``Z/X/Y.png`` in web Mercator, laid under the cracks; None: the map has no background."""
    bands: str | None = None
    """Width bands for the colours: a table that ships or a TOML file, as ``spanhawk report --bands``; None: EN 1992."""
    share: str | None = None
    """Collectors with this name in common share the fleet among them, and must share their store too (MQTT 5); None: a
    name of the store's own."""
    session_expiry_s: int = 86400
    """The broker keeps what arrives for so long while the collector is away, seconds."""
    batch: int = 1000
    """Messages written in one transaction, at most."""
    resend_after_s: float = 10.0
    """A gap in a flight's numbers that stays for so long is asked for, seconds."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.http is not None:
            self.guard.check(self.http)
        if self.share is not None and (not self.share or any(one in self.share for one in "/+#")):
            raise ConfigError(f"ground.share: got {self.share!r}, needs a name without / + #")
        if not 1 <= self.batch <= 10_000:
            raise ConfigError(f"ground.batch: got {self.batch}, needs 1 to 10000")
        if not 0 <= self.session_expiry_s <= 0xFFFFFFFE:
            raise ConfigError(f"ground.session_expiry_s: got {self.session_expiry_s}, needs 0 to {0xFFFFFFFE}")
        if not 1 <= self.resend_after_s <= 3600:
            raise ConfigError(f"ground.resend_after_s: got {self.resend_after_s}, needs 1 to 3600")

    @property
    def guard(self) -> Guard:
        """How the page is guarded."""
        return Guard(
            "ground.http", "http_", self.http_token_file, self.http_cert_file, self.http_key_file, self.allow_plaintext
        )

    @property
    def picture_folder(self) -> Path | None:
        """Where pictures are kept; None: nowhere."""
        return default_folder(self.store) if self.pictures is None else self.pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Drone:
    """A table ``[pictures.drones.VEHICLE]``: where the pictures of one drone are fetched."""

    url: str
    """As ``https://drone1.local:8765``: what the drone's own ``[pictures] listen`` says."""
    token_file: Path | None = None
    """Its first line is the drone's token."""
    ca_file: Path | None = None
    """Whose certificates are trusted (PEM), which may be the drone's own; None: the system's authorities."""
    allow_plaintext: bool = False
    """``http://`` to another machine: whoever can listen on that network reads the token and the pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOptions:
    """The ``[pictures]`` table: pictures of the cracks' best views, fetched from the drones."""

    drones: Mapping[str, Drone] = field(default_factory=dict)
    """By vehicle; those that are not named are not asked."""
    rate_kb_s: int = 1000
    """So much is fetched at most, from all drones together, kilobytes a second."""
    min_free_mb: int = 500
    """With less room on the disk nothing is fetched, megabytes."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 1 <= self.rate_kb_s <= 10_000_000:
            raise ConfigError(f"pictures.rate_kb_s: got {self.rate_kb_s}, needs 1 to 10000000")
        if self.min_free_mb < 0:
            raise ConfigError(f"pictures.min_free_mb: got {self.min_free_mb}, needs 0 or more")


@dataclass(frozen=True, slots=True)
class GroundSettings:
    """All of it."""

    ground: GroundOptions
    pictures: PictureOptions
    mqtt: MqttOptions


_TABLES = ("ground", "pictures", "mqtt")


def read(
    path: Path | None,
    *,
    broker: str | None = None,
    store: str | None = None,
    http: str | None = None,
    serves: bool = True,
) -> GroundSettings:
    """The file's tables; what is not None replaces what it says. Raises ConfigError.

    ``serves``: for the station itself. Whoever else reads its file does not know what its command line adds, so keys
    that would do nothing are no fault then.
    """
    table: Mapping[str, Any] = {} if path is None else config.load(path)
    try:
        for key in table:
            if key not in _TABLES:
                raise config.unknown_key(key, key, list(_TABLES))
        ground = config.build(GroundOptions, _table(table, "ground"), "ground")
        ground = dataclasses.replace(
            ground, store=ground.store if store is None else store, http=ground.http if http is None else http
        )
        pictures = config.build(PictureOptions, _table(table, "pictures"), "pictures")
        if pictures.drones and ground.picture_folder is None:
            raise ConfigError("pictures.drones: there is no folder for pictures; name one with [ground] pictures")
        given = dict(_table(table, "mqtt"))
        if broker is not None:
            given["url"] = broker
        mqtt = config.build(MqttOptions, given, "mqtt")
        if serves:
            _refuse_idle(ground, pictures, table, mqtt)
    except ConfigError as error:
        raise type(error)(f"{path or 'the command line'}: {error}") from error
    return GroundSettings(ground, pictures, mqtt)


def _refuse_idle(ground: GroundOptions, pictures: PictureOptions, table: Mapping[str, Any], mqtt: MqttOptions) -> None:
    """Refuse what is given and would do nothing: whoever gave it believes that it works."""
    for name in ("http_token_file", "http_cert_file", "http_key_file", "allow_plaintext", "tiles", "bands"):
        if ground.http is None and getattr(ground, name):
            raise ConfigError(f"ground.{name} does nothing without ground.http; give HOST:PORT, or leave it out")
    if ground.share is not None and mqtt.protocol != "5":
        raise ConfigError(f"ground.share needs MQTT 5, and mqtt.protocol is {mqtt.protocol!r}; leave one of them out")
    for name in ("window", "max_payload_bytes"):
        if name in _table(table, "mqtt"):
            raise ConfigError(f"mqtt.{name} is the drone's; a ground reads what it is sent: leave it out")
    for name in _table(table, "pictures"):
        if not pictures.drones and name != "drones":
            raise ConfigError(f"pictures.{name} does nothing without a drone; add a table [pictures.drones.VEHICLE]")


def _table(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = table.get(name, {})
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name}: got {value!r}, needs a table, as [{name}]")
    return value
