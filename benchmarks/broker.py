"""What a broker's core carries: drones that publish real detections to a real mosquitto on loopback, flat out.

The drones run in Python and may be slower than the broker; what counts is the broker's own CPU time per message, read
from the kernel. Every message is acknowledged (QoS 1), and every subscriber's count is checked.

    python benchmarks/broker.py --json out/broker.json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import selectors
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import paho.mqtt.client as mqtt  # noqa: E402
from paho.mqtt.enums import CallbackAPIVersion  # noqa: E402
from tqdm import tqdm  # noqa: E402

from benchmarks import tables  # noqa: E402
from edge.masks import litert  # noqa: E402
from edge.support.clock import ManualClock  # noqa: E402
from edge.tools.benchmark import board  # noqa: E402
from edge.tools.benchmark.loops import FrameLoop, rendered  # noqa: E402
from edge.tools.demo.broker import Mosquitto, open_broker  # noqa: E402

WINDOW = 20  # letters on their way at one time, as the drone does it
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Case:
    """One load."""

    drones: int
    subscribers: int
    shared: bool
    """The subscribers share the messages out among them (``$share``), rather than getting each of them all."""


@dataclass(frozen=True)
class Found:
    """What came of it."""

    case: Case
    messages: int
    per_s: float
    """Acknowledged; the publishers in Python may be what limits it."""
    broker_us: float
    """CPU time of the broker per message published."""
    received: int
    """By all subscribers together; as it should be, or the run fails."""
    resident_mb: float
    """Of the broker at the end."""


CASES = (
    Case(1, 0, False), Case(1, 1, False), Case(10, 1, False), Case(100, 1, False), Case(500, 1, False),
    Case(100, 3, False), Case(100, 3, True),
)  # fmt: skip


def main() -> int:
    arguments = _arguments()
    payload = detection()
    found = []
    for case in tqdm(CASES, unit="case", disable=None):
        broker = open_broker(kind="mosquitto")
        assert isinstance(broker, Mosquitto)
        with broker:
            found.append(measure(broker, case, payload, arguments.messages))
    result = {
        "schema": "spanhawk/broker/1",
        "at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "board": asdict(board.board()),
        "payload_bytes": len(payload),
        "found": [asdict(one) for one in found],
    }
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(tables.broker(result))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000, help="of each case (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.messages < 2000:
        parser.error("--messages is 2000 or more: the kernel counts CPU time in steps of 10 ms")
    return arguments


def detection() -> bytes:
    """The largest Feature the shipped bundle makes of a rendered frame."""
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=timezone.utc))
    with litert.open_segmenter(litert.Options(), clock) as segmenter, FrameLoop(segmenter, rendered(720, 1280)) as loop:
        loop.step()
        payloads = loop.payloads()
    if not payloads:
        sys.exit("the shipped bundle finds no crack in the rendered frame; there is nothing to publish")
    return max(payloads, key=len)


def measure(broker: Mosquitto, case: Case, payload: bytes, messages: int) -> Found:
    """Publish ``messages`` in all and count."""
    port = int(broker.url.rpartition(":")[2])
    each = messages // case.drones
    total = each * case.drones
    expected = total * (1 if case.shared else case.subscribers) if case.subscribers else 0
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    reader = multiprocessing.get_context("spawn").Process(target=subscribe, args=(theirs, port, case, expected))
    reader.start()
    try:
        _told(ours, "subscribed")
        drones = [_Drone(port, number, payload, each) for number in range(case.drones)]
        _turn(drones, lambda: all(drone.connected for drone in drones))
        assert broker.pid is not None
        before, begun = cpu_s(broker.pid), time.perf_counter()
        for drone in drones:
            drone.fill()
        _turn(drones, lambda: all(drone.done for drone in drones))
        took = time.perf_counter() - begun
        received = _told(ours, "received")
        used, resident = cpu_s(broker.pid) - before, resident_mb(broker.pid)
    finally:
        reader.terminate()
        reader.join()
    if received != expected:
        sys.exit(f"{case}: the subscribers received {received} of {expected} messages; this broker cannot be trusted")
    for drone in drones:
        drone.client.disconnect()
    return Found(case, total, round(total / took), round(used / total * 1e6, 1), received, round(resident, 1))


class _Drone:
    """One connection that keeps its window full."""

    def __init__(self, port: int, number: int, payload: bytes, messages: int) -> None:
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"drone{number}", protocol=mqtt.MQTTv5)
        self.client.max_inflight_messages_set(WINDOW)
        self.client.on_connect = self._on_connect
        self.client.on_publish = self._on_publish
        self.client.connect("127.0.0.1", port)
        self.connected = False
        self._topic, self._payload = f"spanhawk/drone{number}/detections", payload
        self._left, self._waiting = messages, 0

    @property
    def done(self) -> bool:
        return self._left == 0 and self._waiting == 0

    def fill(self) -> None:
        while self._left and self._waiting < WINDOW:
            self.client.publish(self._topic, self._payload, qos=1)
            self._left -= 1
            self._waiting += 1

    def _on_connect(self, *_: Any) -> None:
        self.connected = True

    def _on_publish(self, *_: Any) -> None:
        self._waiting -= 1
        self.fill()


def _turn(clients: list[Any], ready: Any) -> None:
    """Serve the sockets of ``clients`` until ``ready`` says so."""
    with selectors.DefaultSelector() as sockets:
        for one in clients:
            sockets.register(one.client.socket(), selectors.EVENT_READ, one.client)
        until = time.monotonic() + PATIENCE_S
        while not ready():
            for key, _ in sockets.select(0.05):
                key.data.loop_read()
            for one in clients:
                if one.client.want_write():
                    one.client.loop_write()
            if time.monotonic() > until:
                sys.exit(f"the broker did not answer within {PATIENCE_S:.0f} s")


def subscribe(told: Connection, port: int, case: Case, expected: int) -> None:
    """In a process of its own: subscribe, count, tell the count once it is complete or nothing comes any more."""
    counts = [0] * case.subscribers
    clients = []
    topic = "$share/ground/spanhawk/+/detections" if case.shared else "spanhawk/+/detections"
    for number in range(case.subscribers):
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"ground{number}", protocol=mqtt.MQTTv5)

        def count(*_: Any, number: int = number) -> None:
            counts[number] += 1

        client.on_message = count
        client.connect("127.0.0.1", port)
        client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        granted: list[int] = []
        client.on_subscribe = lambda *_, granted=granted: granted.append(1)
        while not granted:
            client.loop(0.1)
        client.loop_start()
        clients.append(client)
    told.send("subscribed")
    last, still_s = -1, 0.0
    while sum(counts) < expected and still_s < PATIENCE_S / 4:
        time.sleep(0.01)
        still_s = still_s + 0.01 if sum(counts) == last else 0.0
        last = sum(counts)
    told.send(sum(counts))
    time.sleep(PATIENCE_S)  # until we are ended


def _told(ours: Connection, what: str) -> Any:
    if not ours.poll(PATIENCE_S):
        sys.exit(f"the subscribers did not say what they {what}")
    return ours.recv()


def cpu_s(pid: int) -> float:
    """CPU time of a process so far, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Resident memory of a process, megabytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
