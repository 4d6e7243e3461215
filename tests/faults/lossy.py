"""A link that loses packets, as the programs at its ends see it: TCP hides loss behind waiting, until it gives up.

A forwarder between daemon and broker, because few kernels have netem. Each segment takes its time; one in ten is lost
and holds up all behind it for a round trip, or for longer where the repeat is lost too; now and then the connection
ends in the middle of a packet, or stays open and carries nothing any more.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.faults.broker import TOPIC, Drained, confirmed_in, delivering, drain, goal, measured, put
from tests.faults.row import Measured, Row, Scale, need
from tests.faults.world import pause, until
from tests.mqtt.broker import Ear, mosquitto

_SEGMENT = 1448  # bytes of one TCP segment on Ethernet
_DELAY_S = 0.05
_LOST = 0.1
_LONGEST_S = 1.6  # a repeat that is lost again is sent after twice the time (RFC 6298)
_CUT, _DEAD = 0.005, 0.001


class LossyLink:
    """Forwards a port of its own to ``port``; whole until ``hurt`` is set. Used within ``lossy``."""

    def __init__(self, port: int, seed: int) -> None:
        self.hurt = threading.Event()
        self.cuts = self.dead = self.lost = 0
        self.port = 0
        self._to, self._chance = port, random.Random(seed)

    async def serve(self, up: threading.Event, stop: asyncio.Event) -> None:
        """Until ``stop``."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        up.set()
        await stop.wait()
        server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        ways = [
            asyncio.ensure_future(self._way(reader, there)),
            asyncio.ensure_future(self._way(there_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            writer.transport.abort()
            there.transport.abort()

    async def _way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction: what is lost holds up all behind it, as it does in TCP. Ends where the connection does."""
        due_s, loop = 0.0, asyncio.get_running_loop()
        on_their_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=256)

        async def arrive() -> None:
            while True:
                at_s, piece = await on_their_way.get()
                await asyncio.sleep(max(0.0, at_s - loop.time()))
                writer.write(piece)
                await writer.drain()
                on_their_way.task_done()

        arriving = asyncio.ensure_future(arrive())
        try:
            with suppress(OSError):
                while (piece := await reader.read(_SEGMENT)) and not arriving.done():
                    due_s = max(due_s, loop.time())
                    fate = self._chance.random() if self.hurt.is_set() else 1.0
                    if fate < _DEAD:
                        self.dead += 1
                        await asyncio.Event().wait()  # never: nobody tells either end
                    if fate < _DEAD + _CUT:
                        self.cuts += 1
                        await on_their_way.put((due_s, piece[: len(piece) // 2]))
                        await on_their_way.join()
                        return
                    if self.hurt.is_set():
                        due_s = max(due_s, loop.time() + _DELAY_S) + self._held_up_s()
                    await on_their_way.put((due_s, piece))
        finally:
            arriving.cancel()

    def _held_up_s(self) -> float:
        held_up_s, once_s = 0.0, 2 * _DELAY_S
        while once_s <= _LONGEST_S and self._chance.random() < _LOST:
            self.lost += 1
            held_up_s, once_s = held_up_s + once_s, 2 * once_s
        return held_up_s


@contextmanager
def lossy(port: int, seed: int) -> Iterator[LossyLink]:
    """A link to ``port`` in a thread of its own; whole at first."""
    link, up, loop = LossyLink(port, seed), threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    def run() -> None:
        loop.run_until_complete(link.serve(up, stop))
        others = asyncio.all_tasks(loop)
        for task in others:
            task.cancel()
        if others:
            loop.run_until_complete(asyncio.wait(others))
        loop.close()

    thread = threading.Thread(target=run, name="lossy link")
    thread.start()
    up.wait()
    try:
        yield link
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def run(scale: Scale) -> Measured:
    """Letters before, while packets are lost, and after; the ground hears the broker directly."""
    need("mosquitto")
    rounds, each, seed, total = scale.times(3, 1), 300 if scale.quick else 4_000, random.randrange(1 << 32), 0
    drained = Drained(0, 0, 0)
    with (
        mosquitto(scale.folder) as broker,
        Ear(broker, TOPIC, keep_session=True) as ear,
        lossy(broker.port, seed) as link,
        delivering(scale.folder, f"mqtt://127.0.0.1:{link.port}") as outbox,
    ):
        for _ in range(rounds):
            put(outbox, total, each)
            total += each
            until(lambda: ear.payloads(TOPIC), "something to arrive")
            link.hurt.set()
            put(outbox, total, each)
            total += each
            pause(3.0 if scale.quick else 60.0)
            before = confirmed_in(outbox)
            link.hurt.clear()
            drained = drain(outbox, ear, total, before)
        what = (
            f"{rounds} times (seed {seed}: {link.lost} segments lost, {link.cuts} cuts, {link.dead} dead connections)"
        )
        return measured(ear, total, drained, goal(scale), what)


ROW = Row("link-lossy", "link lossy (each tenth segment, 50 ms; cuts in mid-packet)", "0 lost, order kept", run)
