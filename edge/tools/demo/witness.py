"""Who receives on the ground: a subscriber that shares no code with the publisher it watches.

MQTT 3.1.1 over a plain socket, only what listening takes (OASIS Standard, sections 3.1 to 3.13): CONNECT, SUBSCRIBE,
PUBLISH and PUBACK, PINGREQ, DISCONNECT. Both levels of MQTT brokers understand it.
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
from types import TracebackType
from urllib.parse import urlsplit

from edge.support.errors import DeviceError

log = logging.getLogger(__name__)

_CONNECT_S = 5.0
_QUIET_S = 10.0
"""Sends a PINGREQ after this much silence, well within the keep-alive it announces."""
_KEEP_ALIVE_S = 60
_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK, _PINGREQ, _DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 14


class Witness:
    """Subscribes to a topic filter at QoS 1 and keeps every payload; a thread of its own, from ``with`` to its end."""

    def __init__(self, url: str, topics: str) -> None:
        where = urlsplit(url)
        self._host, self._port = where.hostname or "127.0.0.1", where.port or 1883
        self._topics = topics
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._listen, name="witness", daemon=True)
        self._lock = threading.Lock()
        self._heard: list[tuple[str, bytes]] = []
        self._closing = False

    @property
    def heard(self) -> list[tuple[str, bytes]]:
        """Topic and payload of everything received so far, in order; repeats are in it."""
        with self._lock:
            return list(self._heard)

    def __enter__(self) -> Witness:
        try:
            self._socket = socket.create_connection((self._host, self._port), _CONNECT_S)
            self._send(_CONNECT, 0, _text("MQTT") + bytes([4, 2]) + struct.pack("!H", _KEEP_ALIVE_S) + _text(""))
            self._expect(_CONNACK, 1)
            self._send(_SUBSCRIBE, 2, struct.pack("!H", 1) + _text(self._topics) + bytes([1]))
            self._expect(_SUBACK, 2)
        except OSError as error:
            self._close()
            raise DeviceError(f"cannot listen at mqtt://{self._host}:{self._port}: {error}") from error
        self._socket.settimeout(_QUIET_S)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        try:
            self._send(_DISCONNECT, 0, b"")
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)
        except OSError as gone:  # the broker went first: there is no one to disconnect from
            log.debug("could not disconnect from the broker: %s", gone)
        self._thread.join(_CONNECT_S)
        self._close()

    def _listen(self) -> None:
        while not self._closing:
            try:
                head, body = self._receive()
            except TimeoutError:
                self._send(_PINGREQ, 0, b"")
                continue
            except OSError as error:
                if not self._closing:
                    log.warning("the demo's subscriber lost its broker: %s", error)
                return
            if head >> 4 == _PUBLISH:
                self._take(head, body)

    def _take(self, head: int, body: bytes) -> None:
        size = struct.unpack_from("!H", body)[0]
        topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
        if head & 0b110:  # QoS above 0: two bytes of packet identifier, to be acknowledged
            self._send(_PUBACK, 0, rest[:2])
            rest = rest[2:]
        with self._lock:
            self._heard.append((topic, rest))

    def _expect(self, kind: int, place: int) -> None:
        """Receive a packet of ``kind`` whose byte ``place`` is a return code below 0x80 (0 for CONNACK)."""
        head, body = self._receive()
        if head >> 4 != kind or body[place] >= 0x80 or (kind == _CONNACK and body[place] != 0):
            raise ConnectionRefusedError(f"the broker answered packet {head >> 4} with {body.hex(' ')}")

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        if self._socket is not None:
            self._socket.sendall(bytes([kind << 4 | flags]) + _length(len(body)) + body)

    def _receive(self) -> tuple[int, bytes]:
        """One packet: first byte and body. Raises TimeoutError between packets, OSError when the broker is gone."""
        head = self._read(1)[0]
        size = shift = 0
        while True:
            byte = self._read(1)[0]
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return head, self._read(size)

    def _read(self, count: int) -> bytes:
        assert self._socket is not None, "use the witness in a with block"
        parts = bytearray()
        while len(parts) < count:
            part = self._socket.recv(count - len(parts))
            if not part:
                raise ConnectionResetError("the broker closed the connection")
            parts += part
        return bytes(parts)

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("!H", len(data)) + data


def _length(size: int) -> bytes:
    """Remaining length: seven bits a byte, lowest first."""
    out = bytearray()
    while True:
        size, low = size >> 7, size & 0x7F
        out.append(low | (0x80 if size else 0))
        if not size:
            return bytes(out)
