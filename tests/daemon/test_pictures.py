"""The daemon hands out its pictures to the ground's own puller, after it was told to stop looking for cracks."""

import hashlib
import socket

from edge.ground.pictures import Pictures
from edge.ground.pull import Puller
from edge.ground.settings import Drone, PictureOptions
from edge.ground.stores import open_store
from edge.support.clock import SystemClock
from tests.daemon.test_run import PATIENCE_S, Ground, daemon, written
from tests.ground.letters import crack
from tests.ground.test_store import batch_of
from tests.mqtt.broker import mosquitto
from tests.navigation.waiting import until


def test_the_ground_fetches_the_pictures_of_a_flight_that_was_stopped(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with mosquitto(tmp_path) as broker:
        config = written(tmp_path, broker.url)
        config.write_text(f'{config.read_text()}\n[pictures]\nlisten = "127.0.0.1:{port}"\n')
        ear, clock = Ground(broker), SystemClock()
        with daemon(config) as process, open_store(str(tmp_path / "ground.db"), clock) as store:
            named = ear.find("spanhawk/drone1/detections", lambda one: one["properties"]["evidence"] is not None)
            sha256 = named["properties"]["evidence"]["sha256"]
            feature = crack(1, 1)
            feature["properties"]["best"]["evidence_sha256"] = sha256
            store.add(batch_of(feature))
            pictures = Pictures(tmp_path / "pictures")
            options = PictureOptions(drones={"drone1": Drone(url=f"http://127.0.0.1:{port}")}, min_free_mb=0)
            assert Puller(options, store, pictures, clock).step()
            assert pictures.find(sha256) is None  # it still looks for cracks
            assert ear.ask(b'{"command": "stop"}', b"1")["ok"]
            # A busy drone may still be reading its pictures: a new puller asks at once, not when it was told to.
            found = until(lambda: Puller(options, store, pictures, clock).step() and pictures.find(sha256))
            assert hashlib.sha256(found.read_bytes()).hexdigest() == sha256
            process.terminate()
            assert process.wait(PATIENCE_S) == 0
        ear.close()
