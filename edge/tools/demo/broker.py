"""A broker of the demo's own on this machine: mosquitto as a child process where installed, else amqtt in process."""

from __future__ import annotations

import asyncio
import getpass
import importlib.util
import logging
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol

from edge.support.clock import Clock, SystemClock
from edge.support.errors import DeviceError

log = logging.getLogger(__name__)

Kind = Literal["mosquitto", "amqtt"]

_START_S = 10.0
_STOP_S = 5.0
_POLL_S = 0.05
_ATTEMPTS = 3
"""A free port found for the broker may be taken by another program before the broker has it."""
# Debian installs the broker where only root's PATH looks.
_MORE_PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")


class Broker(Protocol):
    """A running broker; leaving the ``with`` block stops it and removes what it wrote."""

    @property
    def kind(self) -> Kind:
        """Which program it is; ``amqtt`` speaks MQTT 3.1.1 only."""

    @property
    def url(self) -> str:
        """Where it listens, as ``mqtt://127.0.0.1:40123``."""

    def __enter__(self) -> Broker: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_broker(port: int = 0, kind: Kind | None = None, clock: Clock | None = None) -> Broker:
    """Prepare a broker on 127.0.0.1, started by ``with``; port 0 takes a free one, kind None whatever is installed.

    Raises DeviceError when none is installed; entering it raises DeviceError when it does not start.
    """
    time = clock or SystemClock()
    program = _mosquitto() if kind in (None, "mosquitto") else None
    if program is not None:
        return Mosquitto(program, port, time)
    if kind in (None, "amqtt") and importlib.util.find_spec("amqtt") is not None:
        return Amqtt(port, time)
    wanted = "MQTT broker" if kind is None else kind
    raise DeviceError(f"no {wanted} for the demo: apt install mosquitto, or pip install 'spanhawk[demo]'")


class Mosquitto:
    """The mosquitto program with a configuration of its own: this machine only, nothing kept on disk."""

    kind: Kind = "mosquitto"

    def __init__(self, program: str, port: int, clock: Clock) -> None:
        self._program = program
        self._wanted_port = port
        self._clock = clock
        self._port = port
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"mqtt://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """Number of the running process; None while there is none."""
        return None if self._process is None else self._process.pid

    def __enter__(self) -> Mosquitto:
        self._folder = Path(tempfile.mkdtemp(prefix="spanhawk-broker-"))
        try:
            for _ in range(1 if self._wanted_port else _ATTEMPTS):
                self._port = self._wanted_port or _free_port()
                _claim(self._port)
                self._process = self._start(self._folder)
                if _accepts(self._port, self._clock, self._ended):
                    return self
                self._stop()
            raise OSError(self._said())
        except OSError as error:
            self._clean()
            raise DeviceError(f"mosquitto does not start on 127.0.0.1:{self._port}: {error}") from error
        except BaseException:
            self._clean()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clean()

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        lines = [
            f"listener {self._port} 127.0.0.1",
            "allow_anonymous true",
            "set_tcp_nodelay true",
            "persistence false",
            "max_queued_messages 0",
        ]
        if os.geteuid() == 0:  # otherwise it changes to a user that may not exist
            lines.append(f"user {getpass.getuser()}")
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
        with (folder / "mosquitto.log").open("wb") as output:
            # A session of its own: Ctrl-C is for the demo, which stops the broker last.
            return subprocess.Popen(
                [self._program, "-c", str(folder / "mosquitto.conf")],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _said(self) -> str:
        assert self._folder is not None, "the folder outlives the process"
        lines = (self._folder / "mosquitto.log").read_text(encoding="utf-8", errors="replace").split("\n")
        return "; ".join(line for line in lines if "rror" in line) or "it gives no reason"

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _clean(self) -> None:
        self._stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


class Amqtt:
    """The amqtt broker on an event loop in a thread of this process; MQTT 3.1.1 only."""

    kind: Kind = "amqtt"

    def __init__(self, port: int, clock: Clock) -> None:
        self._wanted_port = port
        self._clock = clock
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="amqtt", daemon=True)
        self._broker: Any = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"mqtt://127.0.0.1:{self._port}"

    def __enter__(self) -> Amqtt:
        self._port = self._wanted_port or _free_port()
        # It reports each packet; the demo's user wants to read about cracks.
        logging.getLogger("amqtt").setLevel(logging.ERROR)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(_START_S)
        except Exception as error:  # amqtt wraps whatever went wrong in types of its own
            self._end()
            raise DeviceError(f"amqtt does not start on 127.0.0.1:{self._port}: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._broker.shutdown(), self._loop).result(_STOP_S)
        self._end()

    async def _start(self) -> None:
        from amqtt.broker import Broker as Server

        listener = {"type": "tcp", "bind": f"127.0.0.1:{self._port}"}
        anonymous = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        self._broker = Server({"listeners": {"default": listener}, "plugins": anonymous})
        await self._broker.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_S)
        if not self._thread.is_alive():
            self._loop.close()


def _mosquitto() -> str | None:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=os.pathsep.join(_MORE_PLACES))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _claim(port: int) -> None:
    """Raise OSError when somebody listens on ``port`` already: their answer must not pass for the broker's."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def _accepts(port: int, clock: Clock, ended: Callable[[], bool]) -> bool:
    """Wait until something accepts connections on ``port``; False when the program ends first or takes too long."""
    never = threading.Event()
    deadline_ns = clock.monotonic_ns() + round(_START_S * 1e9)
    while not ended() and clock.monotonic_ns() < deadline_ns:
        try:
            with socket.create_connection(("127.0.0.1", port), _POLL_S):
                return not ended()
        except OSError:
            clock.wait(never, _POLL_S)
    return False
