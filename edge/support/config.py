"""A TOML table becomes a frozen dataclass; an unknown key or a wrong type is refused by name.

Knows no room: every backend module owns its ``Options`` and this module fills it.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import sys
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from edge.support.errors import ConfigError

T = TypeVar("T")

# A path written so names a secret that systemd hands to the service (LoadCredential= in systemd.exec(5)).
_CREDENTIAL = "credential:"
# Where it takes them from; root, outside the service, reads the same ones there.
_CREDENTIALS_SOURCE = Path("/etc/spanhawk/credentials")
# A folder of credentials is handed over as NAME_FILE.
_CREDENTIALS_NAME = "spanhawk"


def load(path: Path, what: str = "configuration", advice: str = "pass --config FILE") -> dict[str, Any]:
    """Read a TOML file; raises ConfigError naming the file, and the line where TOML stops making sense.

    ``what`` it is, and ``advice`` for where it is not there, go into messages.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # Notepad begins a UTF-8 file with a byte-order mark
    except OSError as error:
        then = "use sudo" if isinstance(error, PermissionError) else advice
        raise ConfigError(f"{path}: cannot read the {what} ({error.strerror}); {then}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: the {what} is not UTF-8 text (byte {error.start}); save it again, as UTF-8"
        ) from error
    return loads(text, str(path))


def loads(text: str, name: str) -> dict[str, Any]:
    """Parse TOML text; ``name`` stands for its origin in error messages."""
    if typing.TYPE_CHECKING:
        import tomllib
    else:
        try:
            import tomllib
        except ModuleNotFoundError:  # Python 3.10 (JetPack 6)
            import tomli as tomllib
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not valid TOML: {error}") from error


def build(options: type[T], table: Mapping[str, Any], where: str) -> T:
    """Fill the dataclass ``options`` from ``table``; ``where`` is the table's name in messages, as "camera".

    Values may be bool, int, float (an int is accepted), str, Path (a string), tuples (an array), nested dataclasses
    (a table), mappings from names (a table), literal choices, and ``X | None`` of these. Raises ConfigError.
    """
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, options))}
    for key in table:
        if key not in fields:
            raise ConfigError(_unknown(f"{where}.{key}", key, list(fields)))
    hints = typing.get_type_hints(options)
    values = {key: _convert(value, hints[key], f"{where}.{key}") for key, value in table.items()}
    missing = [name for name, field in fields.items() if name not in values and _required(field)]
    if missing:
        raise ConfigError(f"{where}.{missing[0]}: missing; it has no default, so give it a value")
    try:
        return options(**values)
    except ConfigError:
        raise
    except ValueError as error:  # an Options that checks itself in __post_init__
        raise ConfigError(f"{where}: {error}") from error


def _unknown(name: str, key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{name}: unknown key; {hint}known: {', '.join(sorted(known)) or 'none'}"


def unknown_key(name: str, key: str, known: list[str]) -> ConfigError:
    """The error for an unknown key (or table), with the nearest known name."""
    return ConfigError(_unknown(name, key, known))


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        inner = [arm for arm in typing.get_args(hint) if arm is not type(None)]
        return _convert(value, inner[0], where) if len(inner) == 1 else _first_fit(value, inner, where)
    if origin is typing.Literal:
        return _choice(value, typing.get_args(hint), where)
    if origin is tuple:
        return _array(value, typing.get_args(hint), where)
    if dataclasses.is_dataclass(hint) or origin is Mapping:
        if not isinstance(value, Mapping):
            raise _wrong(value, "a table", where)
        if origin is Mapping:
            arm = typing.get_args(hint)[1]
            return {key: _convert(item, arm, f"{where}.{key}") for key, item in value.items()}
        return build(typing.cast(type[Any], hint), value, where)
    return _scalar(value, hint, where)


def _first_fit(value: Any, arms: list[Any], where: str) -> Any:
    errors: list[ConfigError] = []
    for arm in arms:
        try:
            return _convert(value, arm, where)
        except ConfigError as error:
            errors.append(error)
    raise errors[0]


def _choice(value: Any, choices: tuple[Any, ...], where: str) -> Any:
    if value not in choices:
        raise ConfigError(f"{where}: got {value!r}; choose one of {', '.join(map(repr, choices))}")
    return value


def _array(value: Any, arms: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _wrong(value, "an array", where)
    if len(arms) == 2 and arms[1] is Ellipsis:
        return tuple(_convert(item, arms[0], f"{where}[{i}]") for i, item in enumerate(value))
    if len(value) != len(arms):
        raise ConfigError(f"{where}: got {len(value)} values, needs {len(arms)}")
    return tuple(_convert(item, arm, f"{where}[{i}]") for i, (item, arm) in enumerate(zip(value, arms, strict=True)))


_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
}


def _scalar(value: Any, hint: Any, where: str) -> Any:
    if hint is float and type(value) in (int, float):
        if not abs(value) <= sys.float_info.max:
            raise ConfigError(f"{where}: got {value}, needs a finite number")
        return float(value)
    if hint is Path and isinstance(value, str):
        if not value:
            raise ConfigError(f"{where}: got an empty text, needs a path; leave the key out for none")
        if value.startswith(_CREDENTIAL):
            return _credential(value.removeprefix(_CREDENTIAL), where)
        try:
            return Path(value).expanduser()
        except RuntimeError as error:
            raise ConfigError(f"{where}: {value}: {error}; write the path out") from error
    if hint in (bool, int, float, str) and type(value) is hint:
        return value
    raise _wrong(value, _WORDS.get(hint, str(hint)), where)


def _credential(name: str, where: str) -> Path:
    """The file of a secret: in the service what systemd handed over, else what it would hand over."""
    if not name or "/" in name:
        raise ConfigError(f"{where}: got {_CREDENTIAL + name!r}; name a file in {_CREDENTIALS_SOURCE} without its path")
    handed_over = os.environ.get("CREDENTIALS_DIRECTORY")
    if handed_over is None:
        return _CREDENTIALS_SOURCE / name
    one_by_one = Path(handed_over) / name
    return one_by_one if one_by_one.exists() else Path(handed_over) / f"{_CREDENTIALS_NAME}_{name}"


def _wrong(value: Any, wanted: str, where: str) -> ConfigError:
    return ConfigError(f"{where}: got {value!r} ({type(value).__name__}), needs {wanted}")
