"""The ground thread: deliver letters, answer commands, keep status and telemetry current."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from types import TracebackType

from edge.daemon.control import Control, Switch
from edge.daemon.notify import Systemd
from edge.daemon.status import Reporter
from edge.delivery import Delivery
from edge.mqtt import Publisher
from edge.mqtt.topics import status_topic, telemetry_topic
from edge.support.clock import Clock
from edge.support.complaints import Complaints

log = logging.getLogger(__name__)

TELEMETRY_EVERY_S = 1.0

# A clean stop waits this long for the broker to acknowledge what is on its way; the rest stays in the outbox.
LEAVE_S = 3.0


class Ground:
    """Runs from entering the ``with`` block to leaving it; leaving says ``offline`` and delivers what it can."""

    def __init__(
        self,
        vehicle: str,
        publisher: Publisher,
        delivery: Delivery,
        control: Control,
        reporter: Reporter,
        switch: Switch,
        systemd: Systemd,
        clock: Clock,
        excused: Callable[[], bool] = lambda: False,
    ) -> None:
        """``excused``: True while the inference loop cannot report to systemd for a known reason."""
        self._vehicle = vehicle
        self._publisher = publisher
        self._delivery = delivery
        self._control = control
        self._reporter = reporter
        self._switch = switch
        self._systemd = systemd
        self._clock = clock
        self._excused = excused
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._guarded, name="ground", daemon=True)
        self._turned_ns = clock.monotonic_ns()
        self._told_flying: bool | None = None
        self._died: BaseException | None = None
        self._reasons: list[str] = []
        self._complaints = Complaints(log, clock)

    def __enter__(self) -> Ground:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._publisher.wake.set()
        self._thread.join(timeout=2 * LEAVE_S)
        if self._thread.is_alive():
            log.error(
                "the ground thread did not end within %.0f s; what it had to deliver stays in the outbox", 2 * LEAVE_S
            )
        elif self._died is not None and self._died is not error:
            log.error("the ground thread ended early: %s", self._died)

    def turning_within(self, limit_s: float) -> bool:
        """True when the thread went round within the last ``limit_s`` seconds."""
        return self._clock.monotonic_ns() - self._turned_ns < limit_s * 1e9

    def check(self) -> None:
        """Raise what ended the thread, if anything did: a daemon that cannot be heard must not fly on in silence."""
        if self._died is not None:
            raise self._died

    def _guarded(self) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 - carried to the main thread, which raises it from check()
            self._died = error

    def _run(self) -> None:
        due_ns = self._clock.monotonic_ns()
        while not self._stop.is_set():
            self._publisher.wake.clear()
            pause_s = self._delivery.step()
            if self._control.step():
                due_ns = self._clock.monotonic_ns()  # a command may have changed the status: say so at once
            now_ns = self._clock.monotonic_ns()
            if now_ns >= due_ns:
                self.report()
                due_ns = now_ns + round(TELEMETRY_EVERY_S * 1e9)
            self._turned_ns = now_ns
            if self._excused():
                self._systemd.alive()
            self._clock.wait(self._publisher.wake, max(0.0, min(pause_s, (due_ns - now_ns) / 1e9)))
        self.leave()

    def report(self) -> None:
        """Tell the status where it changed, and telemetry always."""
        reasons, flying = self._reporter.reasons(), self._switch.flying
        news = [sentence for sentence in reasons if _kind(sentence) not in map(_kind, self._reasons)]
        for sentence in news:
            self._complaints.warn(_kind(sentence), f"degraded: {sentence}")
        if news or len(reasons) != len(self._reasons) or flying != self._told_flying:
            status = self._reporter.status(flying=flying, reasons=reasons)
            self._publisher.announce(status_topic(self._vehicle), status, retained=True)
        self._reasons, self._told_flying = reasons, flying
        self._publisher.announce(telemetry_topic(self._vehicle), self._reporter.telemetry(), retained=False)
        away = self._publisher.health()
        troubles = [*reasons, away] if away else reasons
        self._systemd.status("; ".join(troubles) or ("flying" if flying else "online"))

    def leave(self) -> None:
        """Give what is in the outbox a last, short chance; what stays is sent by the next flight."""
        until_ns = self._clock.monotonic_ns() + round(LEAVE_S * 1e9)
        while self._publisher.connected and self._delivery.waiting and self._clock.monotonic_ns() < until_ns:
            self._publisher.wake.clear()
            self._clock.wait(self._publisher.wake, min(0.1, self._delivery.step()))
        offline = self._reporter.farewell()
        self._publisher.announce(status_topic(self._vehicle), offline, retained=True)


def _kind(sentence: str) -> str:
    """The sentence without its numbers: "no frame for 3 s" and "for 4 s" are the same trouble."""
    return re.sub(r"\d[\d.]*", "#", sentence)
