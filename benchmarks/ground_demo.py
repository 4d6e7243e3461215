"""A ground station at work, without hardware: broker, ``spanhawk ground`` and its page, drones before rendered bridges.

    python benchmarks/ground_demo.py [--drones 2] [--http 127.0.0.1:8080] [--seconds 300] [--out DIR]

Each drone is ``spanhawk run`` as it flies, with ``[outbox] confirm = "ground"``; only its camera and autopilot are made
up (``rendered_drone.py``). The ground fetches the pictures of the cracks from them while they fly. At the end (Ctrl-C,
or after ``--seconds``) they land, their folders are imported for the last pictures, and it says what became of every
letter; the store stays in DIR when one is named.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.storm import free_port  # noqa: E402
from edge.outbox import LetterState  # noqa: E402
from edge.outbox.reader import open_reader  # noqa: E402
from edge.support.clock import SystemClock  # noqa: E402
from edge.tools.demo.broker import open_broker  # noqa: E402

NAMES = ("heron", "kite", "swift", "merlin", "osprey", "plover")
_LANDS_WITHIN_S = 30
_STARTS_WITHIN_S = 60
_DRONE = """
vehicle = "{name}"
[camera]
backend = "benchmarks.rendered_drone"
seed = {seed}
[navigation]
backend = "benchmarks.rendered_drone"
seed = {seed}
lat_deg = {lat:.6f}
lon_deg = 3.7203
[scale]
focal_length_mm = 8.0
sensor_width_mm = 3.968
lens_uncertainty = 0.005
range_uncertainty_m = 0.01
surface = "vertical"
wall_normal_deg = 132.0
tilt_uncertainty_deg = 0.5
[masks]
threads = 1
[outbox]
path = "{folder}/outbox.db"
confirm = "ground"
min_free_bytes = 0
ballast_bytes = 0
[mqtt]
url = "{url}"
protocol = "{protocol}"
[flight]
folder_dir = "{folder}/flights"
snapshot_dir = "{folder}/snapshots"
min_free_mb = 0
max_temperature_deg_c = 1000.0
[pictures]
listen = "127.0.0.1:{port}"
while_flying = true
"""


class Party:
    """One process, its log in a file; ended politely."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edge", *arguments], stderr=file, env=environment, start_new_session=True
            )

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def end(self) -> None:
        """SIGTERM, and SIGKILL to what does not end."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_LANDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                print(f"{self.name} did not end within {_LANDS_WITHIN_S} s; see {self.log}", file=sys.stderr)
                self.process.kill()
                self.process.wait()


@contextlib.contextmanager
def ending(party: Party) -> Iterator[Party]:
    """It is over with the block."""
    try:
        yield party
    finally:
        party.end()


def show(folder: Path, http: str, drones: int, seconds: float | None) -> int:
    """Run it; returns the exit code."""
    clock, stop, store = SystemClock(), threading.Event(), folder / "ground.db"
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: stop.set())
    with contextlib.ExitStack() as closing:
        broker = closing.enter_context(open_broker())
        protocol = "3.1.1" if broker.kind == "amqtt" else "5"
        config = folder / "ground.toml"
        names = [NAMES[number % len(NAMES)] + ("" if number < len(NAMES) else str(number)) for number in range(drones)]
        ports = {name: free_port() for name in names}
        told = [f'[pictures.drones.{name}]\nurl = "http://127.0.0.1:{port}"\n' for name, port in ports.items()]
        config.write_text(f'[mqtt]\nprotocol = "{protocol}"\n[pictures]\nmin_free_mb = 0\n{"".join(told)}')
        options = ("--config", str(config), "--store", str(store))
        ground = closing.enter_context(
            ending(Party(folder, "ground", "ground", "--broker", broker.url, "--http", http, *options))
        )
        until_ns = clock.monotonic_ns() + _STARTS_WITHIN_S * 10**9
        while "the page is at" not in ground.said():
            if ground.process.poll() is not None or clock.monotonic_ns() > until_ns:
                print(ground.said(), file=sys.stderr)
                return ground.process.poll() or 1
            clock.wait(stop, 0.1)
        parties = []
        for number, name in enumerate(names):
            home = folder / name
            home.mkdir(exist_ok=True)
            path = home / "spanhawk.toml"
            lat = 51.0536 + number * 0.0004
            path.write_text(
                _DRONE.format(
                    name=name,
                    seed=number + 1,
                    lat=lat,
                    folder=home,
                    url=broker.url,
                    protocol=protocol,
                    port=ports[name],
                )
            )
            parties.append(closing.enter_context(ending(Party(folder, name, "run", "--config", str(path)))))
        url = ground.said().split("the page is at ", 1)[1].split()[0]
        print(f"look at {url} (QGIS: add an OGC API Features service there); Ctrl-C ends it", flush=True)
        clock.wait(stop, 1e9 if seconds is None else seconds)
        for party in parties:
            party.end()
        return _told(folder, store, parties)


def _told(folder: Path, store: Path, parties: list[Party]) -> int:
    """Bring the pictures in and say what became of each letter; 1 where a drone did not end cleanly."""
    failed = False
    for party in parties:
        for flight in sorted((folder / party.name / "flights").glob("*/")):
            command = [sys.executable, "-m", "edge", "ground", "import", str(flight), "--store", str(store)]
            subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
        with open_reader(folder / party.name / "outbox.db") as box:
            counts = box.counts()
        states = ", ".join(f"{counts.get(state, 0)} {state.value}" for state in LetterState)
        print(f"{party.name}: letters {states}", flush=True)
        if party.process.returncode != 0:
            print(f"{party.name} ended with {party.process.returncode}:\n{party.said()[-2000:]}", file=sys.stderr)
            failed = True
    return int(failed)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drones", type=int, default=2, help="each needs about half a core")
    parser.add_argument("--http", default="127.0.0.1:8080", metavar="HOST:PORT")
    parser.add_argument("--seconds", type=float, help="until Ctrl-C where it is not given")
    parser.add_argument("--out", type=Path, help="where the store and the flights stay; a temporary folder else")
    arguments = parser.parse_args()
    if not 1 <= arguments.drones <= 100:
        parser.error(f"--drones: got {arguments.drones}, needs 1 to 100")
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        return show(arguments.out.resolve(), arguments.http, arguments.drones, arguments.seconds)
    with tempfile.TemporaryDirectory(prefix="spanhawk-ground-") as folder:
        return show(Path(folder), arguments.http, arguments.drones, arguments.seconds)


if __name__ == "__main__":
    sys.exit(main())
