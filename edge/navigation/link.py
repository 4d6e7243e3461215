"""The ways to an autopilot: a UDP port, a TCP server, a serial port. Bytes only; used by one thread."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import socket
import termios
import tty
from typing import Protocol

from edge.support.errors import ConfigError, DeviceError

_CHUNK_BYTES = 65536
_CONNECT_S = 5.0
_FORMS = "udp:HOST:PORT (listen), udpout:HOST:PORT, tcp:HOST:PORT or a serial port as /dev/ttyAMA0"
_NETWORK = ("udp", "udpin", "udpout", "tcp")
_LEAST_BAUD = 300  # smaller numbers after a colon are part of udev's names
_USUAL_BAUDS = "usual: 57600, 115200, 921600"


class Link(Protocol):
    """An open way to an autopilot; every method raises DeviceError when it is gone."""

    def read(self, timeout_s: float) -> bytes:
        """What arrived, empty after ``timeout_s`` without anything."""

    def write(self, data: bytes) -> None:
        """Send as much as can go at once; the rest is dropped (requests are repeated)."""

    def settle(self) -> None:
        """What was read last came from the vehicle: send there from now on."""

    def close(self) -> None:
        """Release it; twice does no harm."""


def check_device(device: str, baud: int) -> None:
    """Refuse what cannot be opened on any machine, before a flight. Raises ConfigError for an unknown form."""
    kind, _, rest = device.partition(":")
    if kind in _NETWORK:
        _address(device, rest)
        return
    if not device.startswith("/"):
        raise ConfigError(f"navigation.device is {device!r}; known forms: {_FORMS}{_meant(device)}")
    _check_path(device)
    _speed(baud)


def open_link(device: str, baud: int) -> Link:
    """Open ``device``. Raises ConfigError for an unknown form, DeviceError when it cannot be opened."""
    check_device(device, baud)
    kind, _, rest = device.partition(":")
    if kind in ("udp", "udpin"):
        return UdpLink(_address(device, rest), listen=True)
    if kind == "udpout":
        return UdpLink(_address(device, rest), listen=False)
    if kind == "tcp":
        return TcpLink(_address(device, rest))
    return SerialLink(device, baud)


def _address(device: str, text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        hint = f"; write udp:127.0.0.1:{text}" if text.isascii() and text.isdigit() else ""
        raise ConfigError(f"navigation.device is {device!r}; known forms: {_FORMS}{hint}")
    return host, int(port)


def _check_path(device: str) -> None:
    """Other programs take ``/dev/ttyAMA0:921600`` or ``/dev/ttyAMA0,921600``; here the rate is a key of its own."""
    path, mark, rate = device.rpartition(":" if ":" in device else ",")
    if mark and rate.strip().isdigit() and int(rate) >= _LEAST_BAUD:
        raise ConfigError(f"navigation.device is {device!r}; write device = {path!r} and baud = {rate.strip()}")


def _meant(device: str) -> str:
    """What was probably meant by a form of another program."""
    if "/dev/" in device:
        path, _, rate = device[device.index("/dev/") :].partition(":")
        return f"; write device = {path!r}" + (f" and baud = {rate}" if rate.isdigit() else "")
    if re.fullmatch(r"COM\d+", device, re.IGNORECASE):
        return "; COM ports are those of Windows"
    return ""


def _speed(baud: int) -> int:
    speed = getattr(termios, f"B{baud}", None) if baud > 0 else None
    if speed is None:
        raise ConfigError(f"navigation.baud is {baud}, which no serial port knows; {_USUAL_BAUDS}")
    return int(speed)


class UdpLink:
    """Datagrams; listening, it answers whoever was heard last until a vehicle has settled it."""

    def __init__(self, address: tuple[str, int], *, listen: bool) -> None:
        self._name = f"udp {address[0]}:{address[1]}"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sender: tuple[str, int] | None = None
        self._peer: tuple[str, int] | None = None
        try:
            if listen:
                self._socket.bind(address)
            else:
                self._peer = (socket.gethostbyname(address[0]), address[1])
            self._socket.setblocking(False)
        except OSError as error:
            self._socket.close()
            hint = "another program listens there; stop it or let mavlink-router send to a port of our own"
            cause = hint if error.errno == errno.EADDRINUSE else "check host and port"
            raise DeviceError(f"{self._name}: cannot be opened ({error.strerror or error}); {cause}") from error

    def read(self, timeout_s: float) -> bytes:
        """One datagram."""
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return b""
        try:
            data, self._sender = self._socket.recvfrom(_CHUNK_BYTES)
        except (BlockingIOError, ConnectionRefusedError):  # nothing listens at the other end yet
            return b""
        except OSError as error:
            raise DeviceError(f"{self._name}: cannot be read ({error.strerror})") from error
        return data

    def write(self, data: bytes) -> None:
        """One datagram; before the first one is received there is no address to send to."""
        to = self._peer or self._sender
        if to is not None:
            with contextlib.suppress(OSError):  # no route, or no receiver yet: the next one is due in a second
                self._socket.sendto(data, to)

    def settle(self) -> None:
        """Answer the sender of the last datagram from now on."""
        self._peer = self._sender or self._peer

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class TcpLink:
    """A stream from a TCP server (SITL, mavlink-router)."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._name = f"tcp {address[0]}:{address[1]}"
        try:
            self._socket = socket.create_connection(address, timeout=_CONNECT_S)
        except OSError as error:
            raise DeviceError(f"{self._name}: no connection ({error.strerror or error}); is the server up?") from error
        self._socket.setblocking(False)

    def read(self, timeout_s: float) -> bytes:
        """Some bytes."""
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return b""
        try:
            data = self._socket.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise DeviceError(f"{self._name}: the connection broke ({error.strerror})") from error
        if not data:
            raise DeviceError(f"{self._name}: the other end closed the connection")
        return data

    def write(self, data: bytes) -> None:
        """Send what fits now."""
        try:
            self._socket.send(data)
        except BlockingIOError:
            return
        except OSError as error:
            raise DeviceError(f"{self._name}: the connection broke ({error.strerror})") from error

    def settle(self) -> None:
        """There is only one other end."""

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class SerialLink:
    """A serial port, 8N1, raw, without flow control."""

    def __init__(self, path: str, baud: int) -> None:
        self._name = f"serial port {path}"
        speed = _speed(baud)
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise DeviceError(f"{self._name}: cannot be opened ({error.strerror}); {_serial_hint(error)}") from error
        try:
            self._configure(speed)
        except (termios.error, OSError) as error:
            os.close(self._fd)
            raise DeviceError(f"{self._name}: is not a serial port; name the one the autopilot is wired to") from error

    def _configure(self, speed: int) -> None:
        tty.setraw(self._fd, termios.TCSANOW)
        mode = termios.tcgetattr(self._fd)
        mode[2] = (mode[2] | termios.CLOCAL | termios.CREAD) & ~(termios.CRTSCTS | termios.CSTOPB)
        mode[4] = mode[5] = speed
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 0, 0
        termios.tcsetattr(self._fd, termios.TCSANOW, mode)

    def read(self, timeout_s: float) -> bytes:
        """Some bytes."""
        if not select.select([self._fd], [], [], timeout_s)[0]:
            return b""
        try:
            data = os.read(self._fd, _CHUNK_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise DeviceError(f"{self._name}: was unplugged ({error.strerror})") from error
        if not data:
            raise DeviceError(f"{self._name}: was unplugged")
        return data

    def write(self, data: bytes) -> None:
        """Send what fits now."""
        try:
            os.write(self._fd, data)
        except BlockingIOError:
            return
        except OSError as error:
            raise DeviceError(f"{self._name}: was unplugged ({error.strerror})") from error

    def settle(self) -> None:
        """There is only one other end."""

    def close(self) -> None:
        """Close the port."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _serial_hint(error: OSError) -> str:
    if error.errno == errno.EACCES:
        return "add the user to the group dialout (sudo usermod -aG dialout USER) and log in again"
    if error.errno == errno.ENOENT:
        return "plug it in, or enable the UART with raspi-config (Serial Port: login shell no, hardware yes)"
    return "see whether another program holds it"
