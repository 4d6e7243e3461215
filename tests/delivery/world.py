"""A delivery with an outbox, a broker and a clock that a test moves."""

from datetime import datetime

import pytest

from edge.delivery import Delivery
from edge.mqtt import memory as mqtt_memory
from edge.outbox import Letter
from edge.outbox import memory as outbox_memory
from edge.outbox.memory import MemoryOutbox
from edge.support.clock import UTC, ManualClock
from edge.support.errors import TryAgainError

SECOND_NS = 10**9


def late(payload):
    return b"late:" + payload


class FailingOutbox(MemoryOutbox):
    """A memory outbox whose disk can be switched to failing."""

    failing = False

    def _fail(self):
        if self.failing:
            raise TryAgainError("the disk fails, for the test")

    def take(self, count):
        self._fail()
        return super().take(count)

    def done(self, ids, *, handed_over=False):
        self._fail()
        return super().done(ids, handed_over=handed_over)

    def again(self, ids):
        self._fail()
        return super().again(ids)

    def park(self, id, reason):
        self._fail()
        super().park(id, reason)

    def release(self):
        self._fail()
        return super().release()


class World:
    """An outbox, a publisher and a delivery on one manual clock."""

    def __init__(self, window=5, narrow=20, *, at_once=False):
        self.clock = ManualClock(datetime(2026, 5, 1, tzinfo=UTC), SECOND_NS)
        self.outbox = FailingOutbox(outbox_memory.Options(), self.clock)
        self.options = mqtt_memory.Options(at_once=at_once, window=window)
        self.receive_maximum = narrow + 4  # what a broker allows; four places are kept for status and replies
        self.restart()

    def restart(self):
        """The daemon starts again: what it knew is gone, what the outbox knows is not."""
        self.outbox.failing = False
        self.outbox.release()
        arrived = self.publisher.arrived if hasattr(self, "publisher") else []
        self.publisher = mqtt_memory.open_publisher(self.options, self.clock, vehicle="drone", last_will=b"")
        self.publisher.arrived = arrived
        self.publisher.receive_maximum = self.receive_maximum
        self.publisher.refuse = lambda published: "Not authorized" if b"bad" in published.payload else None
        self.delivery = Delivery(self.outbox, self.publisher, self.clock, late=late)

    def put(self, *ids):
        self.outbox.put([Letter(id, "t", id.encode(), None) for id in ids])

    def arrived(self):
        return [p.payload.decode() for p in self.publisher.arrived if p.topic == "t"]

    def states(self):
        return {s.letter.id: s.state for s in self.outbox.list(10**6)}

    def turn(self, seconds=0.1):
        self.delivery.step()
        self.publisher.deliver()
        self.clock.advance(round(seconds * SECOND_NS))

    def drain(self, turns=500):
        """A well disk and a well broker on a new connection, for as long as it takes."""
        self.outbox.failing = False
        if self.publisher.connected:
            self.publisher.go_down()  # a link gives up a connection whose broker acknowledges nothing any more
        for _ in range(turns):
            if not self.publisher.connected:
                self.publisher.come_up()
            self.turn()
            if self.delivery.waiting == 0:
                return
        pytest.fail(f"{self.delivery.waiting} letters are still waiting: {self.states()}")
