"""The wire to the ground. Knows only bytes and topics."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the broker said about one message handed to it with ``send``."""

    id: str
    refused: str | None
    """None: acknowledged (PUBACK). Otherwise the broker's reason, as ``Not authorized``."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command that arrived; answer it on ``reply_to`` with ``correlation`` if both are known."""

    payload: bytes
    """What was sent, cut just above the size at which the parser of commands refuses it."""
    reply_to: str | None
    """MQTT 5 response topic; None when the asker gave none (then replies go to ``commands/replies``)."""
    correlation: bytes | None


class Publisher(Protocol):
    """One connection to a broker that reconnects by itself; safe to use from several threads.

    Leaving its ``with`` block waits a moment for what is on its way; leaving with an exception counts as vanishing,
    and the broker publishes the last will. Say ``offline`` before leaving in order.
    """

    def send(self, id: str, topic: str, payload: bytes) -> bool:
        """Hand over at QoS 1; False when it cannot be taken now (not connected, or the window is full).

        What can never be delivered (too large, not a topic) is taken, is not sent, and its receipt says why.
        """

    def announce(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Publish state that only matters now: telemetry (QoS 0) or, retained, status (QoS 1).

        Dropped while offline, but the last retained payload of each topic goes out again on reconnection.
        """

    def reply(self, request: Request, default_topic: str, payload: bytes) -> None:
        """Answer a command at QoS 1 where it asked to be answered, else on ``default_topic``; dropped while offline."""

    def receipts(self) -> list[Receipt]:
        """What the broker has sent since the last call, oldest first."""

    def requests(self) -> list[Request]:
        """Commands that arrived since the last call, oldest first."""

    def notices(self) -> list[bytes]:
        """What the ground has sent on the receipts topic since the last call, oldest first; see ``open_publisher``."""

    @property
    def connected(self) -> bool:
        """True between CONNACK success and the loss of the connection."""

    @property
    def window(self) -> int:
        """How many letters may be on their way at one time, as configured; a broker may allow fewer."""

    @property
    def sessions(self) -> int:
        """How often a connection came up; a change means that letters handed over before must be released."""

    @property
    def wake(self) -> threading.Event:
        """Set whenever there is something new to read here (receipt, request, connection up or down)."""

    def health(self) -> str | None:
        """One sentence on what is wrong (refused, unreachable); None when connected."""

    @property
    def shortcoming(self) -> str | None:
        """What this broker cannot do and what comes of it, one sentence; None while it can do all that is needed."""

    def __enter__(self) -> Publisher: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
