"""What a publisher needs of an MQTT library: one connection, from its beginning to its end, and its news.

A connection is never used twice: whatever the library keeps in memory ends with it, because what must not be lost
is in the outbox. The library's callbacks only append to ``news``; all work is done between two calls of ``work``,
where an exception only means "connect again" and a lock may be taken.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from edge.mqtt import Request
from edge.mqtt.advice import unreachable


@dataclass(frozen=True, slots=True)
class Up:
    """The broker accepted, and allows so much; None where it does not say."""

    max_packet_bytes: int | None
    receive_maximum: int | None
    """Publications at QoS 1 that may be unacknowledged at one time."""
    shortcoming: str | None = None
    """What this broker cannot do, as a sentence, and what comes of it; None: it can do all that is needed."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A publication is over: written out (QoS 0), acknowledged, or ``refused`` for the broker's reason."""

    mid: int
    refused: str | None


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message on the commands topic."""

    request: Request
    retained: bool


@dataclass(frozen=True, slots=True)
class Noticed:
    """A message on the receipts topic."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Complaint:
    """The broker refuses something while the connection stays up."""

    sentence: str


News: TypeAlias = Up | Ended | Arrived | Noticed | Complaint


class Disconnected(Exception):  # noqa: N818 - that a connection ends is no error
    """Why a connection did not come up or is over, as a sentence."""

    def __init__(self, sentence: str, *, refused: bool = False, provoked: bool = False) -> None:
        super().__init__(sentence)
        self.provoked = provoked
        """True when the broker closed the connection because of what we sent: without that, it accepts us at once."""
        self.refused = refused
        """True when the broker answered and refused: trying again soon is pointless."""


@contextlib.contextmanager
def dialling(address: object) -> Iterator[None]:
    """Around a library's attempt to connect: Disconnected, with what to do, in place of the system's errors."""
    try:
        yield
    except OSError as error:
        raise Disconnected(f"{address} {unreachable(error)}") from error
    except UnicodeError as error:
        raise Disconnected(f"{address} cannot be reached: this is no host name; check mqtt.url") from error


def without_delay(line: Any) -> None:
    """Let a connection's socket, None where there is none, send each packet at once.

    Otherwise the kernel holds back a frame's second letter until the first is acknowledged (RFC 896): over a radio each
    further letter costs a round trip.
    """
    if line is not None:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Connection(Protocol):
    """``dial``, ``work`` and ``close`` belong to one thread; ``publish`` is called from any."""

    news: deque[News]

    def dial(self) -> None:
        """Connect; returns before the broker has answered. Raises Disconnected."""

    def work(self) -> None:
        """Serve the network for a moment. Raises Disconnected when the connection is over."""

    def publish(self, topic: str, payload: bytes, *, qos: int, retained: bool, correlation: bytes | None) -> int | None:
        """Queue without blocking; returns the ``mid`` its end will carry, None when it could not be queued."""

    def close(self, *, goodbye: bool) -> None:
        """End it with DISCONNECT, or as if the vehicle had vanished: then the broker publishes the last will."""
