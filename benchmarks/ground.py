"""What a collector's core carries, how soon a receipt follows, and how long an hour's backlog takes over a slow link.

    python benchmarks/ground.py --json out/ground.json [--postgres postgresql://… | --postgres own]

* ``rows``: detections of 4.7 kB from the bytes of a message to a committed row and a receipt, one process, no broker;
  rows per second of CPU time of that process, and by the clock. ``--postgres own`` starts a server of Debian's packages
  for it (without fsync) and counts its CPU time too.
* ``receipts``: a drone puts 60 detections a second; from the commit in its outbox to the receipt in its hands.
* ``drain``: a drone with 18,000 letters behind a link of 200 ms round trip (a proxy that holds every byte for 100 ms
  each way), with the broker and collector of ``confirm = "ground"``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.delay import Delay  # noqa: E402
from benchmarks.drone import detection  # noqa: E402
from benchmarks.storm import free_port  # noqa: E402
from edge.delivery import Delivery  # noqa: E402
from edge.detections import receipts  # noqa: E402
from edge.detections.wire import mark_historical  # noqa: E402
from edge.ground import Batch  # noqa: E402
from edge.ground.collector import receipts_for  # noqa: E402
from edge.ground.incoming import read  # noqa: E402
from edge.ground.stores import open_store  # noqa: E402
from edge.mqtt import paho  # noqa: E402
from edge.mqtt.topics import detections_topic  # noqa: E402
from edge.outbox import Letter, LetterState  # noqa: E402
from edge.outbox.sqlite import Options, open_outbox  # noqa: E402
from edge.support.clock import SystemClock, cpu_ns  # noqa: E402
from tests.ground.postgres import server  # noqa: E402

VEHICLE = "bench"


def rows(store_url: str, count: int, batch_size: int, drones: int) -> dict[str, Any]:
    """Into a new store; all drones by turns, as a broker mixes them."""
    clock = SystemClock()
    messages = []
    for n in range(count):
        vehicle = f"d{n % drones}"
        messages.append((detections_topic(vehicle), detection(vehicle, "f", n // drones + 1)[1]))
    size = sum(len(payload) for _, payload in messages) / count
    with open_store(store_url, clock) as store:
        begun_ns, begun_cpu_ns = clock.monotonic_ns(), cpu_ns()
        for begin in range(0, count, batch_size):
            batch, now = Batch(), clock.utc()
            for topic, payload in messages[begin : begin + batch_size]:
                read(topic, payload, now, batch)
            added = store.add(batch)
            receipts_for(batch, added.conflicts)
        wall_s, cpu_s = (clock.monotonic_ns() - begun_ns) / 1e9, (cpu_ns() - begun_cpu_ns) / 1e9
        there = store.counts()["detections"]
    if there != count:
        raise RuntimeError(f"{count} detections were added, {there} are stored")
    return {
        "store": store_url.partition(":")[0] if "://" in store_url else "sqlite", "drones": drones, "batch": batch_size,
        "payload_bytes": round(size), "rows_per_s": round(count / wall_s), "rows_per_cpu_s": round(count / cpu_s),
    }  # fmt: skip


def _cpu_s_of(pid: int) -> float:
    """CPU time of a process, of its children, and of those that have ended, seconds (proc(5))."""
    ticks = 0
    for one in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = one.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[1]) == pid or one.parent.name == str(pid):
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


class Ground:
    """A broker and a collector of their own; leaving ends both."""

    def __init__(self, folder: Path, store: str) -> None:
        port = free_port()
        config = folder / f"mosquitto-{port}.conf"
        user = "user root\n" if os.geteuid() == 0 else ""
        limits = "max_inflight_messages 1000\nmax_queued_messages 0\n"
        config.write_text(f"{limits}listener {port} 127.0.0.1\nallow_anonymous true\n{user}")
        mosquitto = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        self.port = port
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._log = (folder / f"ground-{port}.log").open("wb")
        self._broker = subprocess.Popen([str(mosquitto), "-c", str(config)], stderr=subprocess.DEVNULL)
        command = [sys.executable, "-m", "edge", "ground", "--broker", f"mqtt://127.0.0.1:{port}", "--store", store]
        self._collector = subprocess.Popen(command, env=environment, stderr=self._log)
        until = time.monotonic() + 20
        while b"connected; listening" not in Path(self._log.name).read_bytes():
            if time.monotonic() > until:
                raise RuntimeError(Path(self._log.name).read_text())
            time.sleep(0.05)

    def __enter__(self) -> Ground:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self._collector, self._broker):
            process.terminate()
            process.wait()
        self._log.close()


def fly(folder: Path, port: int, letters: int, *, per_s: float | None, window: int) -> dict[str, Any]:
    """A drone that has its letters before it connects (``per_s`` None), or puts them by the clock."""
    clock, stop = SystemClock(), threading.Event()
    put_ns: dict[str, int] = {}
    delays_s: list[float] = []
    options = paho.Options(url=f"mqtt://127.0.0.1:{port}", window=window)

    def heard(payload: bytes) -> list[str]:
        ids, now_ns = receipts.letter_ids(VEHICLE, payload), clock.monotonic_ns()
        delays_s.extend((now_ns - put_ns.pop(id)) / 1e9 for id in ids if id in put_ns)
        return ids

    flight = f"flight-{window}-{per_s}"
    made = [detection(VEHICLE, flight, seq) for seq in range(1, letters + 1)]
    topic = detections_topic(VEHICLE)
    path = folder / f"outbox-{port}-{window}.db"
    with open_outbox(Options(path=path, ballast_bytes=0, min_free_bytes=0, max_bytes=1 << 30), clock) as box:
        if per_s is None:
            for begin in range(0, letters, 100):
                box.put([Letter(id, topic, payload, None) for id, payload in made[begin : begin + 100]])
        with paho.open_publisher(options, clock, vehicle=VEHICLE, last_will=b"{}", receipts=VEHICLE) as publisher:
            begun_ns = clock.monotonic_ns()
            delivery = Delivery(box, publisher, clock, late=mark_historical, receipts=heard)
            thread = threading.Thread(target=delivery.run, args=(stop,), daemon=True)
            thread.start()
            if per_s is not None:
                for id, payload in made:
                    box.put([Letter(id, topic, payload, None)])
                    put_ns[id] = clock.monotonic_ns()
                    publisher.wake.set()
                    clock.wait(stop, 1 / per_s)
            while box.counts()[LetterState.CONFIRMED] < letters:
                clock.wait(stop, 0.05)
                if clock.monotonic_ns() - begun_ns > 600e9:
                    raise RuntimeError(f"after 600 s: {box.counts()}")
            took_s = (clock.monotonic_ns() - begun_ns) / 1e9
            stop.set()
            publisher.wake.set()
            thread.join(10)
    delays_s.sort()
    return {
        "letters": letters, "window": window, "took_s": round(took_s, 1), "letters_per_s": round(letters / took_s),
        "receipt_p50_s": round(delays_s[len(delays_s) // 2], 3) if delays_s else None,
        "receipt_p99_s": round(delays_s[len(delays_s) * 99 // 100], 3) if delays_s else None,
    }  # fmt: skip


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgres", metavar="URL|own", help="an empty database; without it only SQLite is measured")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--backlog", type=int, default=18_000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: dict[str, Any] = {"rows": [], "receipts": None, "drain": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for drones, batch in ((1000, 1000), (1, 1000), (10, 20)):
            found["rows"].append(rows(str(folder / f"rows-{drones}.db"), arguments.rows, batch, drones))
            print(found["rows"][-1], flush=True)
        if arguments.postgres == "own":
            with server() as cluster:
                before_s = _cpu_s_of(cluster.pid)
                found["rows"].append(rows(cluster.database("bench"), arguments.rows, 1000, 1000))
                took_s = _cpu_s_of(cluster.pid) - before_s
                found["rows"][-1]["server_cpu_us_per_row"] = round(took_s / arguments.rows * 1e6)
        elif arguments.postgres is not None:
            found["rows"].append(rows(arguments.postgres, arguments.rows, 1000, 1000))
        if arguments.postgres is not None:
            print(found["rows"][-1], flush=True)
        with Ground(folder, str(folder / "ground.db")) as ground:
            found["receipts"] = fly(folder, ground.port, 600, per_s=60, window=20)
            print("receipts", found["receipts"], flush=True)
            for window in (400,):
                with Delay(ground.port, one_way_s=0.1) as link:
                    found["drain"].append(fly(folder, link.port, arguments.backlog, per_s=None, window=window))
                print("drain", found["drain"][-1], flush=True)
        db = sqlite3.connect(folder / "ground.db")
        stored = db.execute("SELECT count(*) FROM detection").fetchone()[0]
        db.close()
    if stored != 600 + arguments.backlog:
        raise RuntimeError(f"{600 + arguments.backlog} letters were confirmed, {stored} are stored")
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
