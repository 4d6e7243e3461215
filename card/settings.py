"""The one file a person edits: spanhawk's configuration, and a table ``[card]`` with what the board itself needs."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomlkit

from edge import settings
from edge.support import config
from edge.support.errors import ConfigError

_HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123, in the lower case that DNS shows
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")  # useradd(8)
_NOT_A_PERSON = ("root", "spanhawk")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_SSH_KEYS = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-")
_CREDENTIAL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MQTT_PASSWORD = "mqtt-password"


@dataclass(frozen=True, kw_only=True, slots=True)
class CardOptions:
    """The table ``[card]``."""

    hostname: str
    """The board's name in the network."""
    user: str
    """Who logs in; may use sudo."""
    ssh_keys: tuple[str, ...] = ()
    """Public keys of those who log in over SSH, each a whole line of a .pub file."""
    password: str | None = None
    """The user's password, which then also counts over SSH; None: keys alone."""
    wifi_ssid: str | None = None
    """The name of the Wi-Fi; None: no Wi-Fi. Ethernet with DHCP always works."""
    wifi_password: str | None = None
    """Its password, 8 to 63 bytes; None: an open network."""
    wifi_country: str | None = None
    """Two letters of ISO 3166, as BE: which radio channels are allowed; needed with ``wifi_ssid``."""
    uart: bool = False
    """Give the serial port on the pins to the autopilot: no login on it, and no Bluetooth (Pi 3 and 4)."""
    mqtt_password: str | None = None
    """The broker's password; ``[mqtt] password_file = "credential:mqtt-password"`` reads it."""
    credentials: Mapping[str, Path] = field(default_factory=dict)
    """Other secret files by their name in ``credential:NAME``, beside the TOML or with a whole path."""
    packages: tuple[Path, ...] = ()
    """Further .deb files that the image lacks and spanhawk needs, beside the TOML or with a whole path; installed with
    it."""

    def __post_init__(self) -> None:
        _need(_HOSTNAME.fullmatch(self.hostname), "hostname", self.hostname, "small letters, digits and inner hyphens")
        _need(_USER.fullmatch(self.user), "user", self.user, "small letters, digits, - and _, as a login name")
        _need(self.user not in _NOT_A_PERSON, "user", self.user, "a user other than root and the service's own")
        for key in self.ssh_keys:
            _need(_is_ssh_key(key), "ssh_keys", key[:40], "a whole line of a .pub file, as ssh-ed25519 AAAA… name")
        if not self.ssh_keys and not self.password:
            raise ConfigError("card: neither ssh_keys nor password is given; nobody could log in, so give one")
        for name in ("password", "wifi_ssid", "wifi_password", "mqtt_password"):
            text = getattr(self, name)
            if text is not None and (not text or _CONTROL.search(text)):
                raise ConfigError(f"card.{name}: is empty or has a control character; give a text of one line")
        self._check_wifi()
        for name in self.credentials:
            _need(_CREDENTIAL_NAME.fullmatch(name), "credentials", name, "a file name of letters, digits, . - and _")
        if self.mqtt_password is not None and _MQTT_PASSWORD in self.credentials:
            raise ConfigError("card: mqtt_password and credentials.mqtt-password are the same secret; give one of them")

    def _check_wifi(self) -> None:
        if self.wifi_ssid is None:
            if self.wifi_password is not None or self.wifi_country is not None:
                raise ConfigError("card.wifi_ssid: missing, but wifi_password or wifi_country is given; name the Wi-Fi")
            return
        if len(self.wifi_ssid.encode()) > 32:
            raise ConfigError(
                f"card.wifi_ssid: has {len(self.wifi_ssid.encode())} bytes; a Wi-Fi's name has at most 32"
            )
        if self.wifi_password is not None and not 8 <= len(self.wifi_password.encode()) <= 63:
            raise ConfigError(
                f"card.wifi_password: has {len(self.wifi_password.encode())} bytes in UTF-8; WPA takes 8 to 63"
            )
        if self.wifi_country is None:
            raise ConfigError("card.wifi_country: missing; Wi-Fi stays off without it, so give two letters, as BE")
        _need(re.fullmatch("[A-Z]{2}", self.wifi_country), "wifi_country", self.wifi_country, "two capital letters")


@dataclass(frozen=True, slots=True)
class CardFile:
    """A checked ``card.toml``."""

    options: CardOptions
    vehicle: str
    """The vehicle's name."""
    configuration: str
    """spanhawk's own configuration as TOML, comments kept: the file without ``[card]``."""
    secrets: Mapping[str, bytes]
    """What goes to /etc/spanhawk/credentials, by file name."""


def read(path: Path) -> CardFile:
    """Read and check ``card.toml``; raises ConfigError that names the key."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); CONFIG= names a UTF-8 file") from error
    table = config.loads(text, str(path))
    if not isinstance(table.get("card"), dict):
        raise ConfigError(f"{path}: has no table [card]; begin with card/card.toml.example")
    options = config.build(CardOptions, table.pop("card"), "card")
    options = replace(options, packages=tuple(path.parent / package for package in options.packages))
    if "vehicle" not in table:
        raise ConfigError(f"{path}: vehicle: missing; it is the name in the topics, as spanhawk/drone1/detections")
    checked = settings.from_table(table, str(path))
    secrets = _secrets(options, path.parent)
    for key, name in _credentials_named(table):
        if name not in secrets:
            raise ConfigError(
                f"{path}: {key} names credential:{name}, which [card] does not give; add it to [card.credentials]"
            )
    document = tomlkit.parse(text)
    del document["card"]
    return CardFile(options, checked.vehicle, tomlkit.dumps(document).lstrip("\n"), secrets)


def _secrets(options: CardOptions, folder: Path) -> dict[str, bytes]:
    secrets = {} if options.mqtt_password is None else {_MQTT_PASSWORD: f"{options.mqtt_password}\n".encode()}
    for name, path in options.credentials.items():
        try:
            secrets[name] = (folder / path).read_bytes()
        except OSError as error:
            raise ConfigError(f"card.credentials.{name}: cannot read {folder / path} ({error.strerror})") from error
    return secrets


def _credentials_named(table: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, str]]:
    """(key, name) of each ``credential:NAME`` in the configuration."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _credentials_named(value, f"{where}{key}.")
        elif isinstance(value, str) and value.startswith("credential:"):
            yield f"{where}{key}", value.removeprefix("credential:")


def _is_ssh_key(line: str) -> bool:
    kind, _, rest = line.partition(" ")
    if not kind.startswith(_SSH_KEYS) or _CONTROL.search(line):
        return False
    try:
        blob = base64.b64decode(rest.split(" ")[0], validate=True)
    except binascii.Error:
        return False
    return blob[4 : 4 + len(kind)] == kind.encode()  # RFC 4253: the blob begins with its own kind


def _need(good: object, name: str, got: str, wanted: str) -> None:
    if not good:
        raise ConfigError(f"card.{name}: got {got!r}, needs {wanted}")
