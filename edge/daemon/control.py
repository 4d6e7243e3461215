"""Commands from the ground: parsed strictly, carried out between frames, always answered."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from edge.mqtt import Publisher, Request
from edge.mqtt.commands import Command, CommandError, parse, reply
from edge.support.clock import Clock
from edge.support.errors import SpanhawkError

log = logging.getLogger(__name__)

Action = Callable[[], Mapping[str, Any]]
"""Does one thing and returns what the reply shows; raises SpanhawkError or OSError when it cannot."""


Resend: TypeAlias = Callable[[str, Sequence[int]], Mapping[str, Any]]
"""Sends these seqs of a flight once more; as an ``Action``."""


class Switch:
    """Flying or not: set by commands, read by the inference loop."""

    def __init__(self, *, flying: bool) -> None:
        self._flying = threading.Event()
        if flying:
            self._flying.set()

    @property
    def flying(self) -> bool:
        """True while frames are to be processed."""
        return self._flying.is_set()

    def start(self) -> Mapping[str, Any]:
        """Process frames from now on."""
        self._flying.set()
        return {"flying": True}

    def stop(self) -> Mapping[str, Any]:
        """Process no more frames; devices stay open and the outbox continues to deliver."""
        self._flying.clear()
        return {"flying": False}


class Control:
    """Answers requests with the actions it was given."""

    def __init__(
        self,
        publisher: Publisher,
        reply_topic: str,
        actions: Mapping[str, Action],
        clock: Clock,
        *,
        resend: Resend | None = None,
    ) -> None:
        """``resend`` carries out that command where it names ranges; None: they are refused."""
        self._publisher = publisher
        self._reply_topic = reply_topic
        self._actions = actions
        self._clock = clock
        self._resend = resend

    def step(self) -> int:
        """Carry out and answer what has arrived; returns how many requests there were."""
        requests = self._publisher.requests()
        for request in requests:
            self._publisher.reply(request, self._reply_topic, self._answer(request))
        return len(requests)

    def _answer(self, request: Request) -> bytes:
        try:
            now = self._clock.utc() if self._clock.synced() else None
            command = parse(request.payload, tuple(self._actions), now)
        except CommandError as error:
            log.warning("refused a command: %s", error)
            return reply(error)
        return self._carry_out(command)

    def _carry_out(self, command: Command) -> bytes:
        log.info("command %s", command.name)
        try:
            if command.seqs is None:
                return reply(command, result=self._actions[command.name]())
            if self._resend is None:
                return reply(command, error=f"{command.name} takes no ranges here")
            return reply(command, result=self._resend(command.flight_id, command.seqs))
        except (SpanhawkError, OSError) as error:
            log.warning("command %s failed: %s", command.name, error)
            return reply(command, error=getattr(error, "strerror", None) or str(error))
        except Exception as error:  # a command that fails must not end the thread that delivers, and with it the flight
            log.exception("command %s failed", command.name)
            return reply(command, error=f"{type(error).__name__}: {error}")
