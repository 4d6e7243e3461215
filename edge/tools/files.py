"""The files that a configuration names, looked at before the drone is started: ``spanhawk config check``.

A configuration is often checked on another computer than the drone. So a file that is not there is only named; one
that is there and cannot be what it is meant to be is refused, in the words in which ``spanhawk run`` would.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
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
    try:
        absent = {key for key, path in named.items() if not _is_there(key, path)}
        for key, path in named.items():
            if key in _MADE and key != "outbox.path":
                check_folder(key, path)
        for keys, look in _secrets(settings):
            if not absent.intersection(keys):
                look()
        _check_outbox(named.get("outbox.path"))
        _check_camera(named.get("camera.path"), settings.camera.name)
        _check_serial(named.get("navigation.device"))
        _check_bundle(named.get("masks.bundle"))
    except SpanhawkError as error:
        raise ConfigError(f"{settings.origin}: {error}") from error
    return [f"{key} {path}" for key, path in named.items() if key in own - _MADE and key in absent]


def check_secrets(settings: Settings) -> list[str]:
    """Open every key, token, password and certificate as the daemon does at its start; returns their keys.

    Raises ConfigError for what is missing or of no use: there the daemon ends with 78.
    """
    opened = []
    for keys, look in _secrets(settings):
        look()
        opened += keys
    return opened


def check_folder(key: str, folder: Path) -> None:
    """Raises ConfigError where ``folder``, named ``key`` in the configuration, is no folder and cannot become one."""
    if _is_there(key, folder) and not folder.is_dir():
        raise ConfigError(f"{key}: {folder} is not a folder; name one, or a place for a new one")
    _check_place(key, folder)


def _check_place(key: str, path: Path) -> None:
    above = next((one for one in path.parents if _is_there(key, one)), path)  # "." and "/" have no parent
    if not above.is_dir():
        raise ConfigError(f"{key}: {above} is not a folder, so {path} cannot be made; point it elsewhere")


def _is_there(key: str, path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError as error:
        raise ConfigError(f"{key}: cannot look at {path} ({error.strerror}); use sudo") from error


def _named(settings: Settings) -> Iterator[tuple[str, Path, bool]]:
    """Key, path, and whether it is what it is where nothing is said."""
    tables: dict[str, Any] = {name: getattr(settings, name).options for name in ROOMS} | {"flight": settings.flight}
    if settings.pictures.listen is not None:  # else nothing of it is read
        tables["pictures"] = settings.pictures
    for name, options in tables.items():
        for one in dataclasses.fields(options):
            value = getattr(options, one.name)
            if isinstance(value, Path):
                yield f"{name}.{one.name}", value, value == one.default
    device = getattr(settings.navigation.options, "device", "")
    if isinstance(device, str) and device.startswith("/"):
        yield "navigation.device", Path(device), False


def _secrets(settings: Settings) -> Iterator[tuple[list[str], Callable[[], object]]]:
    """The keys of files that the daemon reads together at its start, and how it does."""
    from edge.mqtt.tls import read_password, tls_context
    from edge.support.minisig import Signer

    mqtt, pictures, sign_key = settings.mqtt.options, settings.pictures, settings.flight.sign_key
    password = getattr(mqtt, "password_file", None)
    if password is not None:
        yield ["mqtt.password_file"], lambda: read_password(password)
    files = {name: getattr(mqtt, name, None) for name in ("ca_file", "cert_file", "key_file")}
    if any(files.values()):
        yield _given("mqtt", files), lambda: tls_context(**files)
    if pictures.listen is not None:
        if pictures.token_file is not None:
            yield ["pictures.token_file"], pictures.guard.door
        files_served = {"cert_file": pictures.cert_file, "key_file": pictures.key_file}
        if pictures.cert_file is not None:
            yield _given("pictures", files_served), pictures.guard.context
    if sign_key is not None:
        yield ["flight.sign_key"], lambda: Signer(sign_key, "flight.sign_key")


def _given(table: str, files: Mapping[str, Path | None]) -> list[str]:
    return [f"{table}.{name}" for name, path in files.items() if path is not None]


def _check_outbox(path: Path | None) -> None:
    from edge.outbox.reader import DamagedError, open_reader

    if path is None:
        return
    _check_place("outbox.path", path)
    if path.is_dir():
        raise ConfigError(f"{path} is not a file; point outbox.path at a file in a folder")
    if not path.exists():
        return
    try:
        with open_reader(path):
            pass
    # An outbox of ours that is damaged is set aside at the start; another file is not.
    except (TryAgainError, DamagedError) as error:
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
