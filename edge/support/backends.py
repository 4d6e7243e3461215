"""A backend's name in the configuration is its module's name: no table to edit when one is added.

``[camera] backend = "folder"`` finds ``edge.frames.folder``; a dotted name finds a third party's module.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from edge.support import config
from edge.support.clock import Clock
from edge.support.errors import ConfigError


def names(room: str, opener: str) -> list[str]:
    """The backends of a room ("edge.frames") that have the function ``opener``, sorted; imports each of them."""
    package = importlib.import_module(room)
    modules = (importlib.import_module(f"{room}.{found.name}") for found in pkgutil.iter_modules(package.__path__))
    return sorted(module.__name__.rpartition(".")[2] for module in modules if hasattr(module, opener))


def find(room: str, name: str, opener: str, where: str) -> ModuleType:
    """The backend module ``name``; raises ConfigError with the known names (``where`` is its key, "camera.backend")."""
    path = name if "." in name else f"{room}.{name}"
    if not name or importlib.util.find_spec(path.partition(".")[0]) is None or not _exists(path):
        if "." in name:
            raise ConfigError(
                f"{where}: Python finds no module {name!r}; install it beside spanhawk, or set PYTHONPATH to its folder"
            )
        raise ConfigError(f"{where}: no backend {name!r}; known: {', '.join(names(room, opener))}")
    module = importlib.import_module(path)
    if not hasattr(module, opener) or not hasattr(module, "Options"):
        raise ConfigError(f"{where}: {path} is not a backend; known: {', '.join(names(room, opener))}")
    return module


def options(room: str, opener: str, table: Mapping[str, Any], where: str, default: str) -> tuple[ModuleType, Any]:
    """The backend a table names (``backend`` key, else ``default``) and its filled ``Options``. Raises ConfigError."""
    name = table.get("backend", default)
    if not isinstance(name, str):
        raise ConfigError(f"{where}.backend: got {name!r}, needs a backend's name as text")
    module = find(room, name, opener, f"{where}.backend")
    rest = {key: value for key, value in table.items() if key != "backend"}
    return module, config.build(module.Options, rest, where)


def open_backend(
    room: str, opener: str, table: Mapping[str, Any], clock: Clock, *, where: str, default: str, **extra: Any
) -> Any:
    """Open the backend a table names; what it returns follows the room's protocol."""
    module, filled = options(room, opener, table, where, default)
    return getattr(module, opener)(filled, clock, **extra)


def _exists(path: str) -> bool:
    try:
        return importlib.util.find_spec(path) is not None
    except (ImportError, ValueError):
        return False
