"""The files that a configuration names, looked at before the drone is started: ``spanhawk config check``.

A configuration is often checked on another computer than the drone. So a file that is not there is only named; one
that is there and cannot be what it is meant to be is refused, in the words in which ``spanhawk run`` would.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge.settings import ROOMS, Settings
from edge.support.errors import ConfigError, SpanhawkError, TryAgainError

_MADE = frozenset({"outbox.path", "flight.snapshot_dir", "flight.evidence_dir", "flight.folder_dir"})
"""What the daemon makes itself."""


def check_files(settings: Settings) -> list[str]:
    """What the configuration names and this computer does not have, as ``camera.path /data/flight``.

    Raises ConfigError for what is there and is of no use.
    """
    named = {key: path for key, path, _ in _named(settings)}
    own = {key for key, _, is_default in _named(settings) if not is_default}
    for key, path in named.items():
        if key in _MADE and key != "outbox.path" and path.exists() and not path.is_dir():
            raise ConfigError(f"{settings.origin}: {key}: {path} is not a folder; name one, or a place for a new one")
    try:
        _check_secrets(settings.mqtt.options, named)
        _check_outbox(named.get("outbox.path"))
        _check_camera(named.get("camera.path"), settings.camera.name)
        _check_serial(named.get("navigation.device"))
        _check_bundle(named.get("masks.bundle"))
    except SpanhawkError as error:
        raise ConfigError(f"{settings.origin}: {error}") from error
    return [f"{key} {path}" for key, path in named.items() if key in own - _MADE and not path.exists()]


def _named(settings: Settings) -> Iterator[tuple[str, Path, bool]]:
    """Key, path, and whether it is what it is where nothing is said."""
    tables: Mapping[str, Any] = {name: getattr(settings, name).options for name in ROOMS} | {"flight": settings.flight}
    for name, options in tables.items():
        for one in dataclasses.fields(options):
            value = getattr(options, one.name)
            if isinstance(value, Path):
                yield f"{name}.{one.name}", value, value == one.default
    device = getattr(settings.navigation.options, "device", "")
    if isinstance(device, str) and device.startswith("/"):
        yield "navigation.device", Path(device), False


def _check_secrets(options: Any, named: Mapping[str, Path]) -> None:
    from edge.mqtt.tls import read_password, tls_context

    password = named.get("mqtt.password_file")
    if password is not None and password.exists():
        read_password(password)
    files = [named.get(f"mqtt.{key}") for key in ("ca_file", "cert_file", "key_file")]
    if any(files) and all(path is None or path.exists() for path in files):
        tls_context(options.ca_file, options.cert_file, options.key_file)


def _check_outbox(path: Path | None) -> None:
    from edge.outbox.reader import open_reader

    if path is None:
        return
    above = next(one for one in path.parents if one.exists())
    if not above.is_dir():
        raise ConfigError(f"outbox.path: {above} is not a folder, so {path} cannot be made; point it elsewhere")
    if path.is_dir():
        raise ConfigError(f"{path} is not a file; point outbox.path at a file in a folder")
    if not path.exists():
        return
    try:
        with open_reader(path):
            pass
    except TryAgainError as error:  # an outbox of ours that is damaged is set aside at the start; another file is not
        if not path.with_name(f"{path.name}.lock").exists():
            raise ConfigError(f"{error}; point outbox.path at a file of its own") from error


def _check_camera(path: Path | None, backend: str) -> None:
    from edge.frames.listing import list_pictures

    if path is not None and backend == "folder" and path.exists():
        list_pictures(path)


def _check_serial(path: Path | None) -> None:
    if path is not None and path.exists() and not path.is_char_device():
        raise ConfigError(f"navigation.device: {path} is no serial port; name one, as /dev/serial0 or /dev/ttyAMA0")


def _check_bundle(folder: Path | None) -> None:
    from edge.masks.bundle import load_bundle

    if folder is not None and folder.exists():
        load_bundle(folder)
