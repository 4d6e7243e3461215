"""kill -9 of drone, broker and collector at random moments, under load, with ``confirm = "ground"``: what is lost?

The drone is ``benchmarks/drone.py`` (what flies with its letters, without a camera), the broker a real mosquitto that
keeps nothing on disk, the collector ``spanhawk ground`` with an SQLite store. A letter counts as put once the outbox's
transaction has returned; lost is what was put and is not in the store when the outbox says that all is confirmed.

    python benchmarks/storm.py --kills 300 --json out/storm.json
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tqdm import tqdm  # noqa: E402

from edge.detections.cracks import revision_id  # noqa: E402
from edge.outbox import LetterState  # noqa: E402
from edge.outbox.reader import open_reader  # noqa: E402

VEHICLE = "storm"
_SETTLE_S = 180.0


class Party:
    """One process that is killed and started again."""

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        self.name = name
        self.said: list[str] = []
        self._begun = 0
        self._command = command
        self._log = (folder / f"{name}.log").open("ab")
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Begin (again)."""
        self._begun = len(self.said)
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=self._log, text=True, env=environment
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    @property
    def working(self) -> bool:
        """True once it has said something since it was started."""
        return len(self.said) > self._begun

    def kill(self) -> None:
        """kill -9; what it said before that has been read on return."""
        if self._process is None or self._reader is None:
            return
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        self._process = None

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                if line.endswith("\n"):  # a torn line was not said
                    self.said.append(line)

    def close(self) -> None:
        """End it for good."""
        self.kill()
        self._log.close()


def storm(
    kills: int, folder: Path, seed: int, *, per_s: float = 60.0, confirm: str = "ground", show: bool = False
) -> dict[str, Any]:
    """Do it; returns what came of it. Raises RuntimeError when nothing settles afterwards."""
    chance, port, store, outbox = random.Random(seed), free_port(), folder / "ground.db", folder / "outbox.db"
    config = folder / "mosquitto.conf"
    user = "user root\n" if os.geteuid() == 0 else ""
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n{user}")
    url = f"mqtt://127.0.0.1:{port}"
    python = sys.executable
    flying = [python, str(ROOT / "benchmarks/drone.py"), str(outbox), url, VEHICLE, str(per_s), confirm]
    drone = Party("drone", flying, folder)
    broker = Party("broker", ["mosquitto", "-c", str(config)], folder)
    ground = Party("ground", [python, "-m", "edge", "ground", "--broker", url, "--store", str(store)], folder)
    killed: Counter[str] = Counter()
    try:
        for party in (broker, ground, drone):
            party.start()
        wait_for(lambda: stored(store), "the first detection in the store")
        for _ in tqdm(range(kills), unit="kill", disable=not show):
            time.sleep(chance.uniform(0.1, 1.5))
            party = chance.choice((drone, broker, ground))
            if party is drone:  # Python takes a second to start; killing it before that would be no load at all
                wait_for(lambda: drone.working, "the drone to put its first detection")
            party.kill()
            killed[party.name] += 1
            time.sleep(chance.choice((0.0, 0.0, 0.5)))
            party.start()
        time.sleep(1.0)
        drone.kill()
        put = {id for line in drone.said if line.startswith("put") for id in line.split()[1:]}
        # A last flight of one frame, which ends once everything is confirmed.
        last = Party("last", [*flying, "1"], folder)
        last.start()
        try:
            wait_for(lambda: any(line.startswith("done") for line in last.said), "every letter to be confirmed")
        finally:
            last.close()
    finally:
        for party in (drone, broker, ground):
            party.close()
    there = stored(store)
    with open_reader(outbox) as reader:
        states = reader.counts()
        confirmed = {one.letter.id for one in reader.list(10**7) if one.state is LetterState.CONFIRMED}
    return {
        "confirm": confirm, "kills": dict(killed), "seed": seed, "put": len(put), "stored": len(there),
        "lost": len(put - there),
        "confirmed_not_stored": len(confirmed - there), "parked": states[LetterState.PARKED],
    }  # fmt: skip


def stored(store: Path) -> set[str]:
    """The ids of the letters that a store has; empty where there is none yet."""
    if not store.exists():
        return set()
    db = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        found = {id for (id,) in db.execute("SELECT id FROM detection")}
        return found | {revision_id(*row) for row in db.execute("SELECT crack_id, revision FROM crack")}
    except sqlite3.OperationalError:  # its tables are not made yet
        return set()
    finally:
        db.close()


def wait_for(condition: Any, what: str) -> None:
    """Look every 0.1 s. Raises RuntimeError after three minutes."""
    until = time.monotonic() + _SETTLE_S
    while not condition():
        if time.monotonic() > until:
            raise RuntimeError(f"waited {_SETTLE_S:.0f} s for {what}")
        time.sleep(0.1)


def free_port() -> int:
    """A TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=None, help="default: another each time")
    parser.add_argument(
        "--confirm", choices=("ground", "broker"), default="ground", help="broker: today's weaker promise"
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    seed = int.from_bytes(os.urandom(4), "big") if arguments.seed is None else arguments.seed
    with tempfile.TemporaryDirectory() as folder:
        found = storm(arguments.kills, Path(folder), seed, confirm=arguments.confirm, show=True)
    print(json.dumps(found, indent=2))
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    return int(found["lost"] > 0 or found["confirmed_not_stored"] > 0)


if __name__ == "__main__":
    sys.exit(main())
