"""The whole way with ``confirm = "ground"``: the daemon, a real broker, ``spanhawk ground``, and the receipts back."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from benchmarks.storm import stored
from edge.outbox import LetterState
from edge.outbox.reader import open_reader
from tests.daemon.world import PATIENCE_S, Ground, daemon, written
from tests.mqtt.broker import mosquitto


def ground(folder, url):
    """A collector that listens: before that a SIGTERM would end it like any program that has just begun."""
    command = [sys.executable, "-m", "edge", "ground", "--broker", url, "--store", str(folder / "ground.db")]
    station = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ, cwd=Path(__file__).parents[2])
    assert any(b"connected; listening" in line for line in station.stderr), "it ended before it listened"
    return station


def states(folder):
    with open_reader(folder / "outbox.db") as box:
        kept = box.list(10**6)
    return {state: {one.letter.id for one in kept if one.state is state} for state in LetterState}


def test_nothing_is_confirmed_before_the_ground_has_it_and_all_of_it_is_in_the_end(tmp_path):
    with mosquitto(tmp_path) as broker:
        config = written(tmp_path, broker.url)
        config.write_text(config.read_text().replace("[outbox]\n", '[outbox]\nconfirm = "ground"\n'))
        ear = Ground(broker)
        with daemon(config) as process:
            # The broker has taken some and nobody is on the ground: that confirms nothing.
            ear.find("spanhawk/drone1/detections")
            ear.find("spanhawk/drone1/status", lambda status: status["confirm"] == "ground")
            assert not states(tmp_path)[LetterState.CONFIRMED]
            station = ground(tmp_path, broker.url)
            try:
                ear.find("spanhawk/drone1/telemetry", lambda told: told["outbox"]["confirmed"] > 0)
                station.kill()  # a collector that dies takes no letter with it
                station.communicate(timeout=PATIENCE_S)
                station = ground(tmp_path, broker.url)
                named = len(states(tmp_path)[LetterState.CONFIRMED])
                ear.find("spanhawk/drone1/telemetry", lambda told: told["outbox"]["confirmed"] > named)
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE_S) == 0
            finally:
                station.send_signal(signal.SIGTERM)
                station.communicate(timeout=PATIENCE_S)
                assert station.returncode == 0
        ear.close()
    kept = states(tmp_path)
    # Whatever was not confirmed at the end waits in the outbox for the next flight.
    assert len(kept[LetterState.CONFIRMED]) > 1
    assert kept[LetterState.CONFIRMED] <= stored(tmp_path / "ground.db")
    assert not kept[LetterState.PARKED]
