"""An ArduPilot or PX4 autopilot over MAVLink 1 or 2: position, attitude and range while flying.

The only module that knows pymavlink. It listens, and sends three things: its own HEARTBEAT once a second as
an onboard computer (so that routers and autopilots stream to it), requests for the rates of the messages it
needs, and TIMESYNC; with ``transmit`` also words and marks for the pilot. It never sends a flight command.

A link is believed: anyone who can write to the UDP port can pretend to be the autopilot. So the default listens
on the loopback only; open it to a radio or a shared network only behind a router that filters.
"""

from __future__ import annotations

import logging
import math
import threading
import warnings
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any

from edge.navigation import Navigator, NavState, framing
from edge.navigation.gimbal import Gimbal
from edge.navigation.history import History
from edge.navigation.link import Link, check_device, open_link
from edge.navigation.roster import NO_SENDER
from edge.navigation.timebase import UtcTrack
from edge.navigation.track import Limits
from edge.navigation.vehicle import Mount, Vehicle
from edge.navigation.words import Words
from edge.support.clock import EARLIEST_PLAUSIBLE_UTC, Clock
from edge.support.complaints import Complaints, Trouble
from edge.support.errors import DeviceError
from edge.support.retry import Backoff, Worker

log = logging.getLogger(__name__)

_POLL_S = 0.1
_BEAT_NS = 1_000_000_000
_ASK_AGAIN_NS = 10_000_000_000
_SILENT_NS = 5_000_000_000
# Its slowest message of all, the heartbeat, comes once a second: two of them late, and nothing else either.
_GONE_NS = 2_000_000_000
_FIRST_PAUSE_S, _CAP_S = 0.5, 10.0
_CLOSE_S = 5.0
_UNSETTLED_SYSTEM = 1  # our own system id until the vehicle's is known: then the same, as companions do


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How to reach the autopilot; checked at construction (ValueError)."""

    device: str = "udp:127.0.0.1:14550"
    """``udp:HOST:PORT`` listens, ``udpout:HOST:PORT`` and ``tcp:HOST:PORT`` connect, ``/dev/...`` is a serial port."""
    baud: int = 921600
    """Bits per second of a serial port, as the autopilot's port is set."""
    system_id: int | None = None
    """MAVLink system id of the vehicle, 0 to 255; None: the first vehicle (see ``roster``) that sends a heartbeat."""
    component_id: int = 1
    """MAVLink component id of the autopilot; messages of any other component are ignored."""
    rate_hz: float = 20.0
    """How often attitude, position and range are asked for, per second."""
    transmit: bool = False
    """True: findings are reported to the pilot (STATUSTEXT, CAMERA_IMAGE_CAPTURED), as a camera of the vehicle."""
    finest_mm: float = 0.3
    """With ``transmit``: the pilot is warned where the distance is too large for a crack of this width, mm."""
    mount: Mount = field(default_factory=Mount)
    """How camera and rangefinder are bolted on."""
    limits: Limits = field(default_factory=Limits)
    """What may still be said about a moment."""

    def __post_init__(self) -> None:
        check_device(self.device, self.baud)
        for name, value, low in (("system_id", self.system_id, 0), ("component_id", self.component_id, 1)):
            if value is not None and not low <= value <= 255:  # some firmware sends as system 0
                raise ValueError(f"{name} is {low} to 255, got {value}")
        if not 0.5 <= self.rate_hz <= 200.0:
            raise ValueError(f"rate_hz is 0.5 to 200, got {self.rate_hz}")
        if not 0 < self.finest_mm < 1000:
            raise ValueError(f"finest_mm must be above 0 and below 1000, got {self.finest_mm}")


def open_navigator(options: Options, clock: Clock) -> Navigator:
    """Listen to the autopilot on a thread of its own.

    Raises DeviceError when the port cannot be opened (a UDP port waits for as long as it takes),
    ConfigError when ``device`` has no known form.
    """
    return MavlinkNavigator(options, clock, open_link(options.device, options.baud))


def dialect() -> Any:
    """pymavlink's module of the common messages, MAVLink 2."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations of the generated code are not ours to correct
        from pymavlink.dialects.v20 import common
    return common


def decoder() -> framing.Decode:
    """A function from one whole frame to pymavlink's message; None when the checksum or the content is wrong."""
    common = dialect()
    parser = common.MAVLink(None)

    def decode(frame: framing.Bytes) -> Any:
        try:
            message = parser.decode(bytearray(frame))
        except common.MAVError:
            return None
        return None if message.get_type().startswith("UNKNOWN") else message

    return decode


class MavlinkNavigator:
    """Feeds a history from one autopilot; opened again by itself when the port is lost."""

    def __init__(self, options: Options, clock: Clock, link: Link) -> None:
        self._options, self._clock = options, clock
        self._link: Link | None = link
        self._name = options.device
        self._common = dialect()
        self._encoder = self._common.MAVLink(None, srcSystem=options.system_id or _UNSETTLED_SYSTEM)
        self._encoder.srcComponent = self._common.MAV_COMP_ID_ONBOARD_COMPUTER
        self._words = Words(self._common)
        self._decode = decoder()
        self._splitter = framing.Splitter(self._decode)
        self._history = History(options.limits)
        self._utc = UtcTrack(earliest=EARLIEST_PLAUSIBLE_UTC)
        self._vehicle = Vehicle(
            self._history,
            self._utc,
            options.mount,
            system_id=options.system_id,
            component_id=options.component_id,
        )
        self._trouble = Trouble(log, clock)
        self._beat_ns: int | None = None
        self._asked_ns: dict[str, int] = {}
        self._backoff = Backoff(_FIRST_PAUSE_S, _CAP_S, least_s=_FIRST_PAUSE_S)
        self._complaints = Complaints(log, clock)
        self._stop = threading.Event()
        self._thread = Worker("mavlink", self._run, self._stop, clock)

    @property
    def transmits(self) -> bool:
        """True where findings are to be reported to the pilot."""
        return self._options.transmit

    @property
    def finest_mm(self) -> float:
        """The narrowest crack that the pilot wants to see, millimetres."""
        return self._options.finest_mm

    def tell(self, words: str) -> None:
        """Put at most 50 letters on the pilot's screen; any thread, never waits."""
        self._words.tell(words)

    def mark(self, nav: NavState) -> None:
        """Mark a picture on the pilot's map; nothing without a 3D fix. Any thread, never waits."""
        self._words.mark(nav, self.utc_at(nav.at_ns))

    @property
    def gimbal(self) -> Gimbal:
        """What is heard and believed of the camera's gimbal."""
        return self._vehicle.aboard.gimbal

    def at(self, exposed_ns: int) -> NavState:
        """What the autopilot said about ``exposed_ns``, interpolated."""
        return self._history.at(exposed_ns)

    def utc_at(self, exposed_ns: int) -> datetime | None:
        """UTC by the autopilot's SYSTEM_TIME; None until it has one from satellites."""
        return self._utc.at(exposed_ns)

    def health(self) -> str | None:
        """What is wrong: port, heartbeat, missing messages, a silent gimbal or implausible fixes."""
        now_ns = self._clock.monotonic_ns()
        trouble = self._thread.trouble or self._trouble.sentence or self._silence(now_ns)
        return trouble or self._vehicle.trouble(now_ns) or self._gimbal_silence(now_ns) or self._history.doubt()

    def warnings(self) -> tuple[str, ...]:
        """Other autopilots or gimbals on the link, a receiver that stands in, a clock that is not believed."""
        return self._vehicle.warnings(self._clock.monotonic_ns())

    @property
    def live(self) -> bool:
        """True: it is flying now."""
        return True

    def _silence(self, now_ns: int) -> str | None:
        """Which message is not heard."""
        heard_ns, device = self._vehicle.heard_ns, self._name
        if "HEARTBEAT" not in heard_ns:
            return self._unheard()
        late_s = (now_ns - heard_ns["HEARTBEAT"]) / 1e9
        if now_ns - max(heard_ns.values()) > _GONE_NS or late_s * 1e9 > _SILENT_NS:
            return f"the autopilot on {device} was last heard {late_s:.0f} s ago; check its power and wiring"
        found_ns = self._vehicle.found_ns if self._vehicle.found_ns is not None else now_ns
        if self._vehicle.aboard.gimbal.trouble is not None:
            return self._gimbal_silence(now_ns) or self._vehicle.aboard.gimbal.trouble
        if "GPS2_RAW" in heard_ns and "GPS_RAW_INT" not in heard_ns:
            heard_ns = {**heard_ns, "GPS_RAW_INT": heard_ns["GPS2_RAW"]}
        for kind in ("GPS_RAW_INT", "GLOBAL_POSITION_INT", "ATTITUDE"):
            if now_ns - heard_ns.get(kind, found_ns) > _SILENT_NS:
                return f"the autopilot on {device} sends no {kind}; set its stream rate for this port above 0"
        return None

    def _gimbal_silence(self, now_ns: int) -> str | None:
        found_ns = self._vehicle.found_ns
        return None if found_ns is None else self.gimbal.silence(now_ns, found_ns)

    def _unheard(self) -> str:
        """No sender that we believe has sent a heartbeat: names whom we wait for, and who is there instead."""
        options, heard = self._options, self._vehicle.roster.names()
        whom = "an autopilot" if options.system_id is None else f"system {options.system_id}"
        there = (
            "check wiring, baud rate and the port's protocol"
            if heard == NO_SENDER
            else f"heard so far: {heard}; set navigation.system_id and component_id"
        )
        return f"no heartbeat from {whom}, component {options.component_id}, on {self._name} yet; {there}"

    def __enter__(self) -> MavlinkNavigator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if self._link is None:
                    self._link = open_link(self._options.device, self._options.baud)
                    self._trouble.over(f"{self._name} is open again")
                self._listen(self._link)
            except DeviceError as error:
                self._lost(error)
        self._close()

    def _listen(self, link: Link) -> None:
        while not self._stop.is_set():
            data = link.read(_POLL_S)
            now_ns = self._clock.monotonic_ns()
            for message in self._splitter.feed(data):
                self._hear(link, message, now_ns)
            self._speak(link, now_ns)

    def _complain(self, now_ns: int) -> None:
        """Once a minute each in the log: what status and doctor show as well."""
        trouble = self._vehicle.trouble(now_ns)
        for sentence in (*((trouble,) if trouble else ()), *self._vehicle.warnings(now_ns)):
            self._complaints.warn(sentence, sentence)

    def _lost(self, error: DeviceError) -> None:
        self._close()
        self._trouble.say(str(error))
        self._clock.wait(self._stop, self._backoff.pause_s())  # never reset: a port that keeps breaking waits longer

    def _close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def _hear(self, link: Link, message: Any, now_ns: int) -> None:
        restarts = self._vehicle.restarts
        self._vehicle.hear(message, now_ns)
        if (message.get_srcSystem(), message.get_srcComponent()) != self._vehicle.address:
            return
        if self._vehicle.heard_ns.get("HEARTBEAT") == now_ns:
            link.settle()
        if self._vehicle.restarts != restarts:
            self._asked_ns.clear()
            log.warning("the autopilot's clock on %s began anew: a restart, or a link that had stalled", self._name)
        if message.get_type() == "TIMESYNC" and message.tc1 > 0:  # 0 is a question, not an answer
            self._vehicle.hear_sync(message, now_ns)

    def _speak(self, link: Link, now_ns: int) -> None:
        """What the pilot is to read; once a second heartbeat, TIMESYNC, and requests for what is not heard."""
        system_id = self._vehicle.system_id
        if system_id is not None and self._vehicle.found_ns is not None:
            for frame in self._words.frames(system_id):
                link.write(frame)
        if self._beat_ns is not None and now_ns - self._beat_ns < _BEAT_NS:
            return
        self._beat_ns = now_ns
        self._complain(now_ns)
        common = self._common
        self._send(
            link,
            common.MAVLink_heartbeat_message(
                common.MAV_TYPE_ONBOARD_CONTROLLER, common.MAV_AUTOPILOT_INVALID, 0, 0, common.MAV_STATE_ACTIVE, 3
            ),
        )
        if self._vehicle.system_id is None or self._vehicle.found_ns is None:
            return
        self._encoder.srcSystem = self._vehicle.system_id
        self._send(link, common.MAVLink_timesync_message(0, now_ns))
        for kind, number, rate_hz in self._wanted():
            self._ask(link, kind, number, rate_hz, now_ns)

    def _wanted(self) -> tuple[tuple[str, int, float], ...]:
        rate_hz = self._options.rate_hz
        return (
            ("ATTITUDE", framing.ATTITUDE, rate_hz),
            ("GLOBAL_POSITION_INT", framing.GLOBAL_POSITION_INT, rate_hz),
            ("DISTANCE_SENSOR", framing.DISTANCE_SENSOR, rate_hz),
            ("GPS_RAW_INT", framing.GPS_RAW_INT, min(5.0, rate_hz)),
            ("GPS2_RAW", framing.GPS2_RAW, min(5.0, rate_hz)),
            ("SYSTEM_TIME", framing.SYSTEM_TIME, 1.0),
            ("LOCAL_POSITION_NED", framing.LOCAL_POSITION_NED, rate_hz),
            *self._wanted_of_gimbal(),
        )

    def _wanted_of_gimbal(self) -> tuple[tuple[str, int, float], ...]:
        if self._options.mount.gimbal == "none":
            return ()
        return (("GIMBAL_DEVICE_ATTITUDE_STATUS", framing.GIMBAL_ATTITUDE, self._options.rate_hz),)

    def _ask(self, link: Link, kind: str, number: int, rate_hz: float, now_ns: int) -> None:
        """Ask once, and again every 10 s while the message does not come."""
        asked_ns = self._asked_ns.get(kind)
        heard_ns = self._vehicle.heard_ns.get(kind)
        coming = heard_ns is not None and now_ns - heard_ns < _SILENT_NS
        if asked_ns is not None and (coming or now_ns - asked_ns < _ASK_AGAIN_NS):
            return
        self._asked_ns[kind] = now_ns
        common = self._common
        self._send(
            link,
            common.MAVLink_command_long_message(
                self._vehicle.system_id,
                self._options.component_id,
                common.MAV_CMD_SET_MESSAGE_INTERVAL,
                0,
                float(number),
                math.ceil(1e6 / rate_hz),
                *(0.0,) * 5,
            ),
        )

    def _send(self, link: Link, message: Any) -> None:
        link.write(message.pack(self._encoder))
        self._encoder.seq = (self._encoder.seq + 1) % 256
