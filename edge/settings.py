"""The configuration file as one object: every table checked before any device is touched."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from edge.areas.outline import AreaOptions
from edge.cracks.plausible import ReportOptions
from edge.cracks.trace import TraceOptions
from edge.gallery import Options as PictureOptions
from edge.measurers import Measures
from edge.mqtt.topics import check_vehicle
from edge.support import backends, config
from edge.support.address import masked
from edge.support.errors import ConfigError
from edge.surface import lens
from edge.surface.local import PlaceOptions
from edge.surface.scale import ScaleOptions
from edge.surface.structure import StructureOptions

# Every board at work is warmer: below this the status would always be degraded.
_COOLEST_DEG_C = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FlightOptions:
    """The ``[flight]`` table: how the daemon behaves as a whole."""

    start_flying: bool = True
    """True: detect from the start; False: wait for the ``start`` command."""
    snapshot_dir: Path = Path("/var/lib/spanhawk/snapshots")
    """Where the ``snapshot`` command puts its pictures."""
    evidence_dir: Path | None = None
    """Where the frame of each detection is kept as JPEG with EXIF GPS; None: no evidence is kept."""
    folder_dir: Path | None = None
    """Where each flight leaves its folder, named after its flight_id; None: it leaves none. Pictures of the best view
    of each crack go there too, unless ``evidence_dir`` keeps those of all detections elsewhere."""
    keep_newest_flights: int | None = None
    """``spanhawk outbox prune`` may delete whole flights on a disk that fills up, the oldest first, but never so many
    newest ones, none with letters on their way and none that was altered; None: it deletes no flight."""
    sign_key: Path | None = None
    """A minisign secret key without a password, which signs each flight's manifest; None: nobody signs."""
    min_free_mb: int = 200
    """Free disk below which the status becomes degraded and no more evidence is kept, megabytes."""
    max_temperature_deg_c: float = 80.0
    """Processor temperature above which the status becomes degraded (a Raspberry Pi throttles at 80 to 85)."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.min_free_mb < 0:
            raise ValueError(f"min_free_mb must be 0 or more, got {self.min_free_mb}")
        if self.keep_newest_flights is not None and self.keep_newest_flights < 1:
            raise ValueError(f"keep_newest_flights must be 1 or more, got {self.keep_newest_flights}")
        for name in ("sign_key", "keep_newest_flights"):
            if getattr(self, name) is not None and self.folder_dir is None:
                raise ValueError(
                    f"{name} does nothing without folder_dir; name the folder that flights leave theirs in"
                )
        if self.max_temperature_deg_c < _COOLEST_DEG_C:
            raise ValueError(
                f"max_temperature_deg_c must be {_COOLEST_DEG_C:.0f} or more, got {self.max_temperature_deg_c}"
            )


@dataclass(frozen=True, slots=True)
class Backend:
    """One configured backend: its module and its filled ``Options``."""

    module: ModuleType
    options: Any

    @property
    def name(self) -> str:
        """As in the configuration: the module's own name in its room, the dotted one of a module from elsewhere."""
        package, _, name = self.module.__name__.rpartition(".")
        return name if package in {room.package for room in ROOMS.values()} else self.module.__name__


@dataclass(frozen=True, slots=True)
class _Room:
    package: str
    opener: str
    default: str


# Table name -> where its backends live, what opens them, and which is meant when none is named.
ROOMS: Mapping[str, _Room] = {
    "camera": _Room("edge.frames", "open_camera", "picamera"),
    "masks": _Room("edge.masks", "open_segmenter", "litert"),
    "navigation": _Room("edge.navigation", "open_navigator", "mavlink"),
    "outbox": _Room("edge.outbox", "open_outbox", "sqlite"),
    "mqtt": _Room("edge.mqtt", "open_publisher", "paho"),
}


_MEASURES: Mapping[str, tuple[str, type[Any]]] = {
    "cracks": ("trace", TraceOptions),
    "areas": ("areas", AreaOptions),
    "report": ("report", ReportOptions),
    "scale": ("scale", ScaleOptions),
    "place": ("place", PlaceOptions),
    "structure": ("structure", StructureOptions),
}
"""Table name -> its part of ``Measures``."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration."""

    vehicle: str
    flight: FlightOptions
    pictures: PictureOptions
    measures: Measures
    camera: Backend
    masks: Backend
    navigation: Backend
    outbox: Backend
    mqtt: Backend
    origin: str = field(default="defaults")
    """Where it was read, for messages."""

    @property
    def confirm(self) -> str:
        """Whose word ends a letter, broker or ground; a third party's outbox that says nothing trusts the broker."""
        return str(getattr(self.outbox.options, "confirm", "broker"))


def read(path: Path, advice: str = "pass --config FILE") -> Settings:
    """Read and check a configuration file. Raises ConfigError naming the file and the key.

    ``advice`` is what to do where the file is not there.
    """
    return from_table(config.load(path, advice=advice), str(path))


def from_table(table: Mapping[str, Any], origin: str) -> Settings:
    """Check a whole configuration. Raises ConfigError naming ``origin`` and the key."""
    try:
        return _checked(table, origin)
    except ConfigError as error:
        raise type(error)(f"{origin}: {error}") from error


def _checked(table: Mapping[str, Any], origin: str) -> Settings:
    known = ["vehicle", "flight", "pictures", *_MEASURES, *ROOMS]
    for key in table:
        if key not in known:
            raise config.unknown_key(key, key, known)
    opened = {name: _backend(name, _table(table, name)) for name in ROOMS}
    flight = config.build(FlightOptions, _table(table, "flight"), "flight")
    pictures = config.build(PictureOptions, _table(table, "pictures"), "pictures")
    if pictures.listen is not None and flight.folder_dir is None and flight.evidence_dir is None:
        raise ConfigError("pictures.listen: no picture is kept that could be served; set [flight] folder_dir")
    return Settings(
        vehicle=_vehicle(table),
        flight=flight,
        pictures=pictures,
        measures=measures(table),
        origin=origin,
        **opened,
    )


def measures(table: Mapping[str, Any]) -> Measures:
    """The tables that say how damage is measured. Raises ConfigError naming the key."""
    parts = {part: config.build(kind, _table(table, name), name) for name, (part, kind) in _MEASURES.items()}
    scale: ScaleOptions = parts["scale"]
    if scale.lens is not None:
        lens.load(scale.lens)  # a card that is missing or wrong is refused before any device is touched
    return Measures(**parts)


def _vehicle(table: Mapping[str, Any]) -> str:
    name = table.get("vehicle", "drone")
    if not isinstance(name, str):
        raise ConfigError(f'vehicle: got {name!r}, needs a name as text, as vehicle = "drone1"')
    check_vehicle(name)
    return name


def _table(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = table.get(name, {})
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name}: got {value!r}, needs a table, as [{name}]")
    return value


def _backend(name: str, table: Mapping[str, Any]) -> Backend:
    room = ROOMS[name]
    return Backend(*backends.options(room.package, room.opener, table, name, room.default))


def effective(settings: Settings) -> str:
    """The configuration in force as TOML, defaults included; unset values stand as comments, secrets never."""
    lines = [f"# {settings.origin}", f"vehicle = {_toml(settings.vehicle)}"]
    lines += ["", "[flight]", *_lines(settings.flight)]
    lines += ["", "[pictures]", *_lines(settings.pictures)]
    for name, (part, _) in _MEASURES.items():
        lines += ["", f"[{name}]", *_lines(getattr(settings.measures, part))]
    for name in ROOMS:
        backend: Backend = getattr(settings, name)
        lines += ["", f"[{name}]", f"backend = {_toml(backend.name)}", *_lines(backend.options)]
    return "\n".join(lines) + "\n"


def _lines(options: Any) -> list[str]:
    lines = []
    for one in dataclasses.fields(options):
        value = getattr(options, one.name)
        lines.append(f"# {one.name} is not set" if value is None else f"{one.name} = {_toml(value)}")
    return lines


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if dataclasses.is_dataclass(value):
        inner = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in inner.items() if each is not None) + " }"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    text = re.sub(r'(["\\])', r"\\\1", masked(str(value)))
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\u{ord(found[0]):04x}", text) + '"'
