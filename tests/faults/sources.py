"""What is read from outside: its reader as the product calls it, and something sound to damage."""

from __future__ import annotations

import io
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2

from edge import settings
from edge.frames.decode import UnreadableImageError
from edge.frames.exif import read_exif
from edge.frames.stills import read_rgb
from edge.masks.card import read_card
from edge.mqtt.paho import Options as MqttOptions
from edge.mqtt.paho import open_publisher
from edge.navigation import recorded
from edge.navigation.framing import Splitter
from edge.navigation.history import History
from edge.navigation.mavlink import decoder
from edge.navigation.timebase import UtcTrack
from edge.navigation.tpv import Lines, Reports
from edge.navigation.vehicle import Mount, Vehicle
from edge.support.clock import SystemClock
from edge.support.errors import SpanhawkError
from tests.navigation.gpsd_lines import line, tpv
from tests.navigation.material import flight, gga, rmc, tlog
from tests.pictures import concrete

_MASKS = Path(__file__).parents[1] / "masks" / "fixtures"


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of bytes from outside."""

    read: Callable[[bytes], object]
    """Reads them; may raise one of ``refusals``."""
    seeds: Sequence[bytes]
    count: Callable[[], str] | None = None
    """What came of it, for the table."""
    refusals: tuple[type[Exception], ...] = (SpanhawkError,)
    close: Callable[[], object] = lambda: None
    """Ends what ``read`` needs."""


def mavlink(folder: Path) -> Source:
    """A serial line: the stream is never reset, so nothing that was heard may harm what follows."""
    splitter = Splitter(decoder())
    history, utc = History(), UtcTrack()
    vehicle = Vehicle(history, utc, Mount())
    heard = [0]

    def read(data: bytes) -> None:
        for message in splitter.feed(data):
            heard[0] += 1
            vehicle.hear(message, heard[0] * 10_000_000)

    return Source(read, [b"".join(frame for _, frame in flight(1.0))], lambda: f"{heard[0]} messages understood")


def gpsd(folder: Path) -> Source:
    """A socket to gpsd."""
    history, lines = History(), Lines()
    reports = Reports(history, UtcTrack(), device=None, latency_ns=0)
    at_ns = [0]

    def read(data: bytes) -> None:
        for said in lines.feed(data):
            at_ns[0] += 100_000_000
            reports.hear(said, at_ns[0])
            reports.warnings(at_ns[0])

    seeds = [b"".join(line(tpv(lat=48 + n * 1e-5)) for n in range(3)), line({"class": "DEVICES", "devices": [{}]})]
    return Source(read, seeds, lambda: f"{history.fix_count} fixes kept")


def log(folder: Path, name: str, seed: bytes) -> Source:
    """A recorded log, read as a replay does."""
    path = folder / name

    def read(data: bytes) -> None:
        path.write_bytes(data)
        with recorded.open_navigator(recorded.Options(path=path), SystemClock()) as navigator:
            navigator.at(500_000_000)
            navigator.health()

    return Source(read, [seed])


def picture(folder: Path) -> Source:
    """A JPEG, decoded whole."""
    path = folder / "p.jpg"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        read_rgb(path)

    return Source(read, [cv2.imencode(".jpg", concrete(48, 64))[1].tobytes()], refusals=(UnreadableImageError,))


def exif(folder: Path) -> Source:
    """The EXIF of a JPEG, little-endian, with times, an exposure and a position's directory."""
    text = b"2026:05:28 12:00:00\0"
    entries = [(0x112, 3, 1, 1), (0x132, 2, 20, 80), (0x8769, 4, 1, 50), (0x8825, 4, 1, 50)]
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    inner = struct.pack("<HHHIIHHII", 2, 0x9003, 2, 20, 80, 0x829A, 5, 1, 100)
    body = b"Exif\0\0II*\0" + struct.pack("<I", 8) + table
    body = (body.ljust(6 + 50, b"\0") + inner).ljust(6 + 80, b"\0") + text + struct.pack("<II", 1, 500)
    jpeg = b"\xff\xd8\xff\xe1" + struct.pack(">H", len(body) + 2) + body + b"\xff\xd9"
    return Source(lambda data: read_exif(io.BytesIO(data)), [jpeg])


def toml(folder: Path) -> Source:
    """A configuration."""
    seed = b'vehicle = "drone1"\n[camera]\nbackend = "folder"\npath = "x"\nfps = 10.0\n[masks]\nbackend = "dark"\n'
    seed += b'[navigation]\nbackend = "fixed"\nlat_deg = 51.0\nlon_deg = 3.7\n[mqtt]\nurl = "mqtt://127.0.0.1:1883"\n'
    path = folder / "spanhawk.toml"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        settings.read(path)

    return Source(read, [seed])


def card(folder: Path) -> Source:
    """A model's card."""
    seed = next(_MASKS.rglob("card.json")).read_bytes()
    bundle = folder / "bundle"
    bundle.mkdir()

    def read(data: bytes) -> None:
        (bundle / "card.json").write_bytes(data)
        read_card(bundle)

    return Source(read, [seed, json.dumps(json.loads(seed), separators=(",", ":")).encode()])


class HostileBroker:
    """Accepts a connection, answers its CONNECT with what it was told to say, and closes it."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self.port = self._listener.getsockname()[1]

    def close(self) -> None:
        """Accept no more."""
        self._listener.close()

    def say(self, data: bytes) -> None:
        """One connection."""
        line, _ = self._listener.accept()
        with line:
            line.settimeout(5)
            try:
                line.recv(4096)
                line.sendall(data)
                line.shutdown(socket.SHUT_WR)
                while line.recv(4096):
                    continue
            except OSError:  # it closed first, as it should
                return


class Impatient(SystemClock):
    """The machine's clock, without the pauses between connections."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(min(timeout_s, 0.001))


def mqtt(folder: Path) -> Source:
    """Packets from a hostile broker: the publisher must dial again after each."""
    broker, requests, opened = HostileBroker(), [0], ExitStack()
    opened.callback(broker.close)
    publisher = opened.enter_context(
        open_publisher(MqttOptions(url=f"mqtt://127.0.0.1:{broker.port}"), Impatient(), vehicle="drone", last_will=b"")
    )
    connack = b"\x20\x03\x00\x00\x00"
    publish = b"\x32\x2c\x00\x17spanhawk/drone/commands\x00\x01\x00" + b'{"command":"ping"}'
    seeds = [
        connack + publish,
        connack + b"\x40\x02\x00\x01" + publish + b"\xe0\x00",
        connack + b"\x90\x04\x00\x01\x00\x01",
    ]

    def read(data: bytes) -> None:
        broker.say(data)  # the next accept proves that the publisher lives
        requests[0] += len(publisher.requests())

    return Source(read, seeds, lambda: f"{requests[0]} commands handed on to the parser", close=opened.close)


_NMEA = "".join(gga(f"1015{n:02d}") + rmc(f"1015{n:02d}") for n in range(6)).encode()
_CSV = b"t_s,lat_deg,lon_deg,alt_amsl_m\n0,48,11,500\n1,48.00001,11,500\n"

SOURCES: Mapping[str, Callable[[Path], Source]] = {
    "mavlink": mavlink,
    "tlog": lambda folder: log(folder, "f.tlog", tlog(flight(1.0))),
    "nmea": lambda folder: log(folder, "f.nmea", _NMEA),
    "csv": lambda folder: log(folder, "f.csv", _CSV),
    "gpsd": gpsd,
    "exif": exif,
    "jpeg": picture,
    "toml": toml,
    "card": card,
    "mqtt": mqtt,
}
