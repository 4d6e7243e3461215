"""Messages to systemd over its datagram socket (sd_notify(3)); silent where systemd did not start us."""

from __future__ import annotations

import logging
import os
import socket

log = logging.getLogger(__name__)


class Systemd:
    """The notify socket of this process, as given in the environment when it was made."""

    def __init__(self, address: str | None = None, watchdog_us: str | None = None) -> None:
        self._address = address if address is not None else os.environ.get("NOTIFY_SOCKET", "")
        self._watchdog_us = watchdog_us if watchdog_us is not None else os.environ.get("WATCHDOG_USEC", "")
        self._failed = False

    @property
    def watchdog_s(self) -> float | None:
        """Seconds within which systemd wants to hear from us; None when it does not watch."""
        return int(self._watchdog_us) / 1e6 if self._watchdog_us.isdigit() and int(self._watchdog_us) > 0 else None

    def ready(self, status: str) -> None:
        """Start-up is finished."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Frames really move: hold the watchdog off."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """A clean stop has begun."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A leading @ stands for Linux's abstract socket namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            # Non-blocking: a manager that stopped reading must not stop frames from moving.
            kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            with socket.socket(socket.AF_UNIX, kind) as to_systemd:
                to_systemd.connect(address)
                to_systemd.sendall(message.encode())
        except OSError as error:
            if not self._failed:
                log.warning("systemd cannot be reached at %s: %s", self._address, error)
            self._failed = True
